"""Runs a task's lanes in a thread of their own, so that they keep their pace while Spark takes what they fetched."""

import asyncio
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping

from lib.config import CrawlSettings
from lib.crawl.fetch import Answer
from lib.crawl.lanes import fetch_hosts
from lib.crawl.links import links
from lib.crawl.request import HostState, Link, Outcome, Request
from lib.crawl.urls import Scope

# Outcomes that wait for Spark; a page has some 10 to 100 kB.
WAITING = 256
TICK_SECONDS = 0.02
Found = Outcome | HostState


def run_lanes(
    requests: Iterable[Request], states: Mapping[str, HostState], settings: CrawlSettings, seconds: float
) -> Iterator[Found]:
    """Fetch the requests for so many seconds; yields every request's outcome and every host's state.

    An error in a lane is raised here; when the caller stops early, the lanes are cancelled.
    """
    run = _Run(list(requests), states, settings, time.time() + seconds)
    run.start()
    try:
        yield from run.found()
    finally:
        run.stop()


class _Run:
    """The thread and what it has found."""

    def __init__(
        self, requests: list[Request], states: Mapping[str, HostState], settings: CrawlSettings, deadline: float
    ) -> None:
        self._requests, self._states, self._settings, self._deadline = requests, states, settings, deadline
        self._scope = Scope(settings)
        self._queue: queue.Queue[Found | BaseException | None] = queue.Queue(WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="crawl lanes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def found(self) -> Iterator[Found]:
        """Everything found until the lanes end."""
        while (one := self._queue.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one

    def stop(self) -> None:
        """Cancel what still runs and wait for its end."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        last: BaseException | None = None
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 raised again by the consumer
            last = error
        while not self._stopped.is_set():
            try:
                self._queue.put(last, timeout=TICK_SECONDS)
            except queue.Full:
                continue
            return

    async def _main(self) -> None:
        lanes = asyncio.create_task(
            fetch_hosts(self._requests, self._states, self._settings, self._deadline, self._emit, self._find)
        )
        while not lanes.done():
            await asyncio.wait([lanes], timeout=1.0)
            if self._stopped.is_set():
                lanes.cancel()
        if not self._stopped.is_set():
            lanes.result()

    async def _emit(self, found: Found) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put_nowait(found)
            except queue.Full:
                await asyncio.sleep(TICK_SECONDS)
            else:
                return

    def _find(self, request: Request, answer: Answer) -> list[Link]:
        return links(request.kind, request.url, answer.body, answer.header("content-type"), self._scope, self._settings)
