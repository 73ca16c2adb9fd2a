"""The site's answers, as an ASGI application: what a path leads to, how it is sent, and what goes wrong with it."""

import asyncio
import gzip
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

from lib.config import MarketSettings
from lib.marketplace import feed
from lib.marketplace.offers import Market
from lib.marketplace.site.catalogue import Catalogue
from lib.marketplace.site.faults import ROBOTS_FORBID_ALL, Faults
from lib.marketplace.site.pages import FORBIDDEN, LIST_PATH, Pages, encoded
from lib.marketplace.site.pictures import Pictures
from lib.marketplace.site.search_api import SearchApi

Scope = Mapping[str, Any]
HTML, JSON, JPEG = "text/html", "application/json", "image/jpeg"
TSV, PLAIN, BYTES = "text/tab-separated-values", "text/plain", "application/octet-stream"
# A feed is sent so many offers at a time.
FEED_SLOTS = 5000
PACKED_FROM = 500
LOG_SECONDS = 0.5


@dataclass(frozen=True)
class Answer:
    """What a path leads to, before it is sent."""

    body: bytes
    kind: str = HTML
    status: int = 200
    headers: tuple[tuple[str, str], ...] = field(default=())


NOT_FOUND = Answer(b"<html><body>404</body></html>", status=404)


class Site:
    """One month of a market as an ASGI application.

    Args:
        connections: client address -> its connection, which a fault may cut.
        log: where requests are written as JSON lines; None: nowhere.
    """

    def __init__(
        self, settings: MarketSettings, month: str, port: int, connections: Mapping[Any, Any], log: str | None
    ) -> None:
        market = Market(settings)
        first = settings.site.first_address
        origins = {"platform": f"http://127.0.0.{first}:{port}"}
        origins |= {mall.id: f"http://127.0.0.{first + 1 + place}:{port}" for place, mall in enumerate(settings.malls)}
        self._settings, self._market, self._connections = settings.site, market, connections
        self._host_names = {origin.removeprefix("http://"): name for name, origin in origins.items()}
        self._catalogue = Catalogue(market, month)
        self._pages = Pages(market, origins)
        self._api = SearchApi(self._catalogue, self._pages, settings.site.api_daily_quota)
        self._pictures = Pictures(market, settings.site.picture_size)
        self._faults = Faults(settings.site.faults)
        self._charset = "cp949" if settings.site.faults.cp949 else "utf-8"
        year, number = month.split("-")
        self._modified = format_datetime(datetime(int(year), int(number), 1, tzinfo=UTC), usegmt=True)
        self._log = open(log, "a", encoding="utf-8") if log else None  # noqa: SIM115, PTH123 until the process ends
        self._logged = 0.0

    async def __call__(self, scope: Scope, _receive: Any, send: Any) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        raw_query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{raw_query}" if raw_query else "")
        host = headers.get("host", "")
        fault = None if target == "/robots.txt" else self._faults.draw(host, target)
        if self._settings.latency_seconds:
            await asyncio.sleep(self._settings.latency_seconds)
        if fault == "dropped":
            self._write(host, target, 0)
            self._cut(scope)
            return
        if fault == "slow":
            await asyncio.sleep(self._faults.settings.slow_seconds)
        if scope["path"].startswith("/ep/") and fault is None:
            await self._send_feed(scope["path"], send)
            self._write(host, target, 200)
            return
        query = dict(parse_qsl(raw_query, keep_blank_values=True, max_num_fields=50))
        found = self._spoilt(fault, target) or self._found(scope["path"], query, headers, host)
        found = self._for(found, headers)
        self._write(host, target, found.status)
        await self._send(found, send, scope, truncated=fault == "truncated")

    # --- what a path leads to

    def _found(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], host: str) -> Answer:
        if path == "/robots.txt":
            return self._robots(host)
        if path in ("/", "/category/category.nhn"):
            return self._tree(query)
        if path == LIST_PATH:
            return self._list(query)
        if path == "/v1/search/shop.json":
            status, data = self._api.answer(headers, query)
            return Answer(json.dumps(data, ensure_ascii=False).encode(), JSON, status)
        parts = path.strip("/").split("/")
        if parts[0] == "product" and len(parts) == 3:
            offer = self._catalogue.offer(parts[1], parts[2])
            return NOT_FOUND if offer is None else self._html(self._pages.product(offer))
        if parts[0] == "pictures" and len(parts) == 2:
            number = parts[1].removesuffix(".jpg")
            known = number.isascii() and number.isdigit() and len(number) < 16
            return Answer(self._pictures.jpeg(int(number)), JPEG) if known else NOT_FOUND
        return NOT_FOUND

    def _html(self, page: str) -> Answer:
        return Answer(encoded(page, self._charset, new_layout=self._faults.settings.new_layout))

    def _robots(self, host: str) -> Answer:
        special = self._faults.settings.robots
        if special == "forbid_all":
            return Answer(ROBOTS_FORBID_ALL.encode(), PLAIN)
        if special == "server_error":
            return Answer(b"", PLAIN, 500)
        if special == "not_found":
            return NOT_FOUND
        if special == "garbage":
            return Answer(_noise(host), PLAIN)
        rules = ["User-agent: *", *(f"Disallow: {path}" for path in FORBIDDEN)]
        delay = self._settings.crawl_delay.get(self._host_names.get(host, ""))
        return Answer("\n".join([*rules, *([f"Crawl-delay: {delay:g}"] if delay else []), ""]).encode(), PLAIN)

    def _tree(self, query: Mapping[str, str]) -> Answer:
        leaves = self._market.taxonomy.leaves
        if "cat_id" in query:
            leaf = self._catalogue.leaf(query["cat_id"])
            if leaf is None:
                return NOT_FOUND
            leaves = [leaves[leaf]]
        return self._html(self._pages.tree(leaves))

    def _list(self, query: Mapping[str, str]) -> Answer:
        leaf = self._catalogue.leaf(query.get("cat_id", ""))
        page, size = _positive(query.get("pagingIndex", "1")), _positive(query.get("pagingSize", "40"))
        if leaf is None or page is None or size is None:
            return NOT_FOUND
        size = min(size, self._settings.page_size_limit)
        slots = self._catalogue.slots(leaf)
        shown = self._catalogue.offers(slots[(page - 1) * size : page * size])
        endless = self._faults.settings.endless_pages
        text = self._pages.listing(self._market.taxonomy.leaves[leaf], shown, page, size, len(slots), endless=endless)
        return self._html(text)

    # --- how it is sent

    def _for(self, found: Answer, headers: Mapping[str, str]) -> Answer:
        """With validators, unchanged where the client has it already, packed where it can unpack."""
        if found.status != 200 or found.headers:
            return found
        tag = f'"{hashlib.sha256(found.body).hexdigest()[:24]}"'
        given: tuple[tuple[str, str], ...] = (("etag", tag), ("last-modified", self._modified))
        if headers.get("if-none-match") == tag:
            return Answer(b"", found.kind, 304, given)
        body = found.body
        if found.kind in (HTML, JSON) and len(body) > PACKED_FROM and "gzip" in headers.get("accept-encoding", ""):
            body, given = gzip.compress(body, 1, mtime=0), (*given, ("content-encoding", "gzip"))
        return replace(found, body=body, headers=given)

    async def _send(self, found: Answer, send: Any, scope: Scope, *, truncated: bool) -> None:
        charset = f"; charset={self._charset}" if found.kind == HTML else ""
        headers = [("content-type", found.kind + charset), *found.headers]
        if found.status != 304:
            headers.append(("content-length", str(len(found.body))))
        packed = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": found.status, "headers": packed})
        if truncated:
            await send({"type": "http.response.body", "body": found.body[: len(found.body) // 2], "more_body": True})
            await asyncio.sleep(0)
            self._cut(scope)
            return
        await send({"type": "http.response.body", "body": found.body})

    async def _send_feed(self, path: str, send: Any) -> None:
        """A mall's whole EP feed, in pieces."""
        slots = self._catalogue.slots_of_mall(path.removeprefix("/ep/").removesuffix(".tsv"))
        kind = TSV if slots is not None else HTML
        await send({"type": "http.response.start", "status": 404 if slots is None else 200,
                    "headers": [(b"content-type", f"{kind}; charset=utf-8".encode())]})  # fmt: skip
        if slots is not None:
            async for piece in self._feed_pieces(slots):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _feed_pieces(self, slots: Any) -> AsyncIterator[bytes]:
        yield ("\t".join(feed.COLUMNS) + "\n").encode()
        for start in range(0, len(slots), FEED_SLOTS):
            offers = self._catalogue.offers(slots[start : start + FEED_SLOTS])
            yield "".join("\t".join(str(offer[name]) for name in feed.COLUMNS) + "\n" for offer in offers).encode()

    def _spoilt(self, fault: str | None, target: str) -> Answer | None:
        """The answer of a fault that is one; None where there is none, or it concerns how an answer is sent."""
        given = self._faults.settings
        if fault is None or fault in ("slow", "truncated"):
            return None
        if fault.startswith("status "):
            status = int(fault.removeprefix("status "))
            wait = (("retry-after", str(given.retry_after)),) if status == 503 else (("cache-control", "no-store"),)
            return Answer(b"<html><body>fault</body></html>", status=status, headers=wait)
        if fault == "too_many":
            return Answer(b"", PLAIN, 429, (("retry-after", str(given.retry_after)),))
        if fault == "wrong_type":
            return Answer(_noise(target), BYTES, headers=(("cache-control", "no-store"),))
        if fault == "bomb":
            return Answer(_bomb(given.bomb_bytes), headers=(("content-encoding", "gzip"),))
        elsewhere = target.removeprefix("/loop") if target.startswith("/loop") else f"/loop{target}"
        return Answer(b"", PLAIN, 302, (("location", elsewhere),))

    def _cut(self, scope: Scope) -> None:
        """End the client's connection after what was written to it."""
        connection = self._connections.get(tuple(scope["client"]))
        if connection is not None:
            connection.close()

    def _write(self, host: str, target: str, status: int) -> None:
        if self._log is None:
            return
        now = time.time()
        self._log.write(json.dumps({"time": now, "host": host, "path": target, "status": status}) + "\n")
        if now - self._logged > LOG_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Let the log be read."""
        if self._log is not None:
            self._log.flush()
            self._logged = time.time()


def _bomb(size: int) -> bytes:
    return gzip.compress(bytes(size), 9, mtime=0)


def _noise(text: str) -> bytes:
    return random.Random(text).randbytes(2000)  # noqa: S311 the same at every run


def _positive(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 9 and int(text) > 0 else None
