"""Waits for the next turn of any host, and says now and then that it does."""

import logging
import time
from collections.abc import Sequence

from lib.crawl.plan import Waiting

LOG = logging.getLogger(__name__)
# While every address waits for a time to come, it is looked again at least so often.
LONGEST_SLEEP = 10.0
# And so often it is said that they wait.
SAY_SECONDS = 60.0


class Patience:
    """The waiting of one crawl, or of one fetching of pictures, whose name its lines begin with."""

    def __init__(self, name: str) -> None:
        self._name, self._said = name, 0.0

    def wait(self, waiting: Sequence[Waiting], until: float) -> None:
        """Sleep until then (Unix seconds), LONGEST_SLEEP at most."""
        seconds = max(0.0, until - time.time())
        if time.monotonic() - self._said >= SAY_SECONDS:
            self._said = time.monotonic()
            left = sum(one.due + one.later for one in waiting)
            LOG.info("%s: %s addresses wait, the next for %.0f s more", self._name, f"{left:,}", seconds)
        time.sleep(min(seconds, LONGEST_SLEEP))
