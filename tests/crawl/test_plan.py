"""How a round is shared among hosts and dealt to tasks."""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib.config import CrawlSettings
from lib.crawl.plan import Share, Waiting, deal, limits, partition_keys, plannable_from, quota_left, survey
from lib.crawl.request import HostState
from schemas.frontier import FRONTIER

SITE = {"contact": "a@b.example", "staging": "/tmp/x", "seeds": ["http://a.example/category/category.nhn"]}


def settings(**more: object) -> CrawlSettings:
    return CrawlSettings.model_validate({**SITE, "hosts": {"*.example": {}}, "delay": 0.0, **more})


def waiting(host: str, due: int, asked: int = 0, api: bool = False, today: int = 0) -> Waiting:
    return Waiting(host, api, asked, today, due, later=0, next_due=None)


def test_a_host_gets_what_its_rate_allows_in_a_round() -> None:
    given = settings(delay=0.5, round_seconds=10.0)
    assert limits([waiting("a.example", 1000)], given, {}) == {("a.example", False): 21}
    slow = HostState("a.example", pace=5.0)
    assert limits([waiting("a.example", 1000)], given, {"a.example": slow}) == {("a.example", False): 3}


def test_a_host_whose_turn_comes_after_the_round_has_no_part_in_it() -> None:
    given = settings(delay=0.5, round_seconds=10.0)
    now = time.time()
    for known in (HostState("a.example", last_request=now, pace=300.0), HostState("a.example", paused_until=now + 300)):
        states = {"a.example": known}
        assert limits([waiting("a.example", 1000)], given, states) == {}
        assert plannable_from("a.example", given, states) == pytest.approx(now + 290, abs=1)
    soon = HostState("a.example", last_request=now - 295, pace=300.0)
    assert limits([waiting("a.example", 1000)], given, {"a.example": soon}) == {("a.example", False): 2}


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"max_pages": 100}, {}),
        ({"max_pages": 130}, {("a.example", False): 15, ("b.example", False): 15}),
        ({"max_pages_per_host": 60}, {("a.example", False): 10, ("b.example", False): 10}),
        (
            {"hosts": {"a.example": {"max_pages": 55}, "b.example": {}}},
            {("a.example", False): 5, ("b.example", False): 40},
        ),
    ],
)
def test_budgets_of_a_host_and_of_the_crawl_are_kept(budget: dict[str, object], expected: dict[object, int]) -> None:
    hosts = [waiting("a.example", 40, asked=50), waiting("b.example", 40, asked=50)]
    assert limits(hosts, settings(**budget), {}) == expected


def test_an_api_gets_what_is_left_of_its_quota_today() -> None:
    api = {"name": "shop", "url": "http://api.example/v1/search/shop.json", "daily_quota": 10}
    given = settings(apis=[api])
    assert limits([waiting("api.example", 100, api=True, today=7)], given, {}) == {("api.example", True): 3}
    assert limits([waiting("api.example", 100, api=True, today=12)], given, {}) == {}


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 500), max_size=30), st.integers(1, 3000))
def test_a_round_is_shared_out_whole_and_nobody_gets_more_than_wanted(wanted: dict[str, int], pages: int) -> None:
    hosts = [waiting(f"{name}.example", due) for name, due in wanted.items()]
    shared = limits(hosts, settings(round_pages=pages), {})
    assert sum(shared.values()) == min(pages, sum(wanted.values()))
    assert all(share <= wanted[host.removesuffix(".example")] for (host, _), share in shared.items())


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(1, 8))
def test_a_host_is_in_one_task_and_no_task_is_idle_while_another_has_two(sizes: list[int], tasks: int) -> None:
    limited = {(f"h{index}", api): size for index, size in enumerate(sizes) for api in (False, True)}
    shares = deal(limited, tasks)
    assert {(share.host, share.api): share.limit for share in shares} == limited
    by_host: dict[str, set[int]] = {}
    for share in shares:
        by_host.setdefault(share.host, set()).add(share.task)
    assert all(len(found) == 1 for found in by_host.values())
    used = {share.task for share in shares}
    assert len(used) == min(tasks, len(sizes))


def test_dealing_follows_the_amounts() -> None:
    shares = deal({("large", False): 90, ("small", False): 30, ("middle", False): 50}, 2)
    assert shares == [
        Share("large", False, 0, 90), Share("middle", False, 1, 50), Share("small", False, 1, 30),
    ]  # fmt: skip


@pytest.mark.parametrize("tasks", [1, 2, 3, 7])
def test_each_key_goes_to_its_partition(spark: SparkSession, tasks: int) -> None:
    keys = partition_keys(spark, tasks)
    placed = spark.createDataFrame([(key,) for key in keys], "key int").repartition(tasks, "key")
    found = {row.key: row.place for row in placed.select("key", F.spark_partition_id().alias("place")).collect()}
    assert [found[key] for key in keys] == list(range(tasks))


def test_requests_of_the_day_before_do_not_count_for_the_quota(spark: SparkSession) -> None:
    """Midnight is the API's: what was asked a minute before it is yesterday's."""
    api = {"name": "shop", "url": "http://api.example/v1/search/shop.json", "daily_quota": 10}
    given = settings(apis=[api])
    midnight = datetime.now(ZoneInfo("Asia/Seoul")).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = {"a": midnight - timedelta(minutes=1), "b": midnight + timedelta(seconds=1), "c": None}
    rows = [("2026-01", url, "api", "api.example", 0, "stored" if at else "waiting", 3 if at else 0, 3 if at else 0, 1,
             None, at, None, None, None, None) for url, at in asked.items()]  # fmt: skip
    frame = spark.createDataFrame(rows, FRONTIER.struct)
    # Another month's requests of today count, and so do those before an address was tried again.
    other = frame.where("url = 'b'").withColumns(
        {"month": F.lit("2026-02"), "attempts": F.lit(0), "requests": F.lit(2)}
    )
    (found,) = survey(frame, frame, given)
    assert (found.requests_today, found.asked, found.due) == (3, 2, 1)
    assert quota_left(found, given) == 7
    (both,) = survey(frame, frame.unionByName(other), given)
    assert quota_left(both, given) == 5
