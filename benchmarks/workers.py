"""Starts the workers of one training as processes of this machine, for the benchmarks and tests that watch several."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.result import ROOT
from lib.training.cluster import VARIABLE, Cluster

Process = subprocess.Popen[str]


def places(workers: int) -> list[Cluster]:
    """Workers on ports of this machine that are free now."""
    if workers == 1:
        return [Cluster()]
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        addresses = tuple(f"127.0.0.1:{probe.getsockname()[1]}" for probe in sockets)
    return [Cluster(addresses, worker) for worker in range(workers)]


@contextmanager
def started(command: Sequence[str], workers: int, *, pinned: bool = False) -> Iterator[list[Process]]:
    """The processes of one training, the chief first, with standard output as a pipe; waited for at the end.

    Args:
        command: arguments for Python.
        pinned: worker n gets core n and no other.
    """
    with ExitStack() as stack:
        yield [
            stack.enter_context(_begun(command, place, place.worker if pinned else None)) for place in places(workers)
        ]


def _begun(command: Sequence[str], place: Cluster, core: int | None) -> Process:
    pin = [] if core is None else ["taskset", "--cpu-list", str(core)]
    return subprocess.Popen(
        [*pin, sys.executable, *command],
        cwd=ROOT,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3",
            VARIABLE: place.tf_config if place.workers > 1 else "",
        },
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def say(line: Any) -> None:
    """A line of JSON for whoever hears it by `said`."""
    print(json.dumps(line), flush=True)


def said(
    command: Sequence[str], workers: int, *, pinned: bool = False, killed_after: int | None = None, pause: float = 0.0
) -> list[Any]:  # fmt: skip
    """What the chief says, a line of JSON each, until the training's end or until all its processes are killed with -9.

    Args:
        pinned: as of `started`.
        killed_after: lines.
        pause: seconds from the last of these lines to the kill; what is said in them counts, too.

    Raises:
        RuntimeError: a process that was not killed ended badly.
    """
    lines: list[Any] = []
    with started(command, workers, pinned=pinned) as processes:
        assert processes[0].stdout is not None
        for line in processes[0].stdout:
            if not line.endswith("\n"):
                break  # The kill came in the middle of it.
            lines.append(json.loads(line))
            if killed_after is not None and len(lines) == killed_after + 1:
                time.sleep(pause)
                for process in processes:
                    process.kill()
    ended = [process.returncode for process in processes]
    if killed_after is None and any(ended):
        raise RuntimeError(f"the workers ended with {ended}: {' '.join(command)}")
    return lines
