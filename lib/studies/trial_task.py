"""What a Spark task of a search does: hand a trial to this Python worker's process, and say what became of it.

It runs in Spark's Python workers, which live on from one task to the next, and loads no TensorFlow. It never fails: a
process that has died is a failed trial, and after a failed one the next gets a fresh process.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from lib.studies.trial import Outcome
from lib.training.barrier_task import python_path

# Bytes from the end of what a dead process has written, in which its last words are.
LAST_WORDS = 4096
# Each trial leaves some memory behind in its process, which would be counted against the later ones.
TRIALS_A_PROCESS = 25


class TrialProcess:
    """A child process that trains trials (lib/studies/trial_process.py)."""

    def __init__(self) -> None:
        self.trained = 0
        # TensorFlow writes a file for each function it compiles, and a killed process leaves them.
        self.temporary = tempfile.TemporaryDirectory(prefix="catmatch-trials-", ignore_cleanup_errors=True)
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        reading, writing = os.pipe()
        self.process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", "lib.studies.trial_process", str(writing), self.temporary.name],
            env={**os.environ, "PYTHONPATH": python_path()},
            text=True, stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT, pass_fds=[writing],
        )  # fmt: skip
        os.close(writing)
        self.told = os.fdopen(reading, encoding="utf-8")

    def train(self, line: str) -> Outcome:
        """Have a trial trained to its end."""
        assert self.process.stdin is not None
        self.trained += 1
        self.log.seek(0)
        self.log.truncate()
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            answer = self.told.readline()
        except BrokenPipeError:
            answer = ""
        return Outcome.of_line(answer) if answer.endswith("\n") else Outcome.failed(self._death())

    def end(self) -> None:
        """Let it go, whatever it is at."""
        self.process.kill()
        self.process.wait()
        self.temporary.cleanup()

    def _death(self) -> str:
        """How it died."""
        status = self.process.wait()
        words = f"its process ended with status {status}"
        if status < 0:
            words = f"its process was ended by {signal.Signals(-status).name}"
        if status == -signal.SIGKILL:
            words += ", as the system does where memory is short"
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - LAST_WORDS))
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return f"{words}: {lines[-1]}" if lines else words


_PROCESSES: list[TrialProcess] = []


def train(line: str, rows: Iterator[Any]) -> Iterator[str]:
    """The outcome of one trial, as a line.

    Args:
        line: an `Assignment`.
        rows: of no interest; but Spark ends a Python worker that has not read them all.
    """
    for _ in rows:
        pass
    if not _PROCESSES:
        _PROCESSES.append(TrialProcess())
    outcome = _PROCESSES[0].train(line)
    if outcome.state == "failed" or _PROCESSES[0].trained >= TRIALS_A_PROCESS:
        _PROCESSES.pop().end()
    yield outcome.line()
