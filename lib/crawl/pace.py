"""When the next request to a host may start: its delay after the last one, after what it asked us to wait, and before
the round's end. Requests that may overlap take turns here, so their starts keep the delay as well."""

import asyncio
import time

from lib.crawl.throttle import Throttle

# Timers of asyncio come up to a millisecond late. Where that is more than a percent of the delay, the last
# millisecond is waited for in steps of the loop, which keep a core busy but let other lanes go on.
SHORT_DELAY = 0.1
TIMER_SECONDS = 0.001


class Clock:
    """Unix seconds that do not jump while a round runs, whatever is done to the machine's clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix seconds."""
        return self._offset + time.monotonic()


class Pace:
    """The turns of one host.

    Attributes:
        last_request: when it was asked last; None: never.
        paused_until: it is not to be asked before.
        deadline: nothing starts from then on.
    """

    def __init__(
        self, throttle: Throttle, clock: Clock, deadline: float, last_request: float | None, paused_until: float
    ) -> None:
        self._throttle, self._clock, self.deadline = throttle, clock, deadline
        # A machine whose clock is ahead of this one's may have asked last.
        self.last_request = None if last_request is None else min(last_request, clock.now())
        self.paused_until = paused_until
        self._turn = asyncio.Lock()

    @property
    def is_over(self) -> bool:
        """Whether no request can start any more."""
        return self.paused_until >= self.deadline or self._clock.now() >= self.deadline

    @property
    def next_turn(self) -> float:
        """When the host may be asked next (Unix seconds)."""
        return max((self.last_request or 0.0) + self._throttle.delay, self.paused_until)

    def pause(self, seconds: float) -> None:
        """Ask nothing for so long, or for longer where that was said before."""
        self.paused_until = max(self.paused_until, self._clock.now() + seconds)

    def end(self) -> None:
        """Start nothing more in this round."""
        self.deadline = min(self.deadline, self._clock.now())

    async def turn(self) -> bool:
        """Wait for the next turn, first come first served, and take it; False when it would come after the deadline."""
        async with self._turn:
            while True:
                due = self.next_turn
                now = self._clock.now()
                if max(due, now) >= self.deadline:
                    return False
                if due <= now:
                    self.last_request = now
                    return True
                await self._sleep(due - now)

    async def _sleep(self, seconds: float) -> None:
        if self._throttle.delay >= SHORT_DELAY:
            await asyncio.sleep(seconds)
        else:
            await asyncio.sleep(max(0.0, seconds - TIMER_SECONDS))
