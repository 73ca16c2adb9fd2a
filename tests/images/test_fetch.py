"""Pictures are fetched as politely as pages, each address once, and what is not fetched has its reason."""

import logging
import time
from collections import Counter
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from lib.config import CrawlSettings
from lib.crawl.crawl import asking_alone
from lib.errors import UserError
from lib.images.fetch import Fetch, fetch_settings, to_ask
from lib.images.staged import reading_staged
from tests.crawl import fetching
from tests.crawl.server import CLOSE, Answers, Server, answer, running
from tests.images import samples

MONTH = "2026-01"
API = {"name": "shop", "url": "http://api.example/v1/shop.json"}


def settings(hosts: tuple[str, ...] = ("127.0.0.*:*",), max_bytes: int = 100_000, **crawl: Any) -> CrawlSettings:
    """Of a crawl whose own hosts are others, with pictures on loopback."""
    given = fetching.settings(hosts={"pages.example": {}}, max_attempts=2, **crawl)
    images = samples.settings(source="url", path=None, hosts={host: {} for host in hosts}, max_bytes=max_bytes)
    return fetch_settings(given, images)


def fetch(spark: SparkSession, folder: Path, given: CrawlSettings) -> Fetch:
    return Fetch(spark, given, str(folder / "warehouse"), MONTH, folder / "staging")


def fetched(spark: SparkSession, folder: Path, urls: list[str], given: CrawlSettings | None = None) -> dict[str, Row]:
    """path -> what came of it; checks that all came back once."""
    frame = spark.createDataFrame([(url,) for url in urls], "asked string")
    rows = fetch(spark, folder, given or settings()).run(frame).collect()
    assert Counter(row.asked for row in rows) == Counter(urls)
    return {"/" + row.asked.split("/", 3)[3]: row for row in rows}


def asked(server: Server) -> Counter[str]:
    return Counter(path for _, path, _ in server.asked if path != "/robots.txt")


def moved(place: str) -> bytes:
    return answer(b"", "302 Found", f"Location: {place}")


def test_what_is_fetched_can_be_read_and_what_is_not_has_a_reason(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redirects, errors, rules and bounds of one host."""
    monkeypatch.setattr("lib.images.known.MOST_HOPS", 1)  # a round each
    picture, large = b"\xff\xd8 a picture", b"\xff\xd8" + bytes(200_000)
    answers: Answers = {
        "/robots.txt": answer(b"User-agent: *\nDisallow: /private/"),
        "/1.jpg": answer(picture), "/2.jpg": answer(picture), "/3.jpg": answer(b"<html>"), "/empty.jpg": answer(b""),
        "/gone.jpg": answer(b"", "404 Not Found"), "/late.jpg": answer(b"", "410 Gone"),
        "/not.jpg": answer(b"", "403 Forbidden"), "/broken.jpg": answer(b"", "500 Internal Server Error"),
        "/none.jpg": answer(b"", "204 No Content"), "/large.jpg": answer(large), "/cut.jpg": CLOSE,
        "/moved.jpg": moved("/far/1.jpg"), "/far/1.jpg": answer(picture), "/circle.jpg": moved("/circle2.jpg"),
        "/circle2.jpg": moved("/circle.jpg"), "/self.jpg": moved("/self.jpg"), "/nowhere.jpg": moved(""),
        "/away.jpg": moved("http://elsewhere.example/1.jpg"), "/api.jpg": moved(API["url"]),
        **{f"/hop{number}.jpg": moved(f"/hop{number + 1}.jpg") for number in range(3)},
    }  # fmt: skip
    shown = [path for path in answers if path.count("/") == 1 and "hop" not in path and path != "/robots.txt"]
    with running(answers) as server:
        urls = [server.url(path) for path in [*shown, "/hop0.jpg", "/private/1.jpg"]]
        found = fetched(spark, tmp_path, urls, settings(apis=[API]))
    whole = {path for path, row in found.items() if row.reason is None}
    assert whole == {"/1.jpg", "/2.jpg", "/3.jpg", "/empty.jpg", "/moved.jpg"}
    assert {path: row.reason for path, row in found.items() if path not in whole} == {
        "/gone.jpg": "status_404", "/late.jpg": "status_410", "/not.jpg": "status_403", "/broken.jpg": "status_500",
        "/none.jpg": "status_204", "/large.jpg": "too_large", "/cut.jpg": "disconnected",
        "/circle.jpg": "redirects", "/circle2.jpg": "redirects", "/self.jpg": "redirects", "/nowhere.jpg": "redirects",
        "/away.jpg": "redirects", "/api.jpg": "redirects", "/hop0.jpg": "redirects", "/private/1.jpg": "forbidden",
    }  # fmt: skip
    with reading_staged() as read:
        assert [read(found[path].file, found[path].row) for path in ("/1.jpg", "/3.jpg", "/moved.jpg")] == [
            picture, b"<html>", picture,
        ]  # fmt: skip
    assert found["/1.jpg"].body_hash == found["/moved.jpg"].body_hash == sha256(picture).hexdigest()
    times = asked(server)
    again = {"/broken.jpg", "/cut.jpg"}
    assert {path for path, count in times.items() if count == 2} == again
    assert set(times.values()) <= {1, 2}
    assert "/hop1.jpg" in times
    assert "/hop2.jpg" not in times
    assert "/private/1.jpg" not in times
    sent = next(head for _, path, head in server.asked if path == "/1.jpg")
    assert "User-Agent: catmatch/1.0 (+a@b.example)" in sent
    assert "Accept: image/jpeg" in sent


def test_what_a_product_says_is_an_address_or_a_reason(spark: SparkSession) -> None:
    given = settings(hosts=("pictures.example", "*.cdn.example"), apis=[API])
    judged = {
        None: (None, "no_address"), "": (None, "bad_address"), "ftp://pictures.example/1.jpg": (None, "bad_address"),
        "http://user:word@pictures.example/1.jpg": (None, "bad_address"),
        "http://pages.example/1.jpg": (None, "not_allowed"), API["url"]: (None, "not_allowed"),
        "http://pictures.example:8080/1.jpg": (None, "not_allowed"), "http://127.0.0.1/1.jpg": (None, "not_allowed"),
        "HTTP://Pictures.Example:80/a/../1.jpg#top": ("http://pictures.example/1.jpg", None),
        "https://a.cdn.example/%ed%95%9c.jpg?b=1&a=2": ("https://a.cdn.example/%ED%95%9C.jpg?a=2&b=1", None),
    }  # fmt: skip
    frame = spark.createDataFrame([(url,) for url in judged], "image_url string")
    rows = frame.select("image_url", to_ask(given).alias("to_ask")).select("image_url", "to_ask.*").collect()
    assert {row.image_url: (row.asked, row.refused) for row in rows} == judged


def test_a_fetch_that_was_stopped_goes_on_and_asks_for_nothing_twice(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as server:
        urls = [server.url(f"/p{number}") for number in range(20)]
        given = settings(round_pages=8)
        frame = spark.createDataFrame([(url,) for url in urls], "asked string")
        stopped = fetch(spark, tmp_path, given)

        def stop_at_the_third(requests: Any, waiting: Any) -> None:
            if len(stopped.rounds) == 2:
                raise KeyboardInterrupt
            Fetch._fetch(stopped, requests, waiting)

        monkeypatch.setattr(stopped, "_fetch", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            stopped.run(frame)
        assert len(asked(server)) == 16
        staging = tmp_path / "staging"
        (staging / "round-3").mkdir()  # what a killed round leaves
        (staging / "round-3" / "part-00000.parquet").write_bytes(b"PAR1")
        (staging / "round-1" / "_SUCCESS").unlink()  # as if that had been killed
        with caplog.at_level(logging.INFO):
            found = fetched(spark, tmp_path, urls, given)
    assert "1 rounds are there from a run that was stopped" in caplog.text
    assert all(row.reason is None for row in found.values())
    assert Counter(asked(server).values()) == {1: 12, 2: 8}
    assert sum(1 for _, path, _ in server.asked if path == "/robots.txt") == 1  # what is known of hosts is kept


def test_a_dead_host_is_given_up_whole_and_budgets_are_kept(spark: SparkSession, tmp_path: Path) -> None:
    with running(address="127.0.0.3") as gone:
        dead = [gone.url(f"/p{number}") for number in range(40)]
    given = settings(hosts=("127.0.0.3:*",), round_pages=4)
    assert {row.reason for row in fetched(spark, tmp_path, dead, given).values()} == {"robots_unreachable"}
    with running() as server:
        few = settings(max_pages=3)
        rest = fetched(spark, tmp_path / "few", [server.url(f"/p{number}") for number in range(5)], few)
        assert Counter(row.reason for row in rest.values()) == {None: 3, "over_budget": 2}
        assert len(asked(server)) == 3


def test_it_keeps_the_pace_that_hosts_ask_for(spark: SparkSession, tmp_path: Path) -> None:
    """Across rounds, and of robots.txt where that asks for more."""
    rules = answer(b"User-agent: *\nCrawl-delay: 0.2")
    with running({"/robots.txt": rules}) as server:
        fetched(spark, tmp_path, [server.url(f"/p{number}") for number in range(5)], settings(round_pages=3))
    times = [at for at, _, _ in server.asked]
    assert min(later - sooner for sooner, later in pairwise(times)) > 0.19


def test_no_two_ask_the_same_hosts_at_once(spark: SparkSession, tmp_path: Path) -> None:
    with (
        asking_alone(str(tmp_path / "warehouse")),
        running() as server,
        pytest.raises(UserError, match="is being crawled into by another run"),
    ):
        fetched(spark, tmp_path, [server.url("/1.jpg")])
    assert not server.asked


def test_nothing_to_ask_for_is_done_at_once(spark: SparkSession, tmp_path: Path) -> None:
    started = time.monotonic()
    assert fetched(spark, tmp_path, []) == {}
    assert time.monotonic() - started < 60
