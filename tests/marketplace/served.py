"""A running site as a client sees it."""

import asyncio
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import httpx

from lib.config import MarketSettings, SiteFaults
from lib.marketplace.site.application import Site
from lib.marketplace.site.request_log import RequestLog
from lib.marketplace.site.server import listen, serve, server_of

MONTH = "2026-01"
OFFERS = 600
PLATFORM = "http://127.0.0.2"
TREE = "/category/category.nhn"
SECRETS = {"X-Naver-Client-Id": "site-id", "X-Naver-Client-Secret": "site-secret"}


@contextmanager
def served(settings: MarketSettings) -> Iterator[httpx.Client]:
    """A client of the site, its platform as the base address; the server is a thread, which is there at once."""
    sockets = listen([f"127.0.0.{2 + place}" for place in range(len(settings.malls) + 1)], 0)
    port, log = sockets[0].getsockname()[1], RequestLog(None)
    server = server_of(Site(settings, MONTH, port, log))
    running = threading.Thread(target=lambda: asyncio.run(serve(server, sockets, log, os.getppid())))
    running.start()
    try:
        with httpx.Client(base_url=f"{PLATFORM}:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        running.join()


@contextmanager
def faulty(settings: MarketSettings, **faults: Any) -> Iterator[httpx.Client]:
    """A client of a site with faults."""
    with served(with_site(settings, faults=SiteFaults(**faults))) as client:
        yield client


def with_site(settings: MarketSettings, **changed: Any) -> MarketSettings:
    """The market with other settings of its site."""
    return settings.model_copy(update={"site": settings.site.model_copy(update=changed)})


def state(page: httpx.Response) -> dict[str, Any]:
    """The data embedded in a page."""
    found = re.search(r'<script id="__NEXT_DATA__" type="application/json">(.*?)</script>', page.text)
    assert found
    data: dict[str, Any] = json.loads(found[1])["props"]["pageProps"]["initialState"]
    return data


def lists(site: httpx.Client) -> list[str]:
    """The first list page of every leaf, from the tree."""
    tree = site.get(TREE).text
    return [unescape(url) for url in re.findall(r'href="([^"]*/search/category\.nhn[^"]*)"', tree)]


def items(site: httpx.Client) -> list[dict[str, Any]]:
    """All offers of all lists."""
    found = []
    for url in lists(site):
        page, total = 1, 1
        while (page - 1) * 40 < total:
            answer = site.get(url.replace("pagingIndex=1", f"pagingIndex={page}"))
            products = state(answer)["products"]
            total, page = products["total"], page + 1
            found += [row["item"] for row in products["list"]]
    return found
