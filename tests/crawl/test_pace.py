"""Turns of one host: never sooner than its delay, and hardly later."""

import asyncio
import time
from itertools import pairwise

import pytest

from lib.crawl.pace import Clock, Pace
from lib.crawl.throttle import Throttle
from tests.crawl.fetching import settings


def pace(delay: float, seconds: float = 5.0, last: float | None = None, paused_until: float = 0.0) -> Pace:
    return Pace(Throttle(settings(), delay, None), Clock(), time.time() + seconds, last, paused_until)


async def turns(one: Pace, number: int, together: int = 1) -> list[float]:
    """When so many turns were had, taken by so many at a time."""
    times: list[float] = []

    async def take() -> None:
        while len(times) < number and await one.turn():
            times.append(time.monotonic())

    await asyncio.gather(*(take() for _ in range(together)))
    return times


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


@pytest.mark.parametrize(("delay", "number"), [(0.005, 100), (0.02, 30), (0.05, 12)])
@pytest.mark.parametrize("together", [1, 4])
def test_the_allowed_rate_is_kept_and_reached(delay: float, number: int, together: int) -> None:
    shares = []
    for _ in range(3):  # a machine busy with others may be late; never early
        found = gaps(asyncio.run(turns(pace(delay), number, together)))
        assert min(found) > delay - 1e-4
        shares.append(delay * len(found) / sum(found))
        if shares[-1] >= 0.95:
            return
    pytest.fail(f"{shares} of the allowed rate")


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
