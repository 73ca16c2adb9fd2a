"""Ends a worker that takes no step any more, after writing down where each of its threads is.

A worker waits for the others in every step; so when one hangs, all do, and nothing would ever end them. Python's own
faulthandler watches from a thread of C, which also sees a process whose Python no longer runs.
"""

import faulthandler
import time
from types import TracebackType

# Setting the alarm anew costs a thread; more often than this it serves nobody.
RENEWED_SECONDS = 1.0


class Watchdog:
    """Watches the time since the last step, from entering to leaving.

    Args:
        seconds: that a step may take; None: not watched.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._renewed = 0.0

    def __enter__(self) -> "Watchdog":
        self._set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.seconds is not None:
            faulthandler.cancel_dump_traceback_later()

    def step(self) -> None:
        """A step was taken."""
        if time.monotonic() - self._renewed >= RENEWED_SECONDS:
            self._set()

    def _set(self) -> None:
        self._renewed = time.monotonic()
        if self.seconds is not None:
            faulthandler.dump_traceback_later(self.seconds, exit=True)
