"""Whole crawls of the embedded site: everything found, every fault survived, nothing asked that may not be."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lib.config import CrawlSettings
from lib.crawl.counters import counters, states
from lib.crawl.crawl import Crawl
from lib.errors import UserError
from lib.marketplace.offers import Market
from tests.crawl.market_site import MONTH, OFFERS, Serve, Served, serve

__all__ = ["serve"]


def crawled(spark: SparkSession, site: Served, **more: Any) -> Crawl:
    """The site's market, crawled."""
    settings = site.crawl.model_copy(update=more)
    crawl = Crawl(spark, settings, site.config.storage.warehouse, MONTH)
    crawl.run(leaves(site))
    return crawl


def leaves(site: Served) -> list[tuple[str, str]]:
    return [(leaf.cat_id, leaf.path[-1]) for leaf in Market(site.market).taxonomy.leaves]


def requests(site: Served) -> Iterator[dict[str, Any]]:
    """What the site was asked, from its log."""
    for line in site.log.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def kinds(crawl: Crawl) -> Counter[str]:
    return Counter({row.kind: row["count"] for row in crawl.frontier.pages().groupBy("kind").count().collect()})


def test_lists_lead_to_every_further_page_and_to_the_share_of_products(spark: SparkSession, serve: Serve) -> None:
    site = serve(crawl__detail_share=0.2)
    crawl = crawled(spark, site)
    assert states(crawl.frontier) == {"stored": crawl.frontier.pages().count()}
    found = kinds(crawl)
    assert found["tree"] == 1
    # One list page at least for each leaf, and no more than one for 40 offers beyond.
    assert 6 <= found["list"] <= 6 + OFFERS // 40
    assert 0.1 * OFFERS < found["product"] < 0.3 * OFFERS
    figures = counters(crawl.frontier)
    assert figures["requests"] == figures["pages"] == sum(figures["by_status"].values())
    assert figures["links"] + figures["seeds"] == figures["addresses"] + figures["deduplicated"]
    assert figures["by_status"] == {"200": figures["pages"]}
    assert sum(host["pages"] for host in figures["hosts"]) == figures["pages"]
    urls = [row.url for row in crawl.frontier.pages().select("url").collect()]
    assert len(set(urls)) == len(urls)


def test_paths_that_robots_forbids_are_never_asked_for(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    every_path: dict[str, Any] = {"kinds": {**site.crawl.kinds, "tree": ["/*"]}}
    crawl = crawled(spark, site, **every_path, max_depth=2)
    assert states(crawl.frontier)["forbidden"] > 0
    forbidden = {row.url for row in crawl.frontier.rows().where("state = 'forbidden'").collect()}
    asked = {f"http://{record['host']}{record['path']}" for record in requests(site)}
    assert asked
    assert not asked & forbidden


def test_a_site_that_forbids_everything_is_left_alone(spark: SparkSession, serve: Serve) -> None:
    site = serve(market__site__faults__robots="forbid_all")
    crawl = crawled(spark, site)
    assert states(crawl.frontier) == {"forbidden": 7}
    assert crawl.frontier.pages().isEmpty()
    assert counters(crawl.frontier)["robots_forbidden"] == 7


@pytest.mark.parametrize(
    "fault",
    ["statuses={500: 0.3}", "too_many=0.2", "dropped=0.2", "truncated=0.2"],
)
def test_passing_faults_are_survived(spark: SparkSession, serve: Serve, fault: str) -> None:
    name, _, value = fault.partition("=")
    site = serve(**{f"market__site__faults__{name}": value, "market__site__faults__retry_after": 0})
    crawl = crawled(spark, site, backoff_seconds=0.01, max_attempts=20)
    assert set(states(crawl.frontier)) == {"stored"}
    figures = counters(crawl.frontier)
    assert figures["retried"] > 0
    assert figures["by_status"] == {"200": figures["pages"]}


def test_what_never_answers_is_given_up_with_its_cause(spark: SparkSession, serve: Serve) -> None:
    site = serve(market__site__faults__dropped=1.0)
    crawl = crawled(spark, site, backoff_seconds=0.01, max_attempts=2)
    assert set(states(crawl.frontier)) == {"failed"}
    assert sum(counters(crawl.frontier)["errors"].values()) == 7


def test_redirect_loops_and_endless_lists_end(spark: SparkSession, serve: Serve) -> None:
    site = serve(market__site__faults__redirect_loops=0.5, market__site__faults__endless_pages="true")
    crawl = crawled(spark, site, max_list_pages=5, max_depth=6)
    found = states(crawl.frontier)
    assert set(found) == {"stored"}
    assert found["stored"] < 300


def test_a_bomb_costs_no_memory_and_no_page(spark: SparkSession, serve: Serve) -> None:
    site = serve(market__site__faults__bombs=1.0)
    crawl = crawled(spark, site, backoff_seconds=0.01, max_attempts=1)
    assert set(states(crawl.frontier)) == {"failed"}
    assert counters(crawl.frontier)["errors"] == {"decoded_too_large": 7}


def test_budgets_leave_the_rest_waiting(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    crawl = crawled(spark, site, max_pages=5)
    assert states(crawl.frontier)["stored"] == 5
    assert states(crawl.frontier)["waiting"] > 0
    assert sum(1 for record in requests(site) if record["path"] != "/robots.txt") == 5


def test_a_second_crawl_of_the_month_is_refused(spark: SparkSession, serve: Serve) -> None:
    site = serve(market__site__latency_seconds=0.2)
    first = Crawl(spark, site.crawl, site.config.storage.warehouse, MONTH)
    running = threading.Thread(target=first.run, args=(leaves(site),))
    running.start()
    while not site.log.exists() or not site.log.read_text():
        pass
    with pytest.raises(UserError, match="is being crawled by another run"):
        crawled(spark, site)
    running.join()
    assert set(states(first.frontier)) == {"stored"}


def test_an_unchanged_page_is_not_sent_again_next_month(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    first = crawled(spark, site)
    again = Crawl(spark, site.crawl, site.config.storage.warehouse, "2026-02")
    again.run(leaves(site))
    # The site still serves the first month, so every page is as it was.
    figures = counters(again.frontier)
    assert figures["not_modified"] == figures["pages"] == first.frontier.pages().count()
    assert again.frontier.pages().where("body IS NOT NULL OR body_month != '2026-01'").isEmpty()


def test_a_seed_outside_the_allowed_hosts_is_refused(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    with pytest.raises(UserError, match=r"crawl\.seeds: 'http://elsewhere.example/"):
        crawled(spark, site, seeds=["http://elsewhere.example/category/category.nhn"])


def test_speculation_is_refused(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    spark.conf.set("spark.speculation", "true")
    try:
        with pytest.raises(UserError, match=r"spark\.speculation is on"):
            crawled(spark, site)
    finally:
        spark.conf.unset("spark.speculation")


def api(site: Served, **more: Any) -> CrawlSettings:
    """Only the search API of the site."""
    address = site.crawl.seeds[0].partition("/category/")[0] + "/v1/search/shop.json"
    return CrawlSettings.model_validate(
        {
            **site.crawl.model_dump(), "seeds": [], "category_url": None,
            "apis": [{"name": "shop", "url": address, "display": 50, **more}],
        }
    )  # fmt: skip


def test_an_api_is_asked_to_its_limit_and_goes_on_the_next_day(
    spark: SparkSession, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATMATCH_API_CLIENT_ID", "site-id")
    monkeypatch.setenv("CATMATCH_API_CLIENT_SECRET", "site-secret")
    site = serve()
    warehouse = site.config.storage.warehouse
    short = Crawl(spark, api(site, daily_quota=4), warehouse, MONTH)
    with pytest.raises(UserError, match="has served its daily quota"):
        short.run(leaves(site))
    assert sum(1 for record in requests(site) if record["path"].startswith("/v1/")) == 4
    found = Crawl(spark, api(site, daily_quota=400), warehouse, MONTH)
    found.run(leaves(site))
    assert set(states(found.frontier)) == {"stored"}
    assert kinds(found)["api"] == found.frontier.pages().where("status = 200").count() > 6
    stored = json.dumps([row.asDict() for row in found.frontier.pages().drop("body").collect()], default=str)
    assert "site-secret" not in stored
