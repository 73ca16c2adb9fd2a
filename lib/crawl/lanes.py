"""One polite lane a host, all of a task's side by side in one loop.

A lane starts its requests at least the host's delay apart, across rounds too, asks for robots.txt before anything else,
tries again what may pass, and gives back what it did not come to. Every request it was given comes back as one outcome.
"""

import asyncio
import gzip
import hashlib
import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from urllib.parse import urlsplit

from lib.config import CrawlSettings, HostSettings
from lib.crawl import robots
from lib.crawl.fetch import Answer, Fetcher, FetchError
from lib.crawl.host_states import STREAK
from lib.crawl.pace import Clock, Pace
from lib.crawl.request import PICTURE, HostState, Link, Outcome, Request, RobotsRecord
from lib.crawl.throttle import Throttle, backoff, longest_backoff, retry_after
from lib.crawl.urls import Scope, canonical, host_of

Emit = Callable[[Outcome | HostState], Awaitable[None]]
FindLinks = Callable[[Request, Answer], list[Link]]
OK, NOT_MODIFIED, UNAUTHORIZED, FORBIDDEN, TOO_MANY, UNAVAILABLE = 200, 304, 401, 403, 429, 503
# Answers of a client's fault that may be others the next time (RFC 9110, RFC 8470, RFC 6585); and all of a server's.
PASSING = frozenset({408, 425, 429})
# Answers of a client's fault that tell something of the address: that nothing is there.
GONE = frozenset({404, 410})
# Failures in which the host did not answer at all.
UNANSWERED = frozenset({"timeout", "dns_failed", "connect_failed", "refused_address", "disconnected"})
PACK_LEVEL = 1
# Pictures are packed by their format: gzip gains nothing of them and takes longer than all else of an answer.
PICTURE_LEVEL = 0
# What has more bytes is packed and read in a thread; the lanes would feel it.
LARGE = 64 << 10
# A lane that waits looks so often whether its round has ended.
LONGEST_SLEEP = 0.25


class _NoTurnError(Exception):
    """The host has no turn left in this round."""


class Lane:
    """The requests of one host in one round."""

    def __init__(
        self, requests: Iterable[Request], state: HostState, settings: CrawlSettings, deadline: float, emit: Emit,
        find_links: FindLinks, fetcher: Fetcher, scope: Scope, chance: random.Random,
    ) -> None:  # fmt: skip
        self._settings, self._emit, self._find_links = settings, emit, find_links
        self._fetcher, self._scope, self._state, self._chance = fetcher, scope, state, chance
        self._fresh = deque(requests)
        # What is tried again in this round, by the time it is due, and what becomes of it if the round ends before.
        self._again: list[tuple[float, int, Request]] = []
        self._order = count()
        self._postponed: dict[str, Outcome] = {}
        self._host = scope.settings_for(state.host) or HostSettings()
        least = settings.delay if self._host.delay is None else self._host.delay
        self._throttle = Throttle(settings, least, state.delay)
        self._clock = Clock()
        self._pace = Pace(self._throttle, self._clock, deadline, state.last_request, state.paused_until)
        self._rules: robots.Rules | None = None

    async def run(self) -> None:
        """Work until all requests are answered, the deadline has come, or the host is to be left alone."""
        if self._scope.settings_for(self._state.host) is None:
            await self._end_all("failed", "not_allowed")
        elif await self._know_robots():
            await asyncio.gather(*(self._work() for _ in range(self._host.in_flight)))
            await self._give_back(self._pace.paused_until)
        await self._emit(
            replace(
                self._state, delay=self._throttle.adaptive, pace=self._throttle.delay,
                last_request=self._pace.last_request, paused_until=self._pace.paused_until,
            )
        )  # fmt: skip

    # --- what is asked next

    async def _work(self) -> None:
        while (request := await self._next()) is not None:
            if not self._may_ask(request):
                await self._emit(_outcome(request, "failed", error="not_allowed"))
            elif request.kind != "api" and self._rules is not None and not self._rules.allows(request.url):
                await self._emit(_outcome(request, "forbidden"))
                await asyncio.sleep(0)  # long rules for many addresses are no reason for other lanes to wait
            elif not self._take_from_quota(request):
                await self._emit(_outcome(request, "waiting"))
            elif await self._pace.turn():
                await self._ask(request)
            else:
                self._give_to_quota(request)
                self._fresh.appendleft(request)
                return

    def _may_ask(self, request: Request) -> bool:
        """Whether it is this host's, and an API's only if conf names that."""
        of_host = host_of(request.url) == self._state.host and request.url.isascii()
        return of_host and (request.kind == "api") == (self._scope.api_of(request.url) is not None)

    async def _next(self) -> Request | None:
        """The next request that is due before the deadline; None when there is none, or the host is left alone."""
        while not self._pace.is_over:
            if self._again and self._again[0][0] <= self._clock.now():
                return heapq.heappop(self._again)[2]
            if self._fresh:
                return self._fresh.popleft()
            if not self._again:
                return None
            await asyncio.sleep(min(LONGEST_SLEEP, max(0.001, self._again[0][0] - self._clock.now())))
        return None

    def _take_from_quota(self, request: Request) -> bool:
        """Whether there is a request left in the quota for it; counts it."""
        if request.kind != "api" or self._state.quota_left is None:
            return True
        if self._state.quota_left <= 0:
            return False
        self._state = self._state.with_quota(self._state.quota_left - 1)
        return True

    def _give_to_quota(self, request: Request) -> None:
        if request.kind == "api" and self._state.quota_left is not None:
            self._state = self._state.with_quota(self._state.quota_left + 1)

    # --- one request

    async def _ask(self, request: Request) -> None:
        asked_at = self._clock.now()
        tried = replace(request, attempts=request.attempts + 1)
        try:
            answer = await self._fetcher.get(request)
        except FetchError as failure:
            await self._failed(tried, failure, asked_at)
            return
        self._saw(answer, tried.attempts)
        if _is_passing(answer.status) and tried.attempts < self._settings.max_attempts:
            await self._try_again(tried, f"status_{answer.status}", asked_at, status=answer.status)
        elif (error := self._why_no_page(tried, answer)) is not None:
            state = "failed"
            if tried.kind == "api" and answer.status in (UNAUTHORIZED, FORBIDDEN):
                # The secret is wrong, not the address, which waits for a better one; so does the rest of the round.
                self._pace.end()
                state = "waiting"
            await self._emit(_outcome(tried, state, error=error, requested_at=asked_at, status=answer.status))
        elif len(answer.body) > LARGE:
            await self._emit(await asyncio.to_thread(self._stored, tried, answer, asked_at))
        else:
            await self._emit(self._stored(tried, answer, asked_at))

    def _why_no_page(self, tried: Request, answer: Answer) -> str | None:
        """The code of what is wrong with an answer; None for a page."""
        if answer.status >= 400 and (tried.kind == "api" or answer.status not in GONE):
            return f"status_{answer.status}"
        # Spelt otherwise, or meant for a visitor with the cookie that came along.
        return "redirect_to_itself" if self._target(tried, answer) == tried.url else None

    def _saw(self, answer: Answer, attempts: int) -> None:
        """Learn from an answer how fast the host is, and leave it alone for as long as it says, or for a while where it
        is overloaded and does not say."""
        overloaded = answer.status in (TOO_MANY, UNAVAILABLE)
        self._state = replace(self._state, failures=0, overloaded=self._state.overloaded + 1 if overloaded else 0)
        self._throttle.saw(answer.status, answer.latency)
        if overloaded:
            seconds = retry_after(answer.header("retry-after"), self._settings)
            self._pace.pause(longest_backoff(attempts, self._settings) if seconds is None else seconds)

    async def _failed(self, tried: Request, error: FetchError, asked_at: float) -> None:
        if error.code in UNANSWERED:
            self._count_failure()
        elif error.code != "no_secret":
            self._state = replace(self._state, failures=0)
        if error.passing and tried.attempts < self._settings.max_attempts:
            await self._try_again(tried, error.code, asked_at)
        else:
            await self._emit(_outcome(tried, "failed", error=error.code, requested_at=asked_at))

    def _count_failure(self) -> None:
        failures = self._state.failures + 1
        self._state = replace(self._state, failures=failures)
        if failures % STREAK == 0:
            self._pace.pause(longest_backoff(failures, self._settings))
            self._pace.end()

    async def _try_again(self, tried: Request, error: str, asked_at: float, status: int | None = None) -> None:
        """In this round where time allows, else in a later one."""
        due = max(
            self._clock.now() + backoff(tried.attempts, self._settings, self._chance), self._pace.paused_until
        )  # fmt: skip
        later = _outcome(tried, "waiting", error=error, requested_at=asked_at, status=status, not_before=due)
        if due < self._pace.deadline:
            heapq.heappush(self._again, (due, next(self._order), tried))
            self._postponed[tried.url] = later
        else:
            await self._emit(later)

    def _stored(self, tried: Request, answer: Answer, asked_at: float) -> Outcome:
        """The page."""
        has_body = answer.status == OK
        level = PICTURE_LEVEL if tried.kind == PICTURE else PACK_LEVEL
        packed = answer.packed or gzip.compress(answer.body, level, mtime=0) if has_body else None
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
            return self._find_links(tried, answer)
        url = self._target(tried, answer)
        if url is not None and self._scope.settings_for(host_of(url)) is not None and tried.kind != "api":
            return [Link(url, tried.kind)]
        return []

    @staticmethod
    def _target(tried: Request, answer: Answer) -> str | None:
        """Where a redirect leads."""
        if not 300 <= answer.status < 400 or answer.status == NOT_MODIFIED or answer.location is None:
            return None
        return canonical(answer.location, tried.url)

    # --- robots.txt

    async def _know_robots(self) -> bool:
        """Ask for robots.txt where it is not known or a day old; False when nothing may be asked in this round."""
        if all(request.kind == "api" for request in self._fresh):
            return True  # an API is used by agreement, with a key; robots.txt is for who comes without one
        try:
            if self._state.robots.text is not None and not self._has_fresh_robots():
                await self._ask_robots()
            while self._state.robots.text is None:
                if self._state.robots.attempts >= self._settings.max_attempts:
                    return await self._without_pages("robots_unreachable")
                await self._ask_robots()
        except FetchError as refused:  # the address itself is refused: no other attempt helps
            return await self._without_pages(refused.code)
        except _NoTurnError:
            error = "robots_wait" if self._state.robots.attempts else None
            await self._give_back(max(self._pace.paused_until, self._state.robots.not_before), error)
            return False
        self._rules = await self._read_rules(self._state.robots.text)
        if self._rules.crawl_delay > self._settings.max_crawl_delay:
            return await self._without_pages("crawl_delay")
        self._throttle.ask(self._rules.crawl_delay)
        return True

    async def _without_pages(self, error: str) -> bool:
        """Give the host's pages up, and forget its robots.txt; whether API requests are left, which need none."""
        self._state = replace(self._state, robots=RobotsRecord(), given_up=error)
        rest = self._rest()
        for request in rest:
            if request.kind != "api":
                await self._emit(_outcome(request, "failed", error=error))
        self._fresh.extend(request for request in rest if request.kind == "api")
        return bool(self._fresh)

    async def _read_rules(self, text: str) -> robots.Rules:
        if len(text) > LARGE:
            return await asyncio.to_thread(robots.Rules, text, self._settings.agent)
        return robots.Rules(text, self._settings.agent)

    def _has_fresh_robots(self) -> bool:
        return self._state.robots.fetched_at + robots.FRESH_SECONDS > self._clock.now()

    async def _ask_robots(self) -> None:
        """One attempt at robots.txt, redirects of it included.

        Raises:
            _NoTurnError: the round has no turn for it.
        """
        known = self._state.robots
        if known.not_before >= self._pace.deadline:
            raise _NoTurnError
        await asyncio.sleep(max(0.0, known.not_before - self._clock.now()))
        text = await robots.ask(self._state.host, urlsplit(self._fresh[0].url).scheme, self._get_robots)
        if text is not None:
            self._state = replace(self._state, robots=RobotsRecord(text, fetched_at=self._clock.now()))
        elif known.text is None:
            attempts = known.attempts + 1
            wait = self._clock.now() + backoff(attempts, self._settings, self._chance)
            record = RobotsRecord(None, attempts, max(wait, self._pace.paused_until))
            self._state = replace(self._state, robots=record)

    async def _get_robots(self, url: str) -> Answer | None:
        if not await self._pace.turn():
            raise _NoTurnError
        try:
            answer = await self._fetcher.get(Request(url, "robots", self._state.host, 0), robots.MOST_BYTES + 1)
        except FetchError as error:
            if not error.passing:
                raise
            return None
        self._saw(answer, self._state.robots.attempts + 1)
        return None if _is_passing(answer.status) else answer

    # --- what is left

    async def _give_back(self, not_before: float, error: str | None = None) -> None:
        """Everything not done waits on, until the time given where that is still to come."""
        due = not_before if not_before > self._clock.now() else None
        for request in self._rest():
            waiting = self._postponed.get(request.url) or _outcome(request, "waiting", error=error)
            times = [time for time in (waiting.not_before, due) if time is not None]
            await self._emit(replace(waiting, not_before=max(times, default=None)))

    async def _end_all(self, state: str, error: str) -> None:
        for request in self._rest():
            await self._emit(_outcome(request, state, error=error))

    def _rest(self) -> list[Request]:
        rest = [*(request for _, _, request in sorted(self._again)), *self._fresh]
        self._again.clear()
        self._fresh.clear()
        return rest


def _is_passing(status: int) -> bool:
    return status in PASSING or status >= 500


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
    find_links: FindLinks, chance: random.Random | None = None,
) -> None:  # fmt: skip
    """Fetch all requests, one lane a host, and hand each outcome and each host's state at the end to `emit`.

    Args:
        states: what is known of the hosts.
        deadline: Unix seconds after which no request starts.
        find_links: the addresses to follow in an answer of status 200; called in a thread for large ones.
        chance: of the jitter before another attempt.
    """
    by_host: dict[str, list[Request]] = {}
    for request in requests:
        by_host.setdefault(request.host, []).append(request)
    scope, jitter = Scope(settings), chance or random.Random()  # noqa: S311 jitter
    async with AsyncExitStack() as open_fetchers, asyncio.TaskGroup() as group:
        for host, own in by_host.items():
            allowed = scope.settings_for(host) or HostSettings()
            fetcher = await open_fetchers.enter_async_context(Fetcher(settings, allowed.in_flight))
            state = states.get(host) or HostState(host)
            lane = Lane(own, state, settings, deadline, emit, find_links, fetcher, scope, jitter)
            group.create_task(lane.run())
