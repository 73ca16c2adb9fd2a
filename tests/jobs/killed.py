"""Jobs in a process of their own, killed in the middle of their work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from lib.config import Config
from lib.java_classes import SHORT_LIVED
from tests.conftest import ROOT

# Spark's workers outlive their driver for a moment.
OUTLIVED = 2.0


def kill_job(name: str, config: Config, month: str, folder: Path, when: Callable[[], bool]) -> None:
    """Kill jobs/<name>.py in a month's work as soon as `when` is true; its configuration is put into the folder."""
    file = folder / "conf.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    kill([f"jobs/{name}.py", "--conf", str(file), "--month", month], folder, when)


def kill(arguments: list[str], folder: Path, when: Callable[[], bool]) -> None:
    """Run a job and kill it -9, workers and all; fails where it ended sooner, with what it said."""
    said = folder / "killed.log"
    python = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable}
    environment = os.environ | python | {"JDK_JAVA_OPTIONS": SHORT_LIVED}
    command = [sys.executable, *arguments]
    with (
        said.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, stderr=output) as job,
    ):
        while job.poll() is None and not when():
            time.sleep(0.02)
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL, said.read_text(encoding="utf-8", errors="replace")
    time.sleep(OUTLIVED)
