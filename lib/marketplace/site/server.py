"""The site's process: `python -m lib.marketplace.site.server`, told what to serve on standard input.

It ends when standard input does or its parent is another, so that it never outlives who started it, however that ended.
"""

import asyncio
import errno
import json
import os
import socket
import sys
import threading
from asyncio import Transport
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lib.config import MarketSettings
from lib.errors import UserError
from lib.marketplace.site.application import Site
from lib.marketplace.site.request_log import FLUSH_SECONDS, RequestLog

PORT_ATTEMPTS = 50
# A crawl opens a few connections to each host at once; more wait here than any of them opens.
BACKLOG = 512
KEEP_ALIVE_SECONDS = 60


class Protocol(H11Protocol):
    """uvicorn's, telling the application each client's connection, so that a fault can cut it."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": transport}


def listen(addresses: list[str], port: int) -> list[socket.socket]:
    """A socket on each address, all on one port; 0: a free one.

    Raises:
        OSError: the port is taken, or this machine has no such address.
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


def server_of(site: Site) -> uvicorn.Server:
    """A server of the site, which ends when its `should_exit` is set."""
    config = uvicorn.Config(
        site, http=Protocol, ws="none", lifespan="off", log_config=None, log_level="error", access_log=False,
        proxy_headers=False, server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


async def serve(server: uvicorn.Server, sockets: list[socket.socket], log: RequestLog, parent: int) -> None:
    """Serve until the server shall exit or the process of that number is no longer this one's parent."""
    running = asyncio.create_task(server.serve(sockets))
    while not running.done():
        await asyncio.wait([running], timeout=FLUSH_SECONDS)
        # Another child of the parent may hold the other end of standard input and live on.
        server.should_exit |= os.getppid() != parent
        log.flush()
    await running


def end_with_input(server: uvicorn.Server) -> None:
    """Let the server exit when standard input ends."""
    sys.stdin.buffer.read()
    server.should_exit = True


def answer(**facts: Any) -> None:
    """Tell who started the process."""
    print(json.dumps(facts), flush=True)  # noqa: T201


def main() -> None:
    """Read what to serve, say where, and serve it."""
    given = json.loads(sys.stdin.buffer.readline())
    settings = MarketSettings.model_validate(given["settings"])
    first = settings.site.first_address
    try:
        sockets = listen([f"127.0.0.{first + place}" for place in range(len(settings.malls) + 1)], given["port"])
    except OSError as error:
        answer(taken=str(error.strerror))
        return
    log = RequestLog(given["log"])
    port = sockets[0].getsockname()[1]
    try:
        site = Site(settings, given["month"], port, log)
    except UserError as error:
        answer(refused=str(error))
        return
    answer(port=port)
    server = server_of(site)
    threading.Thread(target=end_with_input, args=(server,), daemon=True).start()
    asyncio.run(serve(server, sockets, log, given["parent"]))


if __name__ == "__main__":
    main()
