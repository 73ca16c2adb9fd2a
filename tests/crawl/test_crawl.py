"""Whole crawls of the embedded site: everything found, every fault survived, nothing asked that may not be."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lib.config import CrawlSettings, HostSettings
from lib.crawl.counters import counters, states
from lib.crawl.crawl import Crawl
from lib.crawl.request import Link
from lib.errors import UserError
from lib.marketplace.offers import Market
from tests.crawl.market_site import MONTH, OFFERS, Serve, Served, serve
from tests.crawl.server import running

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
    """What the site was asked, from its log, which it writes twice a second."""
    time.sleep(1)
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
    site = serve(crawl__detail_share=0)
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


def test_passing_faults_are_survived(spark: SparkSession, serve: Serve) -> None:
    faults = {"statuses": "{500: 0.1, 503: 0.05}", "too_many": 0.1, "dropped": 0.1, "truncated": 0.1, "retry_after": 0}
    given = {f"market__site__faults__{name}": value for name, value in faults.items()}
    site = serve(crawl__detail_share=0, **given)
    crawl = crawled(spark, site, backoff_seconds=0.01, max_attempts=20)
    assert set(states(crawl.frontier)) == {"stored"}
    figures = counters(crawl.frontier)
    assert figures["retried"] > 0
    assert figures["by_status"] == {"200": figures["pages"]}
    assert {record["status"] for record in requests(site)} >= {0, 200, 429, 500}


def test_lasting_faults_end_with_their_cause(spark: SparkSession, serve: Serve) -> None:
    faults = {"statuses": "{404: 0.1}", "dropped": 0.1, "bombs": 0.2, "wrong_type": 0.2, "redirect_loops": 0.2}
    given = {f"market__site__faults__{name}": value for name, value in faults.items()}
    site = serve(crawl__detail_share=0.1, market__site__faults__endless_pages="true", **given)
    crawl = crawled(spark, site, backoff_seconds=0.01, max_attempts=1, max_list_pages=5, max_depth=6)
    assert set(states(crawl.frontier)) == {"stored", "failed"}
    figures = counters(crawl.frontier)
    assert set(figures["errors"]) == {"disconnected", "decoded_too_large"}
    assert set(figures["by_status"]) == {"200", "302", "404"}
    assert figures["addresses"] < 400


def test_budgets_leave_the_rest_waiting(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    crawl = crawled(spark, site, max_pages=5)
    assert states(crawl.frontier)["stored"] == 5
    assert states(crawl.frontier)["waiting"] > 0
    assert sum(1 for record in requests(site) if record["path"] != "/robots.txt") == 5


def test_a_second_crawl_of_the_month_is_refused(spark: SparkSession, serve: Serve) -> None:
    site = serve(crawl__detail_share=0, market__site__latency_seconds=0.2)
    first = Crawl(spark, site.crawl, site.config.storage.warehouse, MONTH)
    running = threading.Thread(target=first.run, args=(leaves(site),))
    running.start()
    while not site.log.exists() or not site.log.read_text():
        pass
    with pytest.raises(UserError, match="is being crawled into by another run"):
        crawled(spark, site)
    running.join()
    assert set(states(first.frontier)) == {"stored"}


def test_an_unchanged_page_is_not_sent_again_next_month(spark: SparkSession, serve: Serve) -> None:
    site = serve(crawl__detail_share=0)
    first = crawled(spark, site)
    again = Crawl(spark, site.crawl, site.config.storage.warehouse, "2026-02")
    again.run(leaves(site))
    # The site still serves the first month, so every page is as it was.
    figures = counters(again.frontier)
    assert figures["not_modified"] == figures["pages"] == first.frontier.pages().count()
    assert again.frontier.pages().where("body IS NOT NULL OR body_month != '2026-01'").isEmpty()


def test_a_page_that_is_gone_here_is_asked_for_whole_though_it_did_not_change_there(
    spark: SparkSession, serve: Serve
) -> None:
    site = serve(crawl__detail_share=0)
    warehouse = site.config.storage.warehouse
    first = crawled(spark, site)
    again = Crawl(spark, site.crawl, warehouse, "2026-02")
    again.frontier.add_seeds([Link(site.crawl.seeds[0], "tree")])  # with last month's ETag
    spark.sql(f"DELETE FROM delta.`{warehouse}/pages` WHERE month = '{MONTH}'")
    again.run(leaves(site))
    assert states(again.frontier) == states(first.frontier)
    assert again.frontier.pages().where("body IS NULL").isEmpty()


def test_what_a_killed_crawl_had_staged_is_stored_and_what_is_damaged_fetched_again(
    spark: SparkSession, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = serve(crawl__detail_share=0)
    dead = Crawl(spark, site.crawl, site.config.storage.warehouse, MONTH)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dead, "_commit", die)  # the round is fetched and staged, and not committed
    with pytest.raises(KeyboardInterrupt):
        dead.run(leaves(site))
    (dead.folder / "round-x.bak").mkdir()
    damaged = dead.folder / "round-99"
    damaged.mkdir()
    (damaged / "_SUCCESS").touch()
    (damaged / "part-00000.parquet").write_bytes(b"PAR1" + bytes(4000))
    asked = Counter(record["path"] for record in requests(site))
    with caplog.at_level(logging.WARNING):
        again = crawled(spark, site)
    assert "round 99" in caplog.text
    assert set(states(again.frontier)) == {"stored"}
    now = Counter(record["path"] for record in requests(site))
    assert {path: now[path] for path in asked} == asked  # robots.txt included: what is known of hosts is kept


def test_a_host_that_is_not_there_is_given_up_whole_and_asked_again_when_forced(
    spark: SparkSession, serve: Serve
) -> None:
    site = serve(crawl__detail_share=0)
    with running() as server:
        gone = server.host
    given = site.crawl.model_copy(
        update={
            "hosts": {gone: HostSettings()}, "seeds": [f"http://{gone}/product/m/{number}" for number in range(40)],
            "category_url": None, "round_pages": 4, "max_attempts": 2, "backoff_seconds": 0.01, "backoff_limit": 0.01,
        }
    )  # fmt: skip
    crawl = Crawl(spark, given, site.config.storage.warehouse, MONTH)
    crawl.run([])
    assert states(crawl.frontier) == {"failed": 40}
    # One round of four found it dead; the others were failed with them.
    assert crawl.frontier.next_round() <= 4
    with running(port=int(gone.rpartition(":")[2])):
        whole = given.model_copy(update={"round_pages": 40})
        again = Crawl(spark, whole, site.config.storage.warehouse, MONTH)
        again.run([], try_again=True)
    assert states(again.frontier) == {"stored": 40}


def test_a_seed_outside_the_allowed_hosts_is_refused(spark: SparkSession, serve: Serve) -> None:
    site = serve()
    with pytest.raises(UserError, match=r"crawl\.seeds: 'http://elsewhere.example/"):
        crawled(spark, site, seeds=["http://elsewhere.example/category/category.nhn"])


def test_speculation_is_refused(spark: SparkSession, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    site = serve()
    crawl = Crawl(spark, site.crawl, site.config.storage.warehouse, MONTH)
    monkeypatch.setattr(type(spark.conf), "get", lambda *_: "true")
    with pytest.raises(UserError, match=r"spark\.speculation is on"):
        crawl.run([])


def api(site: Served, **more: Any) -> CrawlSettings:
    """Only the search API of the site."""
    address = site.crawl.seeds[0].partition("/category/")[0] + "/v1/search/shop.json"
    return CrawlSettings.model_validate(
        {
            **site.crawl.model_dump(), "seeds": [], "category_url": None,
            "apis": [{"name": "shop", "url": address, "display": 50, **more}],
        }
    )  # fmt: skip


def test_an_api_without_its_secret_is_not_asked(
    spark: SparkSession, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = serve()
    monkeypatch.delenv("CATMATCH_API_CLIENT_SECRET")
    with pytest.raises(UserError, match="environment variable CATMATCH_API_CLIENT_SECRET is not set"):
        Crawl(spark, api(site), site.config.storage.warehouse, MONTH).run(leaves(site))


def test_an_api_is_asked_to_its_limit_and_goes_on_later(spark: SparkSession, serve: Serve) -> None:
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
