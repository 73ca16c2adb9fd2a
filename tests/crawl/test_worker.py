"""Lanes in a thread: nothing is lost, errors come out, and whoever stops listening stops them."""

import random
import threading
import time
from collections.abc import Iterator

import pytest

from lib.crawl import worker
from lib.crawl.fetch import Answer
from lib.crawl.request import HostState, Link, Outcome, Request
from lib.crawl.worker import run_lanes
from tests.crawl.fetching import pages, settings
from tests.crawl.server import Server, answer, running


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "crawl lanes"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not threads()


def outcomes(server: Server, number: int, seconds: float = 5.0) -> Iterator[Outcome | HostState]:
    return run_lanes(pages(server, number), {}, settings(), seconds)


def test_all_outcomes_and_the_state_come_out_however_slowly_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_WAITING", 3)
    with running() as server:
        found = []
        for one in outcomes(server, 20):
            found.append(one)
            time.sleep(0.005)
        assert {one.url for one in found if isinstance(one, Outcome)} == {one.url for one in pages(server, 20)}
        assert isinstance(found[-1], HostState)
        assert len(found) == 21


def test_lanes_go_on_while_nobody_takes_until_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_WAITING", 10)
    with running() as server:
        found = outcomes(server, 40)
        next(found)
        time.sleep(0.5)
        assert 10 <= len(server.times()) <= 13
        assert len(list(found)) == 40


def test_the_room_is_bounded_in_bytes_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_WAITING_BYTES", 10_000)
    noise = random.Random(1).randbytes(4000)  # no smaller when it is packed
    with running({f"/p{number}": answer(noise) for number in range(30)}) as server:
        found = outcomes(server, 30)
        next(found)
        time.sleep(0.3)
        assert len(server.times()) <= 6
        assert len(list(found)) == 30
        # One page may be larger than all the room.
        monkeypatch.setattr(worker, "MOST_WAITING_BYTES", 10)
        assert len(list(outcomes(server, 5))) == 6


def test_who_stops_listening_stops_the_lanes_at_once() -> None:
    with running(latency=5) as server, running() as quick:
        found = run_lanes([*pages(server), *pages(quick, 3)], {}, settings(), 30)
        next(found)
        started = time.monotonic()
        found.close()  # type: ignore[attr-defined]
        assert time.monotonic() - started < 1
        assert not threads()


def test_lanes_that_wait_for_room_are_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_WAITING", 1)
    with running() as server:
        found = outcomes(server, 40)
        next(found)
        time.sleep(0.2)
        found.close()  # type: ignore[attr-defined]
        assert len(server.times()) < 5


def test_an_error_in_the_loop_is_raised_where_outcomes_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_WAITING", 1)

    def broken(request: Request, _answer: Answer) -> list[Link]:
        if request.url.endswith("/p5"):
            raise ZeroDivisionError("a fault of ours")
        return [Link(request.url + "x", "product")]

    with running() as server, running(latency=0.3) as slow:
        given = [*pages(server, 20), *pages(slow, 20)]
        taken = []
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 what came before is kept
            for one in run_lanes(given, {}, settings(), 20, broken):
                taken.append(one)
                time.sleep(0.01)
        assert caught.group_contains(ZeroDivisionError)
        assert [one.links[0].url for one in taken if isinstance(one, Outcome)] == [
            server.url(f"/p{number}x") for number in range(5)
        ]


def test_nothing_to_do_is_done() -> None:
    assert list(run_lanes([], {}, settings(), 1)) == []


def test_a_generator_that_nobody_starts_does_nothing() -> None:
    with running() as server:
        outcomes(server, 3)
        time.sleep(0.05)
        assert not server.asked
