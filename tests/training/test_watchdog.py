"""A process that takes no step any more says where it is, and ends; one that does lives on."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WATCHED = """
import sys, time
from lib.training.watchdog import Watchdog

def hang():
    time.sleep(60)

with Watchdog(2.0) as watchdog:
    for _ in range(int(sys.argv[1])):
        time.sleep(0.2)
        watchdog.step()
    if sys.argv[2] == "hang":
        hang()
time.sleep(2.5)
print("lives")
"""


def watched(steps: int, end: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WATCHED, str(steps), end],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


def test_without_a_step_it_says_where_it_is_and_ends() -> None:
    done = watched(3, "hang")
    assert done.returncode == 1
    assert "Timeout (0:00:02)!" in done.stderr
    assert "in hang" in done.stderr
    assert done.stdout == ""


def test_with_steps_it_lives_and_afterwards_nobody_watches() -> None:
    done = watched(20, "leave")
    assert (done.returncode, done.stdout, done.stderr) == (0, "lives\n", "")
