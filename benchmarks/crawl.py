"""Is the crawl as fast as politeness allows and never faster; and, politeness off, how near a loop that stores nothing?

python -m benchmarks.crawl [--rows 51200]

(a) Eight hosts of the embedded site at 20 requests a second each; what they were asked is read from the server's log.
Commits are included: time runs from the first request until the last page is stored. The memory of the driver (Python
and JVM) and of its workers, which fetch, is watched. (b) Politeness off, the same addresses by a bare httpx loop with
as many requests in flight.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
from pyspark.sql import SparkSession

from benchmarks.result import finish
from benchmarks.scale import family_bytes, memory_samples
from lib import config as configuration
from lib.config import CrawlSettings, MarketSettings, SparkSettings
from lib.crawl.crawl import Crawl
from lib.crawl.request import Link
from lib.marketplace.chance import Integers
from lib.marketplace.offers import Market
from lib.marketplace.site.process import serving
from lib.session import open_session

ROOT = Path(__file__).resolve().parent.parent
HOSTS = 8
RATE = 20.0
FULL_ROWS = 51_200  # 320 seconds at 160 a second
BARE_ROWS, BARE_REPEATS, IN_FLIGHT = 16_000, 3, 4
MONTH = "2026-01"
WINDOWS = (1.0, 10.0, 60.0)
BAR = "rate >= 0.9 of the allowed, hosts_over_rate = 0, bare >= 0.5, memory_ratio <= 1.1"


def main() -> None:
    """Measure both and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="pages of the polite crawl (default: %(default)s)")
    rows: int = parser.parse_args().rows
    spark = open_session(SparkSettings(driver_memory="2g", shuffle_partitions=4), "catmatch crawl benchmark")
    market = market_of(rows)
    with tempfile.TemporaryDirectory(prefix="catmatch-crawl-") as folder:
        log = Path(folder) / "requests.jsonl"
        with serving(market, MONTH, log=log) as port:
            links = addresses(market, port, rows // HOSTS)
            figures = polite(spark, links, Path(folder), log)
            figures |= impolite(spark, links[: min(len(links), BARE_ROWS)], Path(folder))
    holds = (
        figures["rate"] >= 0.9 and figures["hosts_over_rate"] == 0 and figures["bare"] >= 0.5
        and figures["memory_ratio"] <= 1.1
    )  # fmt: skip
    finish("crawl", figures, BAR, holds if rows >= FULL_ROWS else None, len(links), [market.seed])


def market_of(rows: int) -> MarketSettings:
    """The market of conf/local.yaml with eight malls of one size and product pages enough for all of them."""
    given = configuration.load(ROOT / "conf" / "local.yaml").market
    assert given is not None
    malls = [mall.model_copy(update={"size": 1.0}) for mall in given.malls[:HOSTS]]
    site = given.site.model_copy(update={"crawl_delay": {}})
    # Malls draw lots for the offers: a tenth more than needed leaves each of them with enough.
    return given.model_copy(update={"malls": malls, "offers_per_month": rows * 11 // 10 + 800, "site": site})


def addresses(settings: MarketSettings, port: int, each: int) -> list[Link]:
    """`each` product pages of every mall, malls in turn."""
    market = Market(settings)
    slots: Integers = np.arange(settings.offers_per_month)
    at = market.listings(MONTH, slots)
    own = market.malls.own_ids(at.slot, at.generation)
    by_mall: dict[int, list[str]] = defaultdict(list)
    for mall, number in zip(at.mall.tolist(), own, strict=True):
        by_mall[mall].append(number)
    return [
        Link(f"http://127.0.0.{3 + mall}:{port}/product/{market.malls.ids[mall]}/{by_mall[mall][place]}", "product")
        for place in range(each)
        for mall in range(HOSTS)
    ]


def crawl(spark: SparkSession, links: Sequence[Link], folder: Path, delay: float, in_flight: int) -> tuple[float, int]:
    """Crawl the addresses into a warehouse of its own; seconds from start to the last commit, and pages stored."""
    settings = CrawlSettings.model_validate(
        {
            "contact": "https://catmatch.example/benchmark", "staging": str(folder / "staging"), "adaptive": False,
            "allow_loopback": True, "seeds": [links[0].url],
            "hosts": {"127.0.0.*:*": {"delay": delay, "in_flight": in_flight}},
        }
    )  # fmt: skip
    made = Crawl(spark, settings, str(folder / "warehouse"), MONTH)
    made.frontier.add_seeds(links)
    started = time.time()
    made.run([])
    return time.time() - started, made.frontier.pages().where("status = 200").count()


def polite(spark: SparkSession, links: Sequence[Link], folder: Path, log: Path) -> dict[str, float]:
    """(a): rate against the allowed one, hosts asked too often, memory of the second half against the first's."""
    with memory_samples(family_bytes) as memory:
        _, pages = crawl(spark, links, folder / "polite", 1 / RATE, in_flight=1)
        ended = time.time()
        middle = len(memory) // 2
        first_half, second_half = max(memory[:middle]), max(memory[middle:])
    assert pages == len(links), f"{pages} of {len(links)} pages were stored"
    asked = times_by_host(log)
    began = min(min(times) for times in asked.values())
    return {
        "rate": round(pages / (ended - began) / (RATE * HOSTS), 4),
        "seconds": round(ended - began, 1),
        "hosts_over_rate": sum(over_rate(times) for times in asked.values()),
        "memory_first_half_mib": round(first_half / 2**20),
        "memory_second_half_mib": round(second_half / 2**20),
        "memory_ratio": round(second_half / first_half, 3),
    }


def times_by_host(log: Path) -> dict[str, list[float]]:
    """Host -> times of its requests, robots.txt included, from the server's log."""
    time.sleep(1.5)  # the server writes its log every second
    asked: dict[str, list[float]] = defaultdict(list)
    with log.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            asked[record["host"]].append(record["time"])
    return asked


def over_rate(times: Sequence[float]) -> bool:
    """Whether any window of time saw more requests than the rate allows it: one, and one more for each 1 / rate."""
    ordered = np.sort(np.array(times))
    for window in WINDOWS:
        within = np.searchsorted(ordered, ordered + window, side="left") - np.arange(len(ordered))
        if within.max() > RATE * window + 1:
            return True
    return False


def impolite(spark: SparkSession, links: Sequence[Link], folder: Path) -> dict[str, float]:
    """(b): pages a second of the crawl over the bare loop's, in turn, medians."""
    ours, bare = [], []
    for number in range(BARE_REPEATS):
        seconds, pages = crawl(spark, links, folder / f"impolite-{number}", 0.0, IN_FLIGHT)
        assert pages == len(links), f"{pages} of {len(links)} pages were stored"
        ours.append(pages / seconds)
        bare.append(len(links) / asyncio.run(bare_loop([link.url for link in links])))
    own, other = statistics.median(ours), statistics.median(bare)
    return {"ours": round(own, 1), "peer": round(other, 1), "bare": round(own / other, 4)}


async def bare_loop(urls: Sequence[str]) -> float:
    """Seconds that httpx takes for the addresses, IN_FLIGHT to a host at a time, each body read and dropped."""
    waiting = {host: [url for url in urls if httpx.URL(url).host == host] for host in {httpx.URL(u).host for u in urls}}
    statuses: Counter[int] = Counter()

    async def worker(client: httpx.AsyncClient, own: list[str]) -> None:
        while own:
            answer = await client.get(own.pop())
            statuses[answer.status_code] += 1

    limits = httpx.Limits(max_connections=HOSTS * IN_FLIGHT, max_keepalive_connections=HOSTS * IN_FLIGHT)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:
        started = time.perf_counter()
        await asyncio.gather(*(worker(client, own) for own in waiting.values() for _ in range(IN_FLIGHT)))
        elapsed = time.perf_counter() - started
    assert statuses == {200: len(urls)}, statuses
    return elapsed


if __name__ == "__main__":
    main()
