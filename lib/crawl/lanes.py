"""One polite lane a host, all of a task's side by side in one loop.

A lane starts its requests at least the host's delay apart, across rounds too, asks for robots.txt before anything else,
tries again what may pass, and gives back what it did not come to. Every request it was given comes back as one outcome.
"""

import asyncio
import gzip
import hashlib
import heapq
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from urllib.parse import urljoin, urlsplit

from lib.config import CrawlSettings, HostSettings
from lib.crawl import robots
from lib.crawl.fetch import Answer, Fetcher, FetchError
from lib.crawl.request import HostState, Link, Outcome, Request, RobotsRecord
from lib.crawl.throttle import Throttle, backoff, retry_after
from lib.crawl.urls import Scope, canonical

Emit = Callable[[Outcome | HostState], Awaitable[None]]
FindLinks = Callable[[Request, Answer], list[Link]]
OK, NOT_MODIFIED, TOO_MANY, UNAVAILABLE = 200, 304, 429, 503
# Answers that may be others the next time (RFC 9110: timeouts, overload, passing faults of a server).
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
# After so many failures in a row the host, not the address, is what fails: the round leaves it alone.
STREAK = 5
PACK_LEVEL = 1
MOST_LINKS = 5000


class Lane:
    """The requests of one host in one round."""

    def __init__(
        self, requests: Iterable[Request], state: HostState, settings: CrawlSettings, deadline: float, emit: Emit,
        find_links: FindLinks, fetcher: Fetcher, scope: Scope,
    ) -> None:  # fmt: skip
        self._settings, self._deadline, self._emit, self._find_links = settings, deadline, emit, find_links
        self._fetcher, self._scope, self._state = fetcher, scope, state
        self._fresh = deque(requests)
        self._again: list[tuple[float, int, Request]] = []
        self._order = count()
        self._host = scope.settings_for(state.host) or HostSettings()
        least = settings.delay if self._host.delay is None else self._host.delay
        self._throttle = Throttle(settings, least, state.delay)
        self._turn = asyncio.Lock()
        self._chance = random.Random()  # noqa: S311 jitter
        self._rules: robots.Rules | None = None

    async def run(self) -> None:
        """Work until all requests are answered, the deadline has come, or the host is to be left alone."""
        if self._scope.settings_for(self._state.host) is None:
            await self._end_all("failed", "not_allowed")
        elif self._state.failures >= STREAK * self._settings.max_attempts:
            self._state = replace(self._state, failures=0)
            await self._end_all("failed", "host_unreachable")
        elif await self._know_robots():
            await asyncio.gather(*(self._work() for _ in range(self._host.in_flight)))
            await self._give_back(max(self._state.paused_until, 0.0) or None)
        await self._emit(replace(self._state, delay=self._throttle.adaptive))

    # --- what is asked next

    async def _work(self) -> None:
        while (request := await self._next()) is not None:
            if request.kind != "api" and self._rules is not None and not self._rules.allows(request.url):
                await self._emit(_outcome(request, "forbidden"))
            elif self._quota_is_used(request):
                await self._emit(_outcome(request, "waiting"))
            elif await self._may_start(request):
                await self._ask(request)
            else:
                self._fresh.appendleft(request)
                if not self._quota_is_used(request):
                    return

    def _quota_is_used(self, request: Request) -> bool:
        return request.kind == "api" and self._state.quota_left == 0

    async def _next(self) -> Request | None:
        """The next request that is due before the deadline; None when there is none, or the host is left alone."""
        while not self._left_alone():
            if self._again and self._again[0][0] <= time.time():
                return heapq.heappop(self._again)[2]
            if self._fresh:
                return self._fresh.popleft()
            if not self._again or self._again[0][0] >= self._deadline:
                return None
            await asyncio.sleep(max(0.001, self._again[0][0] - time.time()))
        return None

    def _left_alone(self) -> bool:
        return self._state.paused_until >= self._deadline or time.time() >= self._deadline

    async def _may_start(self, request: Request) -> bool:
        """Wait for the host's next turn and take it; False when that comes after the deadline, or a quota is used."""
        async with self._turn:
            if self._quota_is_used(request):
                return False
            while True:
                due = max((self._state.last_request or 0.0) + self._throttle.delay, self._state.paused_until)
                if due >= self._deadline:
                    return False
                if (wait := due - time.time()) <= 0:
                    break
                await asyncio.sleep(wait)
            left = self._state.quota_left
            used = None if left is None else left - (request.kind == "api")
            self._state = replace(self._state, last_request=time.time(), quota_left=used)
        return True

    # --- one request

    async def _ask(self, request: Request) -> None:
        asked_at = time.time()
        tried = replace(request, attempts=request.attempts + 1)
        try:
            answer = await self._fetcher.get(request)
        except FetchError as error:
            await self._failed(tried, error, asked_at)
            return
        self._state = replace(self._state, failures=0)
        self._throttle.saw(answer.status, answer.seconds)
        if answer.status in PASSING and tried.attempts < self._settings.max_attempts:
            self._slow_down(answer, tried)
            await self._try_again(tried, f"status_{answer.status}", asked_at, status=answer.status)
            return
        await self._emit(self._stored(tried, answer, asked_at))

    def _slow_down(self, answer: Answer, tried: Request) -> None:
        """Leave the whole host alone for as long as it says, or for a while where it is overloaded and does not say."""
        if answer.status not in (TOO_MANY, UNAVAILABLE):
            return
        seconds = retry_after(answer.header("retry-after"), self._settings)
        pause = backoff(tried.attempts, self._settings, self._chance) if seconds is None else seconds
        self._state = replace(self._state, paused_until=max(self._state.paused_until, time.time() + pause))

    async def _failed(self, tried: Request, error: FetchError, asked_at: float) -> None:
        self._state = replace(self._state, failures=self._state.failures + 1)
        if self._state.failures % STREAK == 0:
            pause = min(
                self._settings.backoff_limit, self._settings.backoff_seconds * 2 ** min(self._state.failures, 30)
            )
            self._state = replace(self._state, paused_until=time.time() + pause)
        if error.passing and tried.attempts < self._settings.max_attempts:
            await self._try_again(tried, error.code, asked_at)
        else:
            await self._emit(_outcome(tried, "failed", error=error.code, requested_at=asked_at))

    async def _try_again(self, tried: Request, error: str, asked_at: float, status: int | None = None) -> None:
        """In this round where time allows, else in a later one."""
        due = max(time.time() + backoff(tried.attempts, self._settings, self._chance), self._state.paused_until)
        if due < self._deadline:
            heapq.heappush(self._again, (due, next(self._order), tried))
        else:
            await self._emit(
                _outcome(tried, "waiting", error=error, requested_at=asked_at, status=status, not_before=due)
            )

    def _stored(self, tried: Request, answer: Answer, asked_at: float) -> Outcome:
        """The page."""
        has_body = answer.status == OK
        packed = answer.packed or gzip.compress(answer.body, PACK_LEVEL, mtime=0) if has_body else None
        return replace(
            _outcome(tried, "stored", requested_at=asked_at, status=answer.status),
            headers=answer.headers, content_type=answer.header("content-type"), etag=answer.header("etag"),
            last_modified=answer.header("last-modified"), body=packed,
            body_bytes=len(answer.body) if has_body else 0, sent_bytes=answer.sent_bytes,
            hash=hashlib.sha256(answer.body).hexdigest() if has_body else None,
            links=tuple(self._links(tried, answer)), seconds=answer.seconds,
        )  # fmt: skip

    def _links(self, tried: Request, answer: Answer) -> list[Link]:
        if answer.status == OK:
            return self._find_links(tried, answer)[:MOST_LINKS]
        target = answer.header("location")
        if 300 <= answer.status < 400 and answer.status != NOT_MODIFIED and target is not None:
            url = canonical(target, tried.url)
            if url is not None and self._scope.settings_for(urlsplit(url).netloc) is not None and tried.kind != "api":
                return [Link(url, tried.kind)]
        return []

    # --- robots.txt

    async def _know_robots(self) -> bool:
        """Ask for robots.txt where it is not known yet; False when nothing may be asked in this round."""
        if all(request.kind == "api" for request in self._fresh):
            return True  # an API is used by agreement, with a key; robots.txt is for who comes without one
        while self._state.robots.text is None:
            record = self._state.robots
            if record.attempts >= self._settings.max_attempts:
                self._state = replace(self._state, robots=RobotsRecord())
                await self._end_all("failed", "robots_unreachable")
                return False
            if record.not_before >= self._deadline:
                await self._give_back(record.not_before, "robots_wait")
                return False
            await asyncio.sleep(max(0.0, record.not_before - time.time()))
            if not await self._ask_robots():
                await self._give_back(max(self._state.paused_until, 0.0) or None)
                return False
        self._rules = robots.Rules(self._state.robots.text, self._settings.agent)
        self._throttle.ask(self._rules.crawl_delay)
        return True

    async def _ask_robots(self) -> bool:
        """One attempt at robots.txt, redirects of it included; False when there was no turn for it any more."""
        scheme = urlsplit(self._fresh[0].url).scheme
        url = f"{scheme}://{self._state.host}/robots.txt"
        for _ in range(robots.MOST_REDIRECTS + 1):
            request = Request(url, "robots", self._state.host, 0)
            if not await self._may_start(request):
                return False
            try:
                answer = await self._fetcher.get(request)
            except FetchError:
                break
            if answer.status in PASSING or answer.status >= 500:
                self._slow_down(answer, replace(request, attempts=self._state.robots.attempts + 1))
                break
            if not (300 <= answer.status < 400):
                text = robots.text_of(answer.body) if answer.status == OK else robots.ALLOW_ALL
                self._state = replace(self._state, robots=RobotsRecord(text))
                return True
            target = urlsplit(urljoin(url, answer.header("location") or ""))
            if target.netloc != self._state.host or target.scheme != scheme:
                break_text = robots.FORBID_ALL  # whose rules hold elsewhere is not known here
                self._state = replace(self._state, robots=RobotsRecord(break_text))
                return True
            url = target.geturl()
        else:
            self._state = replace(self._state, robots=RobotsRecord(robots.FORBID_ALL))
            return True
        attempts = self._state.robots.attempts + 1
        due = max(time.time() + backoff(attempts, self._settings, self._chance), self._state.paused_until)
        self._state = replace(self._state, robots=RobotsRecord(None, attempts, due))
        return True

    # --- what is left

    async def _give_back(self, not_before: float | None, error: str | None = None) -> None:
        """Everything not done waits on."""
        for request in self._rest():
            await self._emit(_outcome(request, "waiting", error=error, not_before=not_before))

    async def _end_all(self, state: str, error: str) -> None:
        for request in self._rest():
            await self._emit(_outcome(request, state, error=error))

    def _rest(self) -> list[Request]:
        rest = [*(request for _, _, request in sorted(self._again)), *self._fresh]
        self._again.clear()
        self._fresh.clear()
        return rest


def _outcome(
    request: Request, state: str, *, error: str | None = None, requested_at: float | None = None,
    status: int | None = None, not_before: float | None = None,
) -> Outcome:  # fmt: skip
    return Outcome(
        request.url, request.kind, request.host, request.depth, state, request.attempts, request.etag,
        request.last_modified, not_before, requested_at, status, error,
    )  # fmt: skip


async def fetch_hosts(
    requests: Iterable[Request], states: Mapping[str, HostState], settings: CrawlSettings, deadline: float, emit: Emit,
    find_links: FindLinks,
) -> None:  # fmt: skip
    """Fetch all requests, one lane a host, and hand each outcome and each host's state at the end to `emit`.

    Args:
        states: what is known of the hosts.
        deadline: Unix seconds after which no request starts.
        find_links: the addresses to follow in an answer of status 200.
    """
    by_host: dict[str, list[Request]] = {}
    for request in requests:
        by_host.setdefault(request.host, []).append(request)
    scope = Scope(settings)
    async with AsyncExitStack() as open_fetchers, asyncio.TaskGroup() as group:
        for host, own in by_host.items():
            allowed = scope.settings_for(host) or HostSettings()
            fetcher = await open_fetchers.enter_async_context(Fetcher(settings, allowed.in_flight))
            state = states.get(host) or HostState(host)
            lane = Lane(own, state, settings, deadline, emit, find_links, fetcher, scope)
            group.create_task(lane.run())
