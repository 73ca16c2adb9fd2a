"""The driver's and the task's ends of a launch by themselves: strangers, and workers that end oddly."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lib.training import barrier_task, launch
from lib.training.barrier_task import say
from lib.training.launch import Hub
from lib.training.worker import Assignment, Outcome

ASSIGNMENT = Assignment({}, "shards", "2026-01", "key", "folder", "run")


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub(socket.create_server(("127.0.0.1", 0), backlog=200))
    yield made
    made.close()


def connected(hub: Hub) -> socket.socket:
    return socket.create_connection(hub.server.getsockname(), timeout=5)


def look_until(hub: Hub, holds: Any) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        hub.look(0.05)


def test_strangers_that_wait_keep_no_worker_out(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        for _ in range(3 * launch.STRANGERS):
            stack.enter_context(connected(hub))
        worker = stack.enter_context(connected(hub))
        say(worker, {"token": hub.token, "worker": 1, "address": "a:1"})
        look_until(hub, lambda: any(one.number == 1 for one in hub.workers.values()))
        look_until(hub, lambda: len(hub.workers) <= launch.STRANGERS + 1)
        monkeypatch.setattr(launch, "GREETING_SECONDS", 0.1)
        look_until(hub, lambda: len(hub.workers) == 1)
        say(worker, {"ended": 0, "error": "", "files": {}, "facts": {}})
        look_until(hub, lambda: list(hub.ends()) == [1])


def test_a_line_of_a_worker_is_one_line_of_the_log(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    with connected(hub) as worker, caplog.at_level(logging.INFO):
        say(worker, {"token": hub.token, "worker": 0, "address": "a:1"})
        say(worker, {"line": "  "})
        say(worker, {"line": "상품\x1b[2J\r\nerror: forged\u2028"})
        look_until(hub, lambda: "forged" in caplog.text)
    assert caplog.messages[-1] == "worker 0: 상품\ufffd[2J\ufffd\ufffderror: forged\ufffd"
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("from lib.training.worker import Outcome; Outcome('', {'m': 'f'}, {'n': 1}).write(path)", 0),
        ("print('half a line', end='')", 1),
        ("path.write_text('{')", 1),
        ("sys.exit(2)", 2),
        ("os.kill(os.getpid(), 9)", -9),
        ("sys.stdout.write('x' * 10**6 + '\\r\\x1eoutcome {}')", 1),
    ],
)
def test_only_a_worker_that_leaves_word_ended_well(tmp_path: Path, script: str, ended: int) -> None:
    task, driver = socket.socketpair()
    outcome = tmp_path / "outcome.json"
    start = f"import os, sys\nfrom pathlib import Path\nsys.stdin.readline()\npath = Path({str(outcome)!r})\n"
    worker = subprocess.Popen(
        [sys.executable, "-c", start + script],
        text=True, errors="replace", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with task, driver:
        driver.settimeout(60)
        stream = driver.makefile(encoding="utf-8")
        lines: list[dict[str, Any]] = []
        following = threading.Thread(target=barrier_task._follow, args=(task, worker, ASSIGNMENT, outcome))
        following.start()
        while "ended" not in (lines[-1] if lines else {}):
            lines.append(json.loads(stream.readline()))
        driver.shutdown(socket.SHUT_RDWR)
        following.join(10)
        assert not following.is_alive()
    assert lines[-1]["ended"] == ended
    assert lines[-1].get("files", {}) == ({"m": "f"} if ended == 0 else {})


def test_an_outcome_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "outcome.json"
    assert Outcome.read(file) is None
    made = Outcome("말", {"a": "b"}, {"c": [1, None]})
    made.write(file)
    assert Outcome.read(file) == made
