"""Processes that a demonstration starts, each with a log, and that end with it together with all that they started."""

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from lib.errors import UserError

# A scheduler hands its end on to its tasks, which takes a few seconds.
END_SECONDS = 15
MARK = "CATMATCH_STARTED_BY"


class Started:
    """A context; at its end, also by Ctrl-C, no process that it started is left, nor any that one of those started.

    They are known, also when they have lost their parents, by a variable of their environment, which is handed down,
    and by their session: Airflow's processes write titles over their environment, and Spark's start sessions anew.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        """
        Args:
            logs: folder of the logs, made if absent.
            environment: of every process, beside what this one has.
        """
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._token = secrets.token_hex(16)
        self._environment = {**os.environ, **environment, MARK: self._token}
        self._named: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Started":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            psutil.wait_procs(self.processes(), timeout=END_SECONDS)
        for started in self._named.values():
            started.wait()

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        """Start a process that runs until the end; Ctrl-C is not for it."""
        with self._log(name).open("wb") as log:
            self._named[name] = subprocess.Popen(  # noqa: S603 commands of ours
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, name: str, command: Sequence[str | Path]) -> None:
        """Run a process to its end.

        Raises:
            UserError: it failed.
        """
        self.start(name, command)
        if self._named[name].wait() != 0:
            raise UserError(f"{name} failed; {self._log(name)} says why")

    def check(self) -> None:
        """
        Raises:
            UserError: a process that should be running has ended.
        """
        for name, process in self._named.items():
            if process.poll() not in (None, 0):
                raise UserError(f"{name} ended with {process.returncode}; {self._log(name)} says why")

    def processes(self) -> list[psutil.Process]:
        """All that were started and live, however many processes lie between."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if self._is_ours(process) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        # A started process leads a session of its own, which has its number.
        sessions = {started.pid for started in self._named.values()}
        return os.getsid(process.pid) in sessions or process.environ().get(MARK) == self._token

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
