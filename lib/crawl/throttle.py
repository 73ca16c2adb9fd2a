"""How long to wait: between two requests to a host, and before another attempt.

The adaptive delay is Scrapy's AutoThrottle: half-way from the delay of now to latency / target_concurrency, never below
what conf and the site ask for, and never shortened by an error, which is often quicker than a page.
"""

import random
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

from lib.config import CrawlSettings

OK, NOT_MODIFIED = 200, 304


class Throttle:
    """The delay of one host, in seconds."""

    def __init__(self, settings: CrawlSettings, least: float, adaptive: float | None) -> None:
        self._settings, self._least, self._asked = settings, least, 0.0
        self.adaptive = adaptive

    def ask(self, crawl_delay: float) -> None:
        """What robots.txt asks for; the delay is never below it."""
        self._asked = crawl_delay

    @property
    def delay(self) -> float:
        """Seconds between the starts of two requests."""
        return max(self._least, self._asked, self.adaptive or 0.0)

    def saw(self, status: int, latency: float) -> None:
        """Learn from an answer whose headers came after so many seconds."""
        if not self._settings.adaptive:
            return
        target = latency / self._settings.target_concurrency
        new = max(target, (self.delay + target) / 2)
        new = min(max(new, self._least, self._asked), max(self._settings.max_delay, self._least, self._asked))
        if status in (OK, NOT_MODIFIED) or new > self.delay:
            self.adaptive = new


def longest_backoff(attempts: int, settings: CrawlSettings) -> float:
    """The most seconds before the next attempt after so many: doubles with each, up to a limit."""
    return min(settings.backoff_limit, settings.backoff_seconds * 2.0 ** min(max(attempts - 1, 0), 30))


def backoff(attempts: int, settings: CrawlSettings, chance: random.Random) -> float:
    """Seconds before the next attempt after so many: anything up to the longest, so that retries do not come in waves.

    "Full jitter" of M. Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015).
    """
    return chance.uniform(0.0, longest_backoff(attempts, settings))


def retry_after(value: str | None, settings: CrawlSettings) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), bounded; None where it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    else:
        try:
            at = parsedate_to_datetime(text)
            # A date that names no zone is one of Greenwich, as all dates of HTTP are.
            seconds = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(max(0.0, seconds), settings.retry_after_limit)
