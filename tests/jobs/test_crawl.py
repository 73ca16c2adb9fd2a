"""The crawl job: skipped when done, resumed wherever it was killed; ingest finds in its pages what was on the site."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs import crawl, ingest
from lib import tables
from lib.config import Config
from lib.crawl.crawl import Crawl
from lib.errors import UserError
from lib.marketplace.offers import market_of, settings_text
from lib.marketplace.site.process import serving
from schemas.pages import PAGES
from schemas.products import PRODUCTS
from tests.crawl.market_site import MONTH, OFFERS, Serve, Served, local, serve
from tests.crawl.test_crawl import requests
from tests.jobs.killed import kill_job

__all__ = ["serve"]
ROUND_PAGES = 20
# Deaths with seeds of their own: one in `make test`, the others in `make soak`.
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 22))]


def deliver(site: Served) -> None:
    """Write the taxonomy, as the market stage does."""
    folder = Path(site.market.deliveries) / MONTH
    folder.mkdir(parents=True)
    market_of(settings_text(site.market)).taxonomy.write(folder / "taxonomy.csv")


def in_another_warehouse(config: Config, folder: Path) -> Config:
    storage = config.storage.model_copy(update={"warehouse": str(folder / "warehouse")})
    assert config.crawl is not None
    apart = config.crawl.model_copy(update={"staging": str(folder / "crawl")})
    return config.model_copy(update={"storage": storage, "crawl": apart})


def products(spark: SparkSession, config: Config) -> list[tuple[object, ...]]:
    """Ingest the pages; the month's products in order of id."""
    ingest.run(spark, config, MONTH)
    return [tuple(row) for row in tables.read(spark, config.storage.warehouse, PRODUCTS, month=MONTH)
            .orderBy("product_id").collect()]  # fmt: skip


def test_a_month_is_crawled_once_and_its_pages_hold_every_offer(spark: SparkSession, serve: Serve) -> None:
    site = serve(crawl__detail_share=0.1)
    deliver(site)
    first = crawl.run(spark, site.config, MONTH)
    assert first.exits == {"stored": first.facts["pages"]}
    assert crawl.run(spark, site.config, MONTH).skipped
    other = site.market.model_copy(update={"seed": 1})
    with pytest.raises(UserError, match="2026-01 was crawled from another market"):
        crawl.run(spark, site.config.model_copy(update={"market": other}), MONTH)
    found = products(spark, site.config)
    market = market_of(settings_text(site.market))
    listings = market.listings(MONTH, np.arange(OFFERS))
    assert [row[2] for row in found] == sorted(market.product_ids(listings))


def test_half_a_crawl_is_not_taken_for_the_month(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    deliver(site)
    assert site.config.crawl is not None
    Crawl(spark, site.config.crawl.model_copy(update={"max_pages": 3}), site.config.storage.warehouse, MONTH).run([])
    with pytest.raises(UserError, match="stage crawl has not finished for month 2026-01"):
        ingest.run(spark, site.config, MONTH)


@dataclass(frozen=True)
class Reference:
    """A served month, the products that an undisturbed crawl of it leaves, and how often that asked."""

    site: Served
    products: list[tuple[object, ...]]
    requests: int


@pytest.fixture(scope="module")
def undisturbed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    """One site for all deaths, slow enough to die in."""
    folder = tmp_path_factory.mktemp("undisturbed")
    made = local(
        folder, crawl__detail_share=0.5, crawl__round_pages=ROUND_PAGES, crawl__delay=0.01,
        market__site__latency_seconds=0.02, market__offers_per_month=200,
    )  # fmt: skip
    assert made.market is not None
    assert made.crawl is not None
    with serving(made.market, MONTH, log=folder / "requests.jsonl") as port:
        config = made.model_copy(update={"crawl": made.crawl.at_port(port)})
        site = Served(config, made.market, folder / "requests.jsonl")
        deliver(site)
        crawl.run(spark, config, MONTH)
        yield Reference(site, products(spark, config), sum(1 for _ in requests(site)))


def count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_anywhere_it_goes_on_and_leaves_the_same_products(
    spark: SparkSession, undisturbed: Reference, tmp_path: Path, seed: int
) -> None:
    print(f"seed {seed}")  # noqa: T201 so that a failure can be had again
    site, config = undisturbed.site, in_another_warehouse(undisturbed.site.config, tmp_path)
    earlier = list(requests(site))
    # Short of the last ones, which a crawl may have behind it before the site's log tells.
    before, asked = count_lines(site.log), random.Random(seed).randint(1, undisturbed.requests * 3 // 4)
    kill_job("crawl", config, MONTH, tmp_path, when=lambda: count_lines(site.log) >= before + asked)
    crawl.run(spark, config, MONTH)
    pages = tables.read(spark, config.storage.warehouse, PAGES, month=MONTH)
    urls = Counter(row.url for row in pages.select("url").collect())
    assert set(urls.values()) == {1}
    now = list(requests(site))[len(earlier) :]
    paths = Counter(record["host"] + record["path"] for record in now if record["path"] != "/robots.txt")
    assert set(paths.values()) <= {1, 2}
    assert sum(1 for times in paths.values() if times == 2) <= ROUND_PAGES
    assert products(spark, config) == undisturbed.products
