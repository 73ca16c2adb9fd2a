"""The embedded site with a small market, and crawls of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lib import config as configuration
from lib.config import Config, CrawlSettings, MarketSettings
from lib.marketplace.site.process import serving
from tests.conftest import ROOT

MONTH = "2026-01"
OFFERS, LEAVES = 400, 6


@dataclass(frozen=True)
class Served:
    """A running site.

    Attributes:
        config: conf/local.yaml with everything in the test's folder, crawling this site.
        log: the site's request log.
    """

    config: Config
    market: MarketSettings
    log: Path

    @property
    def crawl(self) -> CrawlSettings:
        assert self.config.crawl is not None
        return self.config.crawl


Serve = Callable[..., Served]


def local(folder: Path, **more: Any) -> Config:
    """conf/local.yaml, small and in the folder; `more` are overrides with __ for dots."""
    values = {
        "storage.warehouse": folder / "warehouse", "storage.state": folder / "state",
        "storage.reports": folder / "reports", "market.deliveries": folder / "deliveries",
        "ingest.staging": folder / "staging", "crawl.staging": folder / "crawl",
        "categories.taxonomy.path": f"'{folder}/deliveries/{{month}}/taxonomy.csv'",
        "market.leaves": LEAVES, "market.offers_per_month": OFFERS, "market.site.crawl_delay": "{}",
        **{name.replace("__", "."): value for name, value in more.items()},
    }  # fmt: skip
    return configuration.load(ROOT / "conf" / "local.yaml", [f"{key}={value}" for key, value in values.items()])


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a site; overrides of conf/local.yaml as keywords with __ for dots. It stops when the test ends."""
    with ExitStack() as running:

        def start(**more: Any) -> Served:
            made = local(tmp_path, **more)
            assert made.market is not None
            assert made.crawl is not None
            log = tmp_path / "requests.jsonl"
            port = running.enter_context(serving(made.market, MONTH, log=log))
            return Served(made.model_copy(update={"crawl": made.crawl.at_port(port)}), made.market, log)

        yield start
