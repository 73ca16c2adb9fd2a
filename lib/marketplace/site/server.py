"""The site's process: `python -m lib.marketplace.site.server`, told what to serve on standard input.

It ends when standard input does, so that it never outlives who started it, however that ended.
"""

import asyncio
import errno
import json
import socket
import sys
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lib.config import MarketSettings
from lib.marketplace.site.application import LOG_SECONDS, Site

PORT_ATTEMPTS = 50
BACKLOG = 512
CONNECTIONS: dict[Any, Any] = {}


class Protocol(H11Protocol):
    """uvicorn's, remembering each client's connection so that a fault can cut it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        CONNECTIONS[tuple(transport.get_extra_info("peername"))] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        CONNECTIONS.pop(tuple(self.transport.get_extra_info("peername") or ()), None)
        super().connection_lost(exc)


def listen(addresses: list[str], port: int) -> list[socket.socket]:
    """A socket on each address, all on one port; 0: a free one.

    Raises:
        OSError: the port is taken.
    """
    for attempt in range(PORT_ATTEMPTS):
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                # asyncio sends small answers at once only where the protocol is named.
                made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
                sockets.append(made)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((address, port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)))
                made.listen(BACKLOG)
        except OSError as error:
            for made in sockets:
                made.close()
            if port or error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                raise
        else:
            return sockets
    raise AssertionError("unreachable")


async def serve(site: Site, sockets: list[socket.socket]) -> None:
    """Serve until standard input ends."""
    config = uvicorn.Config(
        site, http=Protocol, lifespan="off", access_log=False, log_config=None, timeout_keep_alive=60,
        server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def end() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    running = asyncio.create_task(server.serve(sockets))
    while not running.done():
        await asyncio.wait([running], timeout=LOG_SECONDS)
        site.flush()


def main() -> None:
    """Read what to serve, say where, and serve it."""
    given = json.loads(sys.stdin.buffer.readline())
    settings = MarketSettings.model_validate(given["settings"])
    first = settings.site.first_address
    addresses = [f"127.0.0.{first + place}" for place in range(len(settings.malls) + 1)]
    try:
        sockets = listen(addresses, given["port"])
    except OSError as error:
        print(json.dumps({"error": str(error.strerror)}), flush=True)  # noqa: T201 the answer to who started it
        return
    port = sockets[0].getsockname()[1]
    site = Site(settings, given["month"], port, CONNECTIONS, given["log"])
    print(json.dumps({"port": port}), flush=True)  # noqa: T201
    asyncio.run(serve(site, sockets))


if __name__ == "__main__":
    main()
