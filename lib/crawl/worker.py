"""Runs a task's lanes in a thread of their own, so that they keep their pace while Spark takes what they fetched."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from lib.config import CrawlSettings
from lib.crawl.fetch import Answer
from lib.crawl.lanes import FindLinks, fetch_hosts
from lib.crawl.links import links
from lib.crawl.request import HostState, Link, Outcome, Request
from lib.crawl.urls import Scope

# Outcomes that wait for Spark, and bytes of their pages: some 10 to 100 kB each, much more where a site likes it.
MOST_WAITING, MOST_WAITING_BYTES = 256, 64 << 20
Found = Outcome | HostState


def run_lanes(
    requests: Iterable[Request], states: Mapping[str, HostState], settings: CrawlSettings, seconds: float,
    find_links: FindLinks | None = None,
) -> Iterator[Found]:  # fmt: skip
    """Fetch the requests for so many seconds; yields every request's outcome and every host's state.

    An error in a lane is raised here; when the caller stops early, the lanes are cancelled.

    Args:
        find_links: the addresses to follow in an answer; lib.crawl.links by default.
    """
    scope = Scope(settings)

    def links_of(request: Request, answer: Answer) -> list[Link]:
        return links(request.kind, request.url, answer.body, answer.header("content-type"), scope, settings)

    run = _Run(list(requests), states, settings, time.time() + seconds, find_links or links_of)
    run.start()
    try:
        yield from run.found()
    finally:
        run.stop()


class _Waiting:
    """What was found and not yet taken: the lanes put it in from their loop, one other thread takes it out.

    Bounded in number and in bytes: lanes wait while it is full, but for one that is larger than all the room.
    """

    def __init__(self) -> None:
        self._found: deque[Found] = deque()
        self._bytes = 0
        self._ended = False
        self._change = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room: asyncio.Event | None = None

    async def put(self, one: Found) -> None:
        """Wait for room and put it in."""
        if self._room is None:
            self._loop, self._room = asyncio.get_running_loop(), asyncio.Event()
        while not self._put_now(one):
            await self._room.wait()

    def _put_now(self, one: Found) -> bool:
        assert self._room is not None
        with self._change:
            size = _size(one)
            is_full = len(self._found) >= MOST_WAITING or self._bytes + size > MOST_WAITING_BYTES
            if self._found and is_full:
                self._room.clear()
                return False
            self._found.append(one)
            self._bytes += size
            self._change.notify()
            return True

    def end(self) -> None:
        """Nothing more comes."""
        with self._change:
            self._ended = True
            self._change.notify()

    def take(self) -> Found | None:
        """Wait for the next one; None: nothing more comes."""
        with self._change:
            while not self._found and not self._ended:
                self._change.wait()
            if not self._found:
                return None
            one = self._found.popleft()
            self._bytes -= _size(one)
            if self._loop is not None and self._room is not None and not self._room.is_set() and not self._ended:
                self._loop.call_soon_threadsafe(self._room.set)
            return one


def _size(one: Found) -> int:
    return len(one.body or b"") if isinstance(one, Outcome) else 0


class _Run:
    """The thread and what it has found."""

    def __init__(
        self, requests: list[Request], states: Mapping[str, HostState], settings: CrawlSettings, deadline: float,
        find_links: FindLinks,
    ) -> None:  # fmt: skip
        self._requests, self._states, self._settings = requests, states, settings
        self._deadline, self._find_links = deadline, find_links
        self._waiting = _Waiting()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lanes: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name="crawl lanes", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._started.wait()

    def found(self) -> Iterator[Found]:
        """Everything found until the lanes end."""
        while (one := self._waiting.take()) is not None:
            yield one
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Cancel what still runs and wait for its end."""
        if self._loop is not None and self._lanes is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._lanes.cancel)
        self._thread.join()

    def _work(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 raised again by the consumer
            self._error = self._error or error
        finally:
            self._started.set()
            self._waiting.end()

    async def _main(self) -> None:
        self._loop, self._lanes = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        try:
            await fetch_hosts(
                self._requests, self._states, self._settings, self._deadline, self._waiting.put, self._find_links
            )
        except BaseException as error:  # noqa: BLE001 raised again by the consumer
            self._error = error
        finally:
            self._waiting.end()
