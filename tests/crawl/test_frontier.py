"""The frontier follows from seeds and stored pages: found once, fetched once, made up for after a death."""

from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lib import tables
from lib.crawl.frontier import Frontier
from lib.crawl.request import Link
from schemas.frontier import FRONTIER
from schemas.pages import PAGES

MONTH = "2026-02"
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
TREE, FIRST, SECOND = (f"http://a.example/{name}" for name in ("tree", "list-1", "list-2"))


def page(url: str, number: int, *links: tuple[str, str], month: str = MONTH, **more: Any) -> dict[str, Any]:
    """A row of `pages` with all that is not at issue filled in."""
    return {
        "month": month, "url": url, "kind": "list", "host": "a.example", "depth": 0, "round": number, "attempts": 1,
        "status": 200, "headers": [], "content_type": "text/html", "etag": None, "last_modified": None, "body": b"x",
        "body_bytes": 1, "sent_bytes": 1, "hash": "h", "body_month": month, "requested_at": NOW, "seconds": 0.1,
        "links": [{"url": link, "kind": kind} for link, kind in links], **more,
    }  # fmt: skip


def store(spark: SparkSession, warehouse: str, number: int, *rows: dict[str, Any], month: str = MONTH) -> None:
    frame = spark.createDataFrame([tuple(row[name] for name in PAGES.columns) for row in rows], PAGES.struct)
    tables.append_round(frame, warehouse, PAGES, f"crawl/{month}", number)


def states(frontier: Frontier) -> dict[str, tuple[str, int, int]]:
    """url -> state, depth, round."""
    return {row.url: (row.state, row.depth, row.round) for row in frontier.rows().collect()}


def unanswered(spark: SparkSession, *rows: tuple[str, str, int, str | None]) -> DataFrame:
    """(url, state, round, error) as rows of `frontier`."""
    full = [(MONTH, url, "list", "a.example", 1, state, 1, 1, number, None, NOW, None, None, None, error)
            for url, state, number, error in rows]  # fmt: skip
    return spark.createDataFrame(full, FRONTIER.struct)


def test_links_of_stored_pages_wait_and_known_addresses_stay_as_they_are(spark: SparkSession, warehouse: str) -> None:
    frontier = Frontier(spark, warehouse, MONTH, max_depth=1)
    frontier.add_seeds([Link(TREE, "tree")])
    assert states(frontier) == {TREE: ("waiting", 0, 0)}
    assert frontier.next_round() == 1
    store(spark, warehouse, 1, page(TREE, 1, (FIRST, "list"), (TREE, "tree")))
    frontier.merge_round(1, unanswered(spark))
    assert states(frontier) == {TREE: ("stored", 0, 1), FIRST: ("waiting", 1, 0)}
    # Depth ends the crawl: what a page of the last level links to is not entered.
    store(spark, warehouse, 2, page(FIRST, 2, (SECOND, "list"), (TREE, "tree"), depth=1))
    frontier.merge_round(2, unanswered(spark))
    assert states(frontier) == {TREE: ("stored", 0, 1), FIRST: ("stored", 1, 2)}
    # Seeds entered again change nothing.
    frontier.add_seeds([Link(TREE, "tree")])
    assert states(frontier)[TREE] == ("stored", 0, 1)


def test_a_round_that_was_stored_and_not_merged_is_made_up_for(spark: SparkSession, warehouse: str) -> None:
    frontier = Frontier(spark, warehouse, MONTH, max_depth=9)
    frontier.add_seeds([Link(TREE, "tree"), Link(SECOND, "list")])
    store(spark, warehouse, 1, page(TREE, 1, (FIRST, "list")))
    frontier.reconcile()
    expected = {TREE: ("stored", 0, 1), SECOND: ("waiting", 0, 0), FIRST: ("waiting", 1, 0)}
    assert states(frontier) == expected
    assert frontier.next_round() == 2
    # The killed run's other half comes too late: a round at or below the newest is not stored twice.
    store(spark, warehouse, 1, page(TREE, 1, (FIRST, "list")))
    frontier.reconcile()
    assert states(frontier) == expected
    assert frontier.pages().count() == 1


def test_failures_wait_or_end_and_can_be_tried_again(spark: SparkSession, warehouse: str) -> None:
    frontier = Frontier(spark, warehouse, MONTH, max_depth=9)
    frontier.add_seeds([Link(TREE, "tree"), Link(FIRST, "list"), Link(SECOND, "list")])
    frontier.merge_round(1, unanswered(spark, (TREE, "waiting", 1, "timeout"), (FIRST, "failed", 1, "dns_failed"),
                                       (SECOND, "forbidden", 1, None)))  # fmt: skip
    assert {url: found[0] for url, found in states(frontier).items()} == {
        TREE: "waiting", FIRST: "failed", SECOND: "forbidden",
    }  # fmt: skip
    frontier.try_again(2)
    assert {found[0] for found in states(frontier).values()} == {"waiting"}
    # What was asked for counts on, for an API's quota and for the month's figures.
    again = {row.url: (row.attempts, row.requests) for row in frontier.rows().collect()}
    assert (again[TREE], again[FIRST]) == ((1, 1), (0, 1))
    frontier.merge_round(3, unanswered(spark, (FIRST, "failed", 3, "dns_failed")))
    assert {row.url: row.requests for row in frontier.rows().collect()}[FIRST] == 2


def test_all_that_waits_on_a_dead_host_is_failed_at_once(spark: SparkSession, warehouse: str) -> None:
    frontier = Frontier(spark, warehouse, MONTH, max_depth=9)
    elsewhere = "http://b.example/x"
    frontier.add_seeds([Link(TREE, "tree"), Link(FIRST, "list"), Link(elsewhere, "list")])
    store(spark, warehouse, 1, page(TREE, 1))
    frontier.merge_round(1, unanswered(spark))
    frontier.give_up(["a.example"], 2, "host_unreachable", apis=True)
    found = {row.url: (row.state, row.error) for row in frontier.rows().collect()}
    assert found == {
        TREE: ("stored", None), FIRST: ("failed", "host_unreachable"), elsewhere: ("waiting", None),
    }  # fmt: skip


def test_a_month_whose_rows_were_deleted_begins_with_a_round_of_its_own(spark: SparkSession, warehouse: str) -> None:
    frontier = Frontier(spark, warehouse, MONTH, max_depth=9)
    for number in (1, 2):
        store(spark, warehouse, number, page(TREE, number))
    for table in ("frontier", "pages"):
        spark.sql(f"DELETE FROM delta.`{warehouse}/{table}` WHERE month = '{MONTH}'")
    assert Frontier(spark, warehouse, MONTH, max_depth=9).next_round() == 3
    store(spark, warehouse, 3, page(TREE, 3))
    assert frontier.pages().count() == 1


def test_last_months_etag_is_asked_with(spark: SparkSession, warehouse: str) -> None:
    store(
        spark,
        warehouse,
        1,
        page(TREE, 1, month="2026-01", etag='"1"'),
        page(FIRST, 1, month="2026-01"),
        month="2026-01",
    )
    frontier = Frontier(spark, warehouse, MONTH, max_depth=9)
    frontier.add_seeds([Link(TREE, "tree"), Link(FIRST, "list"), Link(SECOND, "list")])
    asked = {row.url: (row.etag, row.last_modified) for row in frontier.rows().collect()}
    assert asked == {TREE: ('"1"', None), FIRST: (None, None), SECOND: (None, None)}


def test_another_month_has_a_frontier_of_its_own(spark: SparkSession, warehouse: str) -> None:
    for month in ("2026-01", MONTH):
        Frontier(spark, warehouse, month, max_depth=9).add_seeds([Link(TREE, "tree")])
    first = Frontier(spark, warehouse, "2026-01", max_depth=9)
    store(spark, warehouse, 1, page(TREE, 1, month="2026-01"), month="2026-01")
    first.merge_round(1, unanswered(spark).limit(0))
    assert states(first) == {TREE: ("stored", 0, 1)}
    assert states(Frontier(spark, warehouse, MONTH, max_depth=9)) == {TREE: ("waiting", 0, 0)}
