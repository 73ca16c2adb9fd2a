"""The site's answers, as an ASGI application: what a path leads to, how it is sent, and what goes wrong with it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl

from lib.config import MarketSettings
from lib.marketplace.ep import COLUMNS
from lib.marketplace.offers import Market, settings_text
from lib.marketplace.site import answers, robots
from lib.marketplace.site.answers import HTML, JPEG, JSON, NOT_FOUND, PLAIN, TSV, Answer, Headers
from lib.marketplace.site.catalogue import Catalogue
from lib.marketplace.site.faults import Faults
from lib.marketplace.site.pages import API_PATH, LIST_PATH, TREE_PATH, USUAL_SIZE, Pages
from lib.marketplace.site.pictures import Pictures
from lib.marketplace.site.request_log import RequestLog
from lib.marketplace.site.search_api import SearchApi

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# A piece of a feed takes some 30 ms to make, which other requests wait for.
FEED_ROWS = 1000
MOST_PARAMETERS = 50
LARGEST_NUMBER = 99_999_999


class Connection(Protocol):
    """A client's connection, which a fault may cut."""

    def close(self) -> None:
        """Close it after what was written."""

    def is_closing(self) -> bool:
        """Whether it is closed, by whichever side."""


@dataclass(frozen=True)
class Request:
    """What a client asks for.

    Attributes:
        arrived: seconds since 1970.
        address: the site's address that it came to.
        target: path and query as sent.
        query: None where it has too many parameters.
    """

    arrived: float
    method: str
    address: str
    host: str
    path: str
    target: str
    query: Mapping[str, str] | None
    headers: Mapping[str, str]
    connection: Connection


class Site:
    """One month of a market as an ASGI application."""

    def __init__(self, settings: MarketSettings, month: str, port: int, log: RequestLog) -> None:
        market = Market(settings)
        first = settings.site.first_address
        names = ["platform", *market.malls.ids.tolist()]
        hosts = {f"127.0.0.{first + place}:{port}": name for place, name in enumerate(names)}
        faults = settings.site.faults
        charset = "cp949" if faults.cp949 else "utf-8"
        self._settings, self._market, self._log, self._names = settings.site, market, log, hosts
        self._catalogue = Catalogue(market, month)
        origins = {name: f"http://{host}" for host, name in hosts.items()}
        self._pages = Pages(market, origins, charset, new_layout=faults.new_layout)
        self._charset = {HTML: charset, JSON: "utf-8", TSV: "utf-8", PLAIN: "utf-8"}
        self._api = SearchApi(self._catalogue, self._pages, settings.site.api_daily_quota)
        self._pictures = Pictures(market, settings.site.picture_size)
        self._faults = Faults(faults)
        year, number = month.split("-")
        self._modified = format_datetime(datetime(int(year), int(number), 1, tzinfo=UTC), usegmt=True)
        # All that a feed's content follows from.
        self._edition = f"{settings_text(settings)} {month} {port}"

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = _request(scope)
        fault = None if request.path == robots.PATH else self._faults.draw(request.host, request.target)
        wait = self._settings.latency_seconds + (self._faults.settings.slow_seconds if fault == "slow" else 0)
        if wait:
            await asyncio.sleep(wait)
        if fault == "dropped":
            self._write(request, 0)
            await _cut(request.connection, receive)
            return
        spoilt = self._faults.answer(fault, request.target)
        if spoilt is None and request.path.startswith("/ep/"):
            whole = await self._send_feed(request, send, truncated=fault == "truncated")
        else:
            found = spoilt or answers.for_client(self._found(request), request.headers, self._modified)
            self._write(request, found.status)
            whole = await self._send(found, send, truncated=fault == "truncated")
        if not whole:
            await _cut(request.connection, receive)

    # --- what a path leads to

    def _found(self, request: Request) -> Answer:
        path, query = request.path, request.query
        if request.method not in ("GET", "HEAD"):
            return answers.NO_METHOD
        if query is None:
            return answers.NO_QUESTION
        if path == robots.PATH:
            return robots.robots(self._settings, self._names.get(request.host))
        if path in ("/", TREE_PATH):
            return self._tree(query)
        if path == LIST_PATH:
            return self._list(query)
        if path == API_PATH:
            status, data = self._api.answer(request.headers, query)
            return Answer(json.dumps(data, ensure_ascii=False).encode(), JSON, status)
        if path in robots.FORBIDDEN:
            return Answer(self._pages.forbidden(path))
        parts = path.removeprefix("/").split("/")
        if parts[0] == "product" and len(parts) == 3:
            offer = self._catalogue.offer(parts[1], parts[2])
            return NOT_FOUND if offer is None else Answer(self._pages.product(offer))
        if parts[0] == "pictures" and len(parts) == 2:
            return self._picture(parts[1])
        return NOT_FOUND

    def _tree(self, query: Mapping[str, str]) -> Answer:
        leaves = self._market.taxonomy.leaves
        if "cat_id" in query:
            leaf = self._catalogue.leaf(query["cat_id"])
            if leaf is None:
                return NOT_FOUND
            leaves = [leaves[leaf]]
        return Answer(self._pages.tree(leaves))

    def _list(self, query: Mapping[str, str]) -> Answer:
        leaf = self._catalogue.leaf(query.get("cat_id", ""))
        page = _positive(query.get("pagingIndex", "1"))
        size = _positive(query.get("pagingSize", str(USUAL_SIZE)))
        if leaf is None or page is None or size is None:
            return NOT_FOUND
        size = min(size, self._settings.page_size_limit)
        total = self._catalogue.length(leaf)
        shown = self._catalogue.listed(leaf, (page - 1) * size, page * size)
        if self._faults.settings.endless_pages:
            total = max(total, (page + 1) * size)
        return Answer(self._pages.listing(self._market.taxonomy.leaves[leaf], shown, page, size, total))

    def _picture(self, file: str) -> Answer:
        name, _, ending = file.partition(".")
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 16 else None
        if ending != "jpg" or number is None or not self._catalogue.has_picture(number):
            return NOT_FOUND
        return Answer(self._pictures.jpeg(number), JPEG)

    # --- how it is sent; False: only in part

    async def _send(self, found: Answer, send: Send, *, truncated: bool) -> bool:
        headers = found.headers if found.status == 304 else (*found.headers, ("content-length", str(len(found.body))))
        await send(self._start(found.status, found.kind, headers))
        if not truncated:
            await send({"type": "http.response.body", "body": found.body})
            return True
        await send({"type": "http.response.body", "body": found.body[: len(found.body) // 2], "more_body": True})
        return False

    async def _send_feed(self, request: Request, send: Send, *, truncated: bool) -> bool:
        """A mall's whole EP feed, in pieces."""
        mall = request.path.removeprefix("/ep/").removesuffix(".tsv")
        pieces = self._catalogue.feed(mall, FEED_ROWS) if request.path.endswith(".tsv") else None
        tag = answers.tag_of(f"{self._edition} {mall}".encode())
        headers = answers.validators(tag, self._modified)
        if pieces is None or request.method not in ("GET", "HEAD"):
            found = NOT_FOUND if pieces is None else answers.NO_METHOD
            self._write(request, found.status)
            return await self._send(found, send, truncated=truncated)
        if answers.has_already(request.headers, tag):
            self._write(request, 304)
            return await self._send(Answer(b"", TSV, 304, headers), send, truncated=False)
        self._write(request, 200)
        await send(self._start(200, TSV, headers))
        async for piece in self._feed_lines(mall, pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if truncated or request.method == "HEAD" or request.connection.is_closing():
                break
        if not truncated:
            await send({"type": "http.response.body", "body": b""})
        return not truncated

    async def _feed_lines(self, mall: str, pieces: Iterator[Mapping[str, list[str]]]) -> AsyncIterator[bytes]:
        """The feed with the addresses of this site."""
        yield ("\t".join(COLUMNS) + "\n").encode()
        for piece in pieces:
            pictures = [self._pages.picture_address(mall, link.rpartition("/")[2]) for link in piece["image_link"]]
            products = [self._pages.product_address(mall, own_id) for own_id in piece["id"]]
            told = {**piece, "link": products, "image_link": pictures}
            rows = zip(*(told[name] for name in COLUMNS), strict=True)
            yield "".join("\t".join(row) + "\n" for row in rows).encode()
            await asyncio.sleep(0)  # others' turn

    def _start(self, status: int, kind: str, headers: Headers) -> Message:
        charset = self._charset.get(kind)
        told = ("content-type", kind if charset is None else f"{kind}; charset={charset}")
        packed = [(name.encode(), value.encode("latin-1")) for name, value in (told, *headers)]
        return {"type": "http.response.start", "status": status, "headers": packed}

    def _write(self, request: Request, status: int) -> None:
        self._log.write(request.arrived, request.address, request.host, request.target, status)


def _request(scope: Mapping[str, Any]) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    raw_query = scope["query_string"].decode("latin-1")
    try:
        query = dict(parse_qsl(raw_query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS))
    except ValueError:
        query = None
    return Request(
        arrived=time.time(), method=scope["method"], address=scope["server"][0], host=headers.get("host", ""),
        path=scope["path"], target=scope["raw_path"].decode("latin-1") + (f"?{raw_query}" if raw_query else ""),
        query=query, headers=headers, connection=scope["state"]["connection"],
    )  # fmt: skip


async def _cut(connection: Connection, receive: Receive) -> None:
    """End the client's connection after what was written to it, and wait until it has ended."""
    connection.close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _positive(text: str) -> int | None:
    known = text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_NUMBER))
    return int(text) if known and int(text) > 0 else None
