"""The addresses in a page that the crawl follows: anchors, the page's own data, and the further pages of a list.

A list says on its first page how long it is, so all its pages are known at once and none has to be waited for.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from lib.config import CrawlSettings
from lib.crawl.parsers import api_json, embedded_json, list_html
from lib.crawl.parsers.item import MOST_ITEMS, NotParsedError
from lib.crawl.parsers.paging import PAGE, count, page_number, page_size, parameters, whole
from lib.crawl.parsers.text import at, decoded
from lib.crawl.parsers.tree import html_tree
from lib.crawl.request import PICTURE, Link
from lib.crawl.urls import Scope, canonical

MOST_LINKS = 5000
# Looked at in a page; and the letters of all addresses kept of it, which lie in `pages` once a page.
MOST_ANCHORS = 10_000
MOST_LETTERS = 1 << 20
# A list's data and its HTML name the same addresses, and all pages of a site the same few more.
_canonical = lru_cache(1024)(canonical)


def links(
    kind: str, url: str, body: bytes, content_type: str | None, scope: Scope, settings: CrawlSettings
) -> list[Link]:
    """The links to follow in a page of status 200, each once, in the page's order; none in what cannot be read."""
    if kind == PICTURE:
        return []
    try:
        text = decoded(body, content_type)
        found = _api_pages(url, text, settings) if kind == "api" else _page_links(kind, url, text, settings)
        return _followed(found, kind, url, scope, settings)
    except NotParsedError:
        return []


def _page_links(kind: str, url: str, text: str, settings: CrawlSettings) -> Iterator[str | None]:
    """Canonical addresses, and None for what is none."""
    if kind == "product":
        return
    page = html_tree(text)
    if _says_nofollow(page, settings.agent):
        return
    base = _base(page, url)
    anchors = [(_target(node, base), "nofollow" in _words(node, "rel")) for node in page.css("a[href]")[:MOST_ANCHORS]]
    refused = {target for target, nofollow in anchors if nofollow}
    listed = _listed(url, text, page, settings) if kind == "list" else iter(())
    yield from (found for found in listed if found not in refused)
    yield from (target for target, _ in anchors if target not in refused)


def _says_nofollow(page: LexborHTMLParser, agent: str) -> bool:
    """Whether a robots tag asks every crawler, or this one, to follow no link of the page."""
    return any(
        (node.attributes.get("name") or "").strip().lower() in ("robots", agent.lower())
        and not {"nofollow", "none"}.isdisjoint(_words(node, "content"))
        for node in page.css("meta[name][content]")
    )


def _words(node: LexborNode, attribute: str) -> list[str]:
    return (node.attributes.get(attribute) or "").lower().replace(",", " ").split()


def _base(page: LexborHTMLParser, url: str) -> str:
    """What the page's relative addresses start from."""
    node = page.css_first("base[href]")
    return (_target(node, url) or url) if node is not None else url


def _target(node: LexborNode, base: str) -> str | None:
    return _canonical(node.attributes.get("href") or "", base)


def _listed(url: str, text: str, page: LexborHTMLParser, settings: CrawlSettings) -> Iterator[str | None]:
    """Further pages and products of a list, as its data says; without data, further pages as its text says."""
    try:
        found = embedded_json.products(embedded_json.data(text))
    except NotParsedError:
        return
    total = list_html.total(page) if found is None else whole(at(found, "total"))
    yield from _list_pages(url, total, settings)
    rows = at(found, "list")
    for row in islice(rows if isinstance(rows, list) else [], MOST_ITEMS):
        address = at(row, "item", "productUrl")
        if isinstance(address, str):
            yield _canonical(address, url)


def _list_pages(url: str, total: int | None, settings: CrawlSettings) -> Iterator[str | None]:
    """All further pages, from the first: said on each of them, they would be as many as its square."""
    if total is None or page_number(url) > 1:
        return
    for page in range(2, min(-(-total // page_size(url)), settings.max_list_pages) + 1):
        yield _with(url, PAGE, page)


def _api_pages(url: str, text: str, settings: CrawlSettings) -> Iterator[str | None]:
    """All further answers to the query, from the first, to the last one the API serves."""
    asked = parameters(url)
    total, display = api_json.answer(text)[0], count(asked.get("display"))
    place = url.partition("?")[0]
    last = max((api.last_start for api in settings.apis if place == canonical(api.url)), default=0)
    if total is None or display is None or (count(asked.get("start")) or 1) > 1:
        return
    for start in range(1 + display, min(total, last) + 1, display):
        yield _with(url, "start", start)


def _with(url: str, name: str, value: int) -> str | None:
    """The address with another value of a parameter."""
    parts = urlsplit(url)
    others = [part for part in parts.query.split("&") if part.partition("=")[0] != name]
    return canonical(parts._replace(query="&".join([*others, f"{name}={value}"])).geturl())


def _followed(
    found: Iterable[str | None], leading: str, base: str, scope: Scope, settings: CrawlSettings
) -> list[Link]:
    """Those that are followed; to an API lead its own answers only, as each request counts and carries the secret."""
    kept: dict[str, Link] = {}
    letters = 0
    for url in found:
        kind = None if url is None else scope.kind_of(url)
        if url is None or kind is None or url in kept or url == base or (kind == "api") != (leading == "api"):
            continue
        if kind == "list" and page_number(url) > settings.max_list_pages:
            continue
        if kind != "product" or _drawn(url, settings.detail_share):
            kept[url] = Link(url, kind)
            letters += len(url)
        if len(kept) == MOST_LINKS or letters > MOST_LETTERS:
            break
    return list(kept.values())


def _drawn(url: str, share: float) -> bool:
    """Whether the address is among the share that is followed; without its host's port, which may change."""
    parts = urlsplit(url)
    place = hashlib.sha256(f"{parts.hostname}{parts.path}?{parts.query}".encode()).digest()
    return int.from_bytes(place[:6], "big") / 2**48 < share
