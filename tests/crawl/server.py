"""A server on loopback that does what a test tells it, byte for byte, and remembers when it was asked for what."""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# What a path is answered with: bytes as they go over the wire, pieces of them one after another, or a function of how
# often it was asked for.
Answers = dict[str, "bytes | list[bytes] | Callable[[int], bytes]"]
CLOSE = b""


def answer(body: bytes = b"<html></html>", status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """An HTTP answer; `length` lies about the body's."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class Server:
    """A running server.

    Attributes:
        host: host:port.
        asked: (time, path, headers as sent) of every request.
        connections: how often it was connected to; most_open: at the same time.
        pause: seconds between the pieces of an answer that is a list of them.
    """

    host: str = ""
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    answers: Answers = field(default_factory=dict)
    latency: float = 0.0
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    pause: float = 0.0

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def times(self, prefix: str = "/p") -> list[float]:
        """When paths that begin so were asked for."""
        return [at for at, path, _ in self.asked if path.startswith(prefix)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                text = head.decode("latin-1")
                path = text.split(" ")[1]
                times = sum(1 for _, known, _ in self.asked if known == path)
                self.asked.append((time.time(), path, text))
                if self.latency:
                    await asyncio.sleep(self.latency)
                given = self.answers.get(path, answer(b"", "404 Not Found") if path == "/robots.txt" else answer())
                data = given(times) if callable(given) else given
                for piece in data if isinstance(data, list) else [data]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(self.pause)
                if data == CLOSE or b"\r\nConnection: close" in b"".join(data if isinstance(data, list) else [data]):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except asyncio.CancelledError:
            return  # the test is done with it
        finally:
            self.open_now -= 1
            writer.close()


@contextmanager
def running(
    answers: Answers | None = None,
    latency: float = 0.0,
    address: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> Iterator[Server]:
    """The server, in a thread of its own until the test is done with it."""
    server = Server(answers=answers or {}, latency=latency)
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(server.serve, address, port, ssl=tls))
    server.host = f"{address}:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_all(listening: asyncio.Server) -> None:
    """Stop listening and cancel the connections that clients have left open."""
    listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
