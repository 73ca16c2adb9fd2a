"""Nothing that a demonstration started is left when it ends, and what went wrong is named with its log."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from lib.errors import UserError
from lib.operation.started import Started

# Outlives its parent, and leaves its session, as Spark's processes do, or has lost its environment, as Airflow's.
ORPHANED = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], {})"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.mark.parametrize("how", ["start_new_session=True", "env={}"])
def test_orphans_end_too(tmp_path: Path, how: str) -> None:
    with Started(tmp_path, {}) as started:
        started.run("parent", [sys.executable, "-c", ORPHANED.format(how)])
        (orphan,) = started.processes()
    assert not psutil.pid_exists(orphan.pid) or orphan.status() == psutil.STATUS_ZOMBIE


def test_what_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.operation.started.END_SECONDS", 0.5)
    with Started(tmp_path, {}) as started:
        started.start("deaf", [sys.executable, "-c", DEAF])
        while "deaf" not in (tmp_path / "deaf.log").read_text():
            time.sleep(0.05)
    assert started.processes() == []


def test_a_failure_names_its_log(tmp_path: Path) -> None:
    with Started(tmp_path, {}) as started:
        with pytest.raises(UserError, match=r"set-up failed; .*set-up\.log says why"):
            started.run("set-up", [sys.executable, "-c", "raise SystemExit('no room')"])
        assert "no room" in (tmp_path / "set-up.log").read_text()
        with pytest.raises(UserError, match="set-up ended with 1"):
            started.check()
