"""The addresses in a page that the crawl follows: anchors, the page's own data, and the further pages of a list.

A list says on its first page how long it is, so all its pages are known at once and none has to be waited for.
"""

import hashlib
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

from selectolax.lexbor import LexborHTMLParser

from lib.config import CrawlSettings
from lib.crawl.parsers import api_json, embedded_json
from lib.crawl.parsers.item import NotParsedError
from lib.crawl.parsers.text import at, decoded
from lib.crawl.request import Link
from lib.crawl.urls import Scope, canonical

MOST_LINKS = 5000
PAGE, SIZE = "pagingIndex", "pagingSize"
# What a page without it says; R3's.
USUAL_SIZE = 40


def links(
    kind: str, url: str, body: bytes, content_type: str | None, scope: Scope, settings: CrawlSettings
) -> list[Link]:
    """The links to follow in a page of status 200, each once, in the page's order; none in what cannot be read."""
    try:
        text = decoded(body, content_type)
        found = _api_pages(url, text, settings) if kind == "api" else _page_links(kind, url, text, settings)
        return _followed(found, url, scope, settings)
    except (NotParsedError, RecursionError):
        return []


def _page_links(kind: str, url: str, text: str, settings: CrawlSettings) -> Iterator[str]:
    if kind == "product":
        return
    data = None
    if kind == "list":
        try:
            data = embedded_json.data(text)
        except NotParsedError:
            data = None
        yield from _list_pages(url, data, settings)
        rows = at(embedded_json.products(data), "list")
        for row in rows if isinstance(rows, list) else []:
            address = at(row, "item", "productUrl")
            if isinstance(address, str):
                yield address
    yield from _anchors(text)


def _anchors(text: str) -> Iterator[str]:
    page = LexborHTMLParser(text)
    robots = page.css_first('meta[name="robots"]')
    if robots is not None and "nofollow" in (robots.attributes.get("content") or "").lower():
        return
    for node in page.css("a[href]"):
        if "nofollow" not in (node.attributes.get("rel") or "").lower():
            yield node.attributes.get("href") or ""


def _list_pages(url: str, data: object, settings: CrawlSettings) -> Iterator[str]:
    """All pages of the list that the address is one of."""
    total = at(embedded_json.products(data), "total")
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    size = _count(query.get(SIZE)) or USUAL_SIZE
    if not isinstance(total, int) or isinstance(total, bool) or total < 1:
        return
    for page in range(1, min(-(-total // size), settings.max_list_pages) + 1):
        yield parts._replace(query=urlencode({**query, PAGE: page})).geturl()


def _api_pages(url: str, text: str, settings: CrawlSettings) -> Iterator[str]:
    """All answers to the query that the address is of, to the last one the API serves."""
    total = api_json.answer(text)[0]
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    display = _count(query.get("display"))
    last = max(
        (api.last_start for api in settings.apis if url.partition("?")[0] == api.url.partition("?")[0]), default=0
    )
    if display and isinstance(total, int):
        for start in range(1, min(total, last) + 1, display):
            yield parts._replace(query=urlencode({**query, "start": start})).geturl()


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and 0 < len(text) < 6 else None


def _followed(found: Iterable[str], base: str, scope: Scope, settings: CrawlSettings) -> list[Link]:
    kept: dict[str, Link] = {}
    for address in found:
        url = canonical(address, base)
        kind = None if url is None else scope.kind_of(url)
        if url is None or kind is None or url in kept or url == base:
            continue
        if kind == "list" and _page_number(url) > settings.max_list_pages:
            continue
        if kind != "product" or _drawn(url, settings.detail_share):
            kept[url] = Link(url, kind)
        if len(kept) == MOST_LINKS:
            break
    return list(kept.values())


def _page_number(url: str) -> int:
    return _count(dict(parse_qsl(urlsplit(url).query)).get(PAGE)) or 1


def _drawn(url: str, share: float) -> bool:
    """Whether the address is among the share that is followed; without its host, whose port may change."""
    parts = urlsplit(url)
    place = hashlib.sha256(f"{parts.hostname}{parts.path}?{parts.query}".encode()).digest()
    return int.from_bytes(place[:6], "big") / 2**48 < share
