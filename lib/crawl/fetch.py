"""One request and its answer, bounded in time and size whatever the site does.

A failure has a code of our own and never a word of the site's. Redirects are not followed: they are answers, and where
they lead is asked for in its own turn.
"""

import asyncio
import os
import re
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from urllib.parse import urlsplit

import certifi
import httpcore

from lib.config import ApiSettings, CrawlSettings
from lib.crawl.addresses import AddressRefusedError, CheckedBackend, Resolver, UnknownNameError, resolve
from lib.crawl.body import Body, FetchError
from lib.crawl.request import PICTURE, Request
from lib.crawl.urls import apis_by_address

__all__ = ["Answer", "FetchError", "Fetcher"]

if find_spec("sniffio") is None:
    # httpcore searches for it at every lock it makes, in vain: a third of what a small page costs. None ends that.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

NOT_MODIFIED = 304
MOST_HEADERS, LONGEST_HEADER = 100, 1000
# Sessions are not for keeping.
DROPPED_HEADERS = frozenset({"set-cookie", "set-cookie2"})
KEPT_OPEN_SECONDS = 30.0
# What may be sent as a header's value: what a site made of its ETag, or a file of its line ends, may not.
_SENDABLE = re.compile(r"[!-~]([ -~]*[!-~])?")
_CONDITIONS = frozenset({b"If-None-Match", b"If-Modified-Since"})
Headers = tuple[tuple[str, str], ...]
# What is asked for, by the kind of address; all else is a page.
_ACCEPT = {"api": "application/json", PICTURE: "image/jpeg,image/png,image/webp,image/gif,*/*;q=0.1"}
_ACCEPT_PAGE = "text/html,application/xhtml+xml,*/*;q=0.5"
_FAULTS = (
    httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, AddressRefusedError,
    OSError,  # TLS that breaks off in the middle comes as Python's own error
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        location: where a redirect leads, as it was sent; None where there is none, or one that is no address.
        body: unpacked.
        packed: the body as one gzip member, where the site sent it so.
        sent_bytes: of the body on the wire.
        latency: seconds until the headers were there.
        seconds: until it was complete.
    """

    status: int
    headers: Headers
    location: str | None
    body: bytes
    packed: bytes | None
    sent_bytes: int
    latency: float
    seconds: float

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


class Fetcher:
    """Asks one host, over connections that are kept; use as an asynchronous context manager."""

    def __init__(
        self, settings: CrawlSettings, in_flight: int, resolver: Resolver = resolve, tls: ssl.SSLContext | None = None
    ) -> None:
        """`resolver` and `tls` (how names are resolved, whose certificates are trusted): others in tests only."""
        self._settings = settings
        self._apis = apis_by_address(settings)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or _tls(), max_connections=in_flight, keepalive_expiry=KEPT_OPEN_SECONDS, http2=False,
            network_backend=CheckedBackend(allow_loopback=settings.allow_loopback, resolver=resolver),
        )  # fmt: skip
        self._timeouts = {
            "connect": settings.connect_seconds, "read": settings.read_seconds, "write": settings.read_seconds,
            "pool": settings.total_seconds,
        }  # fmt: skip

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()

    async def get(self, request: Request, only_first: int | None = None) -> Answer:
        """The answer to one GET.

        Args:
            only_first: unpacked bytes of the body that are wanted; the rest is left unread.

        Raises:
            FetchError: there was none that can be used.
        """
        headers = self._headers(request)
        try:
            async with asyncio.timeout(self._settings.total_seconds):
                return await self._get(request.url, headers, only_first)
        except TimeoutError:
            raise FetchError("timeout") from None

    async def _get(self, url: str, headers: list[tuple[bytes, bytes]], only_first: int | None) -> Answer:
        started = time.monotonic()
        latency: float | None = None
        try:
            async with self._pool.stream(
                "GET", url, headers=headers, extensions={"timeout": self._timeouts}
            ) as response:
                latency = time.monotonic() - started
                _check_status(response.status, headers)
                found = _kept_headers(response.headers)
                reader = Body(
                    _encoding(response.headers),
                    self._settings.max_body_bytes,
                    self._settings.max_decoded_bytes,
                    only_first,
                )
                async for chunk in response.aiter_stream():
                    reader.feed(chunk)
                    if reader.is_full:
                        break
                body, packed = reader.end()
        except _FAULTS as error:
            raise _as_fetch_error(error, answered=latency is not None) from None
        seconds = time.monotonic() - started
        return Answer(
            response.status, found, _location(response.headers), body, packed, reader.sent, latency, seconds
        )  # fmt: skip

    def _headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """What is sent; the API's secret to the API alone."""
        given = {
            "Host": urlsplit(request.url).netloc, "User-Agent": self._settings.user_agent,
            "Accept": _ACCEPT.get(request.kind, _ACCEPT_PAGE), "Accept-Encoding": "gzip, deflate",
        }  # fmt: skip
        if request.etag is not None and _SENDABLE.fullmatch(request.etag):
            given["If-None-Match"] = request.etag
        if request.last_modified is not None and _SENDABLE.fullmatch(request.last_modified):
            given["If-Modified-Since"] = request.last_modified
        api = self._apis.get(request.url.partition("?")[0]) if request.kind == "api" else None
        if api is not None:
            given |= _secrets(api)
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in given.items()]


@cache
def _tls() -> ssl.SSLContext:
    """One for all hosts: to read the authorities' certificates takes as long as a hundred small pages."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _check_status(status: int, sent: Sequence[tuple[bytes, bytes]]) -> None:
    """Only what HTTP knows, and "not modified" only where that was asked.

    Raises:
        FetchError: it is something else.
    """
    if not 200 <= status <= 599:
        raise FetchError("protocol_error")
    if status == NOT_MODIFIED and not any(name in _CONDITIONS for name, _ in sent):
        raise FetchError("unasked_304")


def _as_fetch_error(error: Exception, *, answered: bool) -> FetchError:
    """The code for what went wrong before (or, `answered`, after) the headers had come."""
    if isinstance(error, AddressRefusedError):
        return FetchError("refused_address", passing=False)
    if isinstance(error, httpcore.TimeoutException | TimeoutError):
        return FetchError("timeout")
    if isinstance(error, UnknownNameError):
        return FetchError("dns_failed")
    if isinstance(error, httpcore.ConnectError):
        return FetchError("connect_failed")
    # h11 tells connections that ended early from other breaches of the protocol only in its words.
    ended = isinstance(error, httpcore.NetworkError | OSError) or "disconnected" in str(error)
    if ended or "complete message body" in str(error):
        return FetchError("truncated" if answered else "disconnected")
    return FetchError("protocol_error")


def _secrets(api: ApiSettings) -> dict[str, str]:
    """The API's headers with client id and secret from the environment.

    Raises:
        FetchError: one is not set there, or is no text that could be one.
    """
    names = {api.client_id_header: api.client_id_variable, api.client_secret_header: api.client_secret_variable}
    found = {header: os.environ.get(variable, "").strip() for header, variable in names.items()}
    if not all(_SENDABLE.fullmatch(value) for value in found.values()):
        raise FetchError("no_secret", passing=False)
    return found


def _values(given: Sequence[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Of all headers of that (lower-case) name."""
    return [value.strip() for found, value in given if found.lower() == name]


def _encoding(given: Sequence[tuple[bytes, bytes]]) -> str:
    """How the body is packed; several headers mean one after the other, which `Body` refuses."""
    return ",".join(value.decode("latin-1") for value in _values(given, b"content-encoding"))


def _location(given: Sequence[tuple[bytes, bytes]]) -> str | None:
    found = _values(given, b"location")
    try:
        text = found[0].decode("utf-8") if found else None
    except UnicodeDecodeError:
        return None
    return text if text is not None and text.isprintable() else None


def _kept_headers(given: Sequence[tuple[bytes, bytes]]) -> Headers:
    named = ((name.decode("latin-1").lower(), value) for name, value in given)
    kept = [(name, value) for name, value in named if name not in DROPPED_HEADERS][:MOST_HEADERS]
    return tuple((name[:LONGEST_HEADER], _text(value)) for name, value in kept)


def _text(value: bytes) -> str:
    """A header's value without what is no text."""
    decoded = value[:LONGEST_HEADER].decode("utf-8", "replace")
    return decoded if decoded.isprintable() else "".join(letter for letter in decoded if letter.isprintable())
