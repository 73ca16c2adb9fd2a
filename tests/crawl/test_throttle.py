"""Waits: between two requests, before another attempt, and as a host asks for."""

import random
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.crawl.throttle import Throttle, backoff, longest_backoff, retry_after
from tests.crawl.fetching import settings


def test_the_delay_goes_half_way_to_the_latency_and_never_below_it() -> None:
    throttle = Throttle(settings(target_concurrency=2.0), 0.1, None)
    throttle.saw(200, 1.0)
    assert throttle.delay == pytest.approx(0.5)  # target .5, the mean .3 is below it
    throttle.saw(200, 0.2)
    assert throttle.delay == pytest.approx(0.3)
    for _ in range(50):
        throttle.saw(200, 0.0)
    assert throttle.delay == pytest.approx(0.1)


def test_an_answer_that_nothing_changed_makes_it_shorter_as_a_page_does() -> None:
    throttle = Throttle(settings(), 0.1, 20.0)
    for _ in range(50):
        throttle.saw(304, 0.0)
    assert throttle.delay == pytest.approx(0.1)


def test_an_error_makes_it_longer_only() -> None:
    throttle = Throttle(settings(), 0.1, 2.0)
    throttle.saw(500, 0.01)
    assert throttle.delay == 2.0
    throttle.saw(404, 8.0)
    assert throttle.delay == 8.0


def test_what_conf_and_the_site_ask_for_is_the_least_and_max_delay_the_most_of_an_adaptive_one() -> None:
    throttle = Throttle(settings(max_delay=5), 0.1, None)
    throttle.ask(3.0)
    throttle.saw(200, 0.0)
    assert throttle.delay == 3.0
    throttle.saw(200, 1e9)
    assert throttle.delay == 5.0
    throttle.ask(8.0)
    throttle.saw(200, 1e9)
    assert throttle.delay == 8.0
    assert Throttle(settings(max_delay=5), 7.0, None).delay == 7.0


def test_not_adaptive_it_stays() -> None:
    throttle = Throttle(settings(adaptive=False), 0.1, None)
    throttle.saw(200, 9.0)
    assert throttle.delay == 0.1


def test_backoff_doubles_up_to_its_limit_with_full_jitter() -> None:
    given = settings(backoff_seconds=1, backoff_limit=10)
    assert [longest_backoff(attempts, given) for attempts in (1, 2, 3, 4, 5, 20, 10**6)] == [1, 2, 4, 8, 10, 10, 10]
    drawn = [backoff(3, given, random.Random(seed)) for seed in range(400)]
    assert min(drawn) < 0.1
    assert max(drawn) > 3.9
    assert sum(drawn) / len(drawn) == pytest.approx(2.0, abs=0.2)
    assert drawn == [backoff(3, given, random.Random(seed)) for seed in range(400)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0), (" 7 ", 7), ("99999999999999999999", 100), ("9" * 10_000, 100), ("-5", None), ("1.5", None),
        ("²", None), ("nan", None), ("", None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 100), ("Fri, 31 Dec 9999 23:59:59 -2359", 100),
        ("Fri, 99 Foo 2026 00:00:00 GMT", None), (None, None),
    ],
)  # fmt: skip
def test_retry_after(value: str | None, expected: float | None) -> None:
    found = retry_after(value, settings(retry_after_limit=100))
    assert found == expected


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_retry_after_as_a_date(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        text = formatdate(time.time() + 60, usegmt=True).replace("GMT", zone)
        assert retry_after(text, settings()) == pytest.approx(60, abs=2)
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text(max_size=60))
def test_a_hostile_retry_after_is_bounded(text: str) -> None:
    found = retry_after(text, settings(retry_after_limit=100))
    assert found is None or 0 <= found <= 100
