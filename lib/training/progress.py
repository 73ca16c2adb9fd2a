"""Progress of a training: a live line on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

LOG = logging.getLogger(__name__)
# Often enough to see that it lives, seldom enough for a log that is kept.
PLAIN_SECONDS = 30.0


class TrainingProgress:
    """Shows rows done of all rows of the training, with the running figures.

    Args:
        rows: of the whole training, over all epochs.
        label: what is trained.
        done: rows that an earlier run did.
    """

    def __init__(self, rows: int, label: str, done: int = 0) -> None:
        self.rows, self.label, self.before, self.done = rows, label, done, done
        self._started = self._said = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task = self._bar.add_task(label, total=rows, completed=done, figures="") if self._bar else None

    def __enter__(self) -> "TrainingProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, rows: int, figures: str) -> None:
        """Show that `rows` more are done."""
        self.done += rows
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, figures=figures)
        elif time.monotonic() - self._said >= PLAIN_SECONDS:
            self._said = time.monotonic()
            LOG.info("%s: %s", self.label, self.line(figures))

    def line(self, figures: str) -> str:
        """The plain line: share done, figures, time left at the speed so far."""
        share = self.done / self.rows if self.rows else 1.0
        elapsed = time.monotonic() - self._started
        here = self.done - self.before
        left = elapsed * (self.rows - self.done) / here if here else float("inf")
        return f"{share:.0%}, {figures}, {left:.0f} s left"


def figures(loss: float, accuracy: float, rows_per_second: float, wait: float) -> str:
    """The running figures as text."""
    return f"loss {loss:.4f}, accuracy {accuracy:.4f}, {rows_per_second:,.0f} rows/s, input wait {wait:.0%}"


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    return Progress(*columns, console=Console(stderr=True))
