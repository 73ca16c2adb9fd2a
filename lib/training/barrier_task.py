"""What each Spark barrier task does: agree on addresses, start the worker's process, pass on what it says.

It runs in Spark's Python workers on every host, so it loads no TensorFlow. It never fails: how its worker ended goes to
the driver, which alone decides whether to begin again (lib/training/launch.py).
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyspark import BarrierTaskContext

from lib.own_files import ROOT
from lib.training.cluster import VARIABLE, Cluster
from lib.training.worker import DEFECT, Assignment, Outcome

# Characters of a line that are passed on: a stack or a sentence, not a dump.
LONGEST_LINE = 10_000
# A host that is gone is noticed after IDLE + PROBES * INTERVAL seconds.
IDLE, INTERVAL, PROBES = 10, 5, 3


@dataclass(frozen=True)
class Seat:
    """What every task is given.

    Attributes:
        driver: host and port where the driver listens.
        token: shows that who connects is one of the tasks.
        assignment: for the workers.
    """

    driver: tuple[str, int]
    token: str
    assignment: Assignment


def take(seat: Seat, _rows: Iterator[Any]) -> Iterator[Any]:
    """Run this task's worker to its end.

    Raises:
        OSError: the driver does not listen any more: Spark has begun the stage again by itself.
    """
    context = BarrierTaskContext.get()
    number = context.partitionId()
    cluster = Cluster(tuple(context.allGather(_own_address(context))), number)
    with socket.create_connection(seat.driver, timeout=60) as link:
        link.settimeout(None)
        keep_alive(link)
        say(link, {"token": seat.token, "worker": number, "address": cluster.addresses[number]})
        environment = {**os.environ, **_gpus(context), VARIABLE: cluster.tf_config, "PYTHONPATH": python_path()}
        # A folder of its own: TensorFlow writes a file for each function it compiles, and a killed worker leaves them.
        with tempfile.TemporaryDirectory(prefix="catmatch-worker-", ignore_cleanup_errors=True) as temporary:
            outcome = Path(temporary) / "outcome.json"
            _follow(link, _started({**environment, "TMPDIR": temporary}, outcome), seat.assignment, outcome)
    return iter(())


def say(link: socket.socket, message: dict[str, Any]) -> None:
    """Send one message: a line of JSON."""
    link.sendall(json.dumps(message).encode() + b"\n")


def keep_alive(link: socket.socket) -> None:
    """Have the system notice when the other side's host is gone."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", INTERVAL), ("TCP_KEEPCNT", PROBES)):
        if hasattr(socket, option):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _own_address(context: BarrierTaskContext) -> str:
    """This task's host and a port that is free now; should it be taken a moment later, the launch begins again."""
    host = context.getTaskInfos()[context.partitionId()].address.rpartition(":")[0]
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{host}:{probe.getsockname()[1]}"


def _gpus(context: BarrierTaskContext) -> dict[str, str]:
    """The GPUs that Spark scheduled for this task; all of the host's where Spark schedules none."""
    scheduled = context.resources().get("gpu")
    return {} if scheduled is None else {"CUDA_VISIBLE_DEVICES": ",".join(scheduled.addresses)}


def python_path() -> str:
    """PYTHONPATH with which a child process finds this project."""
    before = os.environ.get("PYTHONPATH")
    return f"{ROOT}{os.pathsep}{before}" if before else str(ROOT)


def _started(environment: dict[str, str], outcome: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 (our own module)
        [sys.executable, "-m", "lib.training.worker", str(outcome)],
        env=environment, text=True, errors="replace",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _follow(link: socket.socket, worker: "subprocess.Popen[str]", assignment: Assignment, outcome: Path) -> None:
    """Pass on each line until the worker ends; end it when the driver says so or is gone."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(assignment.line())
        worker.stdin.flush()
        threading.Thread(target=_end_when_told, args=(link, worker), daemon=True).start()
        for line in worker.stdout:
            say(link, {"line": line.rstrip("\n")[:LONGEST_LINE]})
        status, found = worker.wait(), Outcome.read(outcome)
        # Nothing is done well that has left no word of it.
        told = {"ended": status, **asdict(found)} if found else {"ended": status or DEFECT, "error": ""}
        say(link, told)
        # The driver hangs up when it has understood.
        link.recv(1)
    except OSError:
        pass  # The worker or the driver is gone; the driver knows of the former, and nobody is left for the latter.
    finally:
        worker.kill()
        worker.wait()


def _end_when_told(link: socket.socket, worker: "subprocess.Popen[str]") -> None:
    """The driver never speaks: when it hangs up, however it does, the worker is to end."""
    with contextlib.suppress(OSError):
        link.recv(1, socket.MSG_PEEK)
    worker.kill()
