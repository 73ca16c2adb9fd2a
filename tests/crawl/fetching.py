"""Settings for a crawl of loopback, and rounds of lanes whose outcomes are checked to be complete."""

import asyncio
import time
from collections import Counter
from typing import Any

from lib.config import CrawlSettings
from lib.crawl.fetch import Answer
from lib.crawl.lanes import fetch_hosts
from lib.crawl.request import HostState, Link, Outcome, Request
from tests.crawl.server import Server

NO_WAIT = {"backoff_seconds": 0.01, "backoff_limit": 0.05}


def settings(**more: Any) -> CrawlSettings:
    given = {
        "contact": "a@b.example", "staging": "/tmp/x", "hosts": {"127.0.0.*:*": {}}, "delay": 0.0,
        "seeds": ["http://127.0.0.1:1/category/category.nhn"], "allow_loopback": True,
    }  # fmt: skip
    return CrawlSettings.model_validate({**given, **NO_WAIT, **more})


def fetch(
    requests: list[Request], given: CrawlSettings, seconds: float = 5.0, states: dict[str, HostState] | None = None
) -> tuple[dict[str, Outcome], dict[str, HostState]]:
    """(outcome by path, state by host); checks that every request came back once."""
    found: list[Outcome | HostState] = []

    async def emit(one: Outcome | HostState) -> None:
        found.append(one)

    def no_links(_request: Request, _answer: Answer) -> list[Link]:
        return []

    asyncio.run(fetch_hosts(requests, states or {}, given, time.time() + seconds, emit, no_links))
    outcomes = [one for one in found if isinstance(one, Outcome)]
    assert Counter(one.url for one in outcomes) == Counter(request.url for request in requests)
    hosts = {one.host: one for one in found if isinstance(one, HostState)}
    return {one.url.partition(one.host)[2]: one for one in outcomes}, hosts


def pages(server: Server, number: int = 1, **more: Any) -> list[Request]:
    return [Request(server.url(f"/p{index}"), "product", server.host, 1, **more) for index in range(number)]
