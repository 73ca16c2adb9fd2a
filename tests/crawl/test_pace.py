"""Turns of one host: never sooner than its delay, and hardly later."""

import asyncio
import statistics
import time
from itertools import pairwise

import pytest

from lib.crawl.pace import Clock, Pace
from lib.crawl.throttle import Throttle
from tests.crawl.fetching import settings


def pace(delay: float, seconds: float = 5.0, last: float | None = None, paused_until: float = 0.0) -> Pace:
    return Pace(Throttle(settings(), delay, None), Clock(), time.time() + seconds, last, paused_until)


async def turns(one: Pace, number: int, together: int = 1) -> list[float]:
    """When so many turns were had, taken by so many at a time that each have something to do in between."""
    times: list[float] = []

    async def take() -> None:
        while len(times) < number and await one.turn():
            times.append(time.monotonic())
            work()

    await asyncio.gather(*(take() for _ in range(together)))
    return times


def work() -> None:
    """What a lane does between two requests; after it the next one is due in no whole number of milliseconds."""
    time.sleep(0.0004)


def best_turns(delay: float, number: int) -> list[float]:
    """When a loop that does nothing but look at the clock has these turns: no one is more exact on this machine now."""
    times = [time.monotonic()]
    while len(times) < number:
        while time.monotonic() < times[-1] + delay:
            pass
        times.append(time.monotonic())
        work()
    return times


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def share_of_the_rate(delay: float, number: int, together: int = 1) -> float:
    """What is reached of the rate that anyone could reach now, on a machine that may be busy with others."""
    best = statistics.median(gaps(best_turns(delay, number)))
    found = gaps(asyncio.run(turns(pace(delay), number, together)))
    assert min(found) > delay - 1e-4
    return best / statistics.median(found)


@pytest.mark.parametrize(("delay", "number"), [(0.005, 60), (0.02, 15), (0.05, 8)])
@pytest.mark.parametrize("together", [1, 4])
def test_the_allowed_rate_is_kept_and_reached(delay: float, number: int, together: int) -> None:
    assert any(share_of_the_rate(delay, number, together) >= 0.95 for _ in range(12))


def test_with_plain_timers_that_check_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.crawl.pace.SHORT_DELAY", 0.0)
    assert any(share_of_the_rate(0.005, 60) < 0.95 for _ in range(5))


def test_without_a_delay_that_check_would_fail() -> None:
    assert min(gaps(asyncio.run(turns(pace(0.0), 50)))) < 0.005 - 1e-4


def test_a_last_request_counts_and_one_of_a_clock_ahead_is_one_of_now() -> None:
    for last, least in ((time.time(), 0.15), (time.time() + 3600, 0.19), (time.time() - 1, 0.0)):
        started = time.monotonic()
        assert asyncio.run(pace(0.2, last=last).turn())
        assert least <= time.monotonic() - started < least + 0.2


def test_pauses_and_the_deadline() -> None:
    async def run() -> None:
        one = pace(0.0, seconds=0.3)
        one.pause(0.1)
        one.pause(0.01)  # the longer one counts
        started = time.monotonic()
        assert await one.turn()
        assert 0.09 < time.monotonic() - started < 0.28
        assert not one.is_over
        one.pause(9)
        assert one.is_over
        assert not await one.turn()
        assert time.monotonic() - started < 0.29  # known at once

    asyncio.run(run())
    assert not asyncio.run(pace(0.0, seconds=-0.1).turn())


def test_those_who_wait_for_a_turn_are_told_that_the_round_has_ended() -> None:
    async def run() -> list[bool]:
        one = pace(0.1, last=time.time())
        waiting = [asyncio.create_task(one.turn()) for _ in range(3)]
        await asyncio.sleep(0.01)
        one.end()
        return list(await asyncio.gather(*waiting))

    started = time.monotonic()
    assert asyncio.run(run()) == [False, False, False]
    assert time.monotonic() - started < 0.3
