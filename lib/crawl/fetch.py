"""One request and its answer, bounded in time and size whatever the site does.

A failure has a code of our own and never a word of the site's. Redirects are not followed: they are answers, and where
they lead is asked for in its own turn.
"""

import asyncio
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore

from lib.config import CrawlSettings
from lib.crawl.addresses import AddressRefusedError, CheckedBackend, Resolver, resolve
from lib.crawl.request import Request

MOST_HEADERS, LONGEST_HEADER = 100, 1000
# Sessions are not for keeping.
DROPPED_HEADERS = frozenset({"set-cookie", "set-cookie2"})
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
Headers = tuple[tuple[str, str], ...]


class FetchError(Exception):
    """A request without a usable answer.

    Attributes:
        code: timeout, connect_failed, refused_address, disconnected, truncated, protocol_error, too_large,
            decoded_too_large, bad_encoding, no_secret.
        passing: whether another attempt may do better.
    """

    def __init__(self, code: str, *, passing: bool = True) -> None:
        super().__init__(code)
        self.code, self.passing = code, passing


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        body: unpacked.
        packed: the body as one gzip member, where the site sent it so.
        sent_bytes: of the body on the wire.
        seconds: until it was complete.
    """

    status: int
    headers: Headers
    body: bytes
    packed: bytes | None
    sent_bytes: int
    seconds: float

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


class Fetcher:
    """Asks one host, over connections that are kept; use as an asynchronous context manager."""

    def __init__(self, settings: CrawlSettings, in_flight: int, resolver: Resolver = resolve) -> None:
        self._settings = settings
        backend = CheckedBackend(allow_loopback=settings.allow_loopback, resolver=resolver)
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=in_flight, keepalive_expiry=30, network_backend=backend, http2=False
        )
        self._timeouts = {
            "connect": settings.connect_seconds, "read": settings.read_seconds, "write": settings.read_seconds,
            "pool": settings.total_seconds,
        }  # fmt: skip

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()

    async def get(self, request: Request) -> Answer:
        """The answer to one GET.

        Raises:
            FetchError: there was none that can be used.
        """
        headers = _headers(request, self._settings)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.total_seconds):
                return await self._get(request.url, headers, started)
        except TimeoutError:
            raise FetchError("timeout") from None

    async def _get(self, url: str, headers: Sequence[tuple[bytes, bytes]], started: float) -> Answer:
        try:
            extensions = {"timeout": self._timeouts}
            async with self._pool.stream("GET", url, headers=list(headers), extensions=extensions) as response:
                found = _kept_headers(response.headers)
                encoding = next((value for name, value in found if name == "content-encoding"), "")
                reader = _Body(encoding, self._settings)
                async for chunk in response.aiter_stream():
                    reader.feed(chunk)
                body, packed = reader.end()
        except (httpcore.TimeoutException, AddressRefusedError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise _as_fetch_error(error) from None
        return Answer(response.status, found, body, packed, reader.sent, time.monotonic() - started)


def _as_fetch_error(error: Exception) -> FetchError:
    if isinstance(error, httpcore.TimeoutException):
        return FetchError("timeout")
    if isinstance(error, AddressRefusedError):
        return FetchError("refused_address", passing=False)
    if isinstance(error, httpcore.ConnectError):
        return FetchError("connect_failed")
    # h11 tells a body that ended early from other breaches of the protocol only in its words.
    if isinstance(error, httpcore.ReadError) or "incomplete" in str(error) or "complete message body" in str(error):
        return FetchError("truncated")
    if "disconnected" in str(error):
        return FetchError("disconnected")
    return FetchError("protocol_error")


def _headers(request: Request, settings: CrawlSettings) -> list[tuple[bytes, bytes]]:
    """What is sent; the API's secret to the API alone."""
    given = {
        "Host": urlsplit(request.url).netloc, "User-Agent": settings.user_agent,
        "Accept": "application/json" if request.kind == "api" else "text/html,application/xhtml+xml,*/*;q=0.5",
        "Accept-Encoding": "gzip, deflate",
    }  # fmt: skip
    if request.etag:
        given["If-None-Match"] = request.etag
    if request.last_modified:
        given["If-Modified-Since"] = request.last_modified
    if request.kind == "api":
        given |= _secrets(request.url, settings)
    return [(name.encode(), value.encode("utf-8", "replace")) for name, value in given.items()]


def _secrets(url: str, settings: CrawlSettings) -> dict[str, str]:
    """Client id and secret of the API that the address is of, from the environment.

    Raises:
        FetchError: one is not set there.
    """
    for api in settings.apis:
        if url.partition("?")[0] == api.url.partition("?")[0]:
            names = {api.client_id_header: api.client_id_variable, api.client_secret_header: api.client_secret_variable}
            found = {header: os.environ.get(variable, "") for header, variable in names.items()}
            if not all(found.values()):
                raise FetchError("no_secret", passing=False)
            return found
    return {}


def _kept_headers(given: Sequence[tuple[bytes, bytes]]) -> Headers:
    named = ((name.decode("latin-1").lower(), value) for name, value in given)
    kept = [(name, value.decode("utf-8", "replace")[:LONGEST_HEADER]) for name, value in named
            if name not in DROPPED_HEADERS]  # fmt: skip
    return tuple((name[:LONGEST_HEADER], value.replace("\0", "")) for name, value in kept[:MOST_HEADERS])


class _Body:
    """Collects and unpacks a body within its bounds, piece by piece."""

    def __init__(self, encoding: str, settings: CrawlSettings) -> None:
        self.sent = 0
        self._most_sent, self._most = settings.max_body_bytes, settings.max_decoded_bytes
        self._encoding = encoding.strip().lower()
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise FetchError("bad_encoding", passing=False)
        self._gzip = self._encoding in ("gzip", "x-gzip")
        self._unpack = zlib.decompressobj(_GZIP) if self._gzip else None
        self._raw: list[bytes] = []
        self._unpacked: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        self.sent += len(chunk)
        if self.sent > self._most_sent:
            raise FetchError("too_large", passing=False)
        self._raw.append(chunk)
        if self._encoding == "deflate" and self._unpack is None and chunk:
            # Half of the servers that say deflate send it without zlib's header.
            self._unpack = zlib.decompressobj(_ZLIB if chunk[0] & 0x0F == 8 else _RAW_DEFLATE)
        if self._unpack is None:
            self._keep(chunk)
            return
        try:
            while chunk and not self._unpack.eof:
                self._keep(self._unpack.decompress(chunk, self._most - self._size + 1))
                chunk = self._unpack.unconsumed_tail
        except zlib.error:
            raise FetchError("bad_encoding") from None

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise FetchError("decoded_too_large", passing=False)
        self._unpacked.append(piece)

    def end(self) -> tuple[bytes, bytes | None]:
        """The whole body, and it as the site packed it if that was one gzip member."""
        if self._unpack is not None and not self._unpack.eof and self.sent:
            raise FetchError("truncated")
        whole = self._gzip and self._unpack is not None and self._unpack.eof and not self._unpack.unused_data
        return b"".join(self._unpacked), b"".join(self._raw) if whole else None
