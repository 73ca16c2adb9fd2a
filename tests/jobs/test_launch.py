"""Workers on real Spark clusters: placed, watched over, and begun again when one is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lib.config import Config, Storage
from lib.java_classes import SHORT_LIVED
from lib.manifest import Outcome, Stage, require, run_stage
from lib.model import saved
from tests.training import month

# JVMs and TensorFlows beside each other on two cores: minutes each.
LONG = pytest.mark.soak
ROOT = Path(__file__).resolve().parents[2]
LOCAL_CLUSTER = "local-cluster[2,1,1024]"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYSPARK_PYTHON": sys.executable,
    "SPARK_LOCAL_IP": "127.0.0.1",
    "JDK_JAVA_OPTIONS": SHORT_LIVED,
}


class Job:
    """jobs/train.py on a tiny month, in a session of its own.

    Attributes:
        lines: what it has said so far.
    """

    def __init__(self, config: Config, folder: Path, master: str, *arguments: str) -> None:
        conf, temporary = folder / "conf.yaml", folder / "temporary"
        temporary.mkdir(exist_ok=True)
        # Relative folders, as most have them: a worker runs elsewhere.
        places = {name: os.path.relpath(place, ROOT) for name, place in config.storage.model_dump().items()}
        conf.write_text(config.model_copy(update={"storage": Storage(**places)}).model_dump_json())
        settings = [f"spark.master={master}", "spark.driver_memory=1g", "launch.slots_seconds=60"]
        self.process = subprocess.Popen(
            [
                sys.executable, "jobs/train.py", "--conf", str(conf), "--month", month.MONTH, "--workers", "2",
                *(part for setting in (*settings, *arguments) for part in ("--set", setting)),
            ],
            cwd=ROOT, env={**ENVIRONMENT, "TMPDIR": str(temporary)}, start_new_session=True, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def said(self) -> str:
        """All of it."""
        return "".join(self.lines)

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Until it has said so."""
        until = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None, self.said[-4000:]
            assert time.monotonic() < until, self.said[-4000:]
            time.sleep(0.1)

    def workers(self) -> list[int]:
        """Process ids of its TensorFlow workers."""
        found = subprocess.run(
            ["pgrep", "-f", "lib.training.worker"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [pid for pid in map(int, found.stdout.split()) if _session(pid) == self.process.pid]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@contextmanager
def job(config: Config, folder: Path, master: str, *arguments: str) -> Iterator[Job]:
    """The running job; nothing of it is left afterwards."""
    running = Job(config, folder, master, *arguments)
    try:
        yield running
    finally:
        for pid in [running.process.pid, *running.workers()]:
            if _session(pid) == running.process.pid:
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["pkill", "-9", "-s", str(running.process.pid)], check=False)
        running.process.wait()


def prepared(folder: Path, **train: Any) -> Config:
    """A month whose shards are there."""
    config = month.config(folder, batch_size=16, **train)
    shards = month.artefacts(config.storage.warehouse, train=1600, validation=80, files=4)
    stage = Stage("shards", revision=1, config_keys=())
    run_stage(None, stage, config, month.MONTH, {}, lambda key: Outcome(artefacts={"shards": shards}))
    return config


def ended_well(running: Job, config: Config) -> dict[str, Any]:
    """The stage's facts, and the model loads."""
    assert running.process.wait(timeout=240) == 0, running.said[-4000:]
    done = require(config.storage.warehouse, "train", month.MONTH)
    saved.load(Path(config.storage.warehouse) / done.artefacts["model"])
    json.dumps(done.facts)
    return done.facts


@pytest.mark.parametrize("master", ["local[2]", pytest.param(LOCAL_CLUSTER, marks=LONG)])
def test_a_lost_worker_ends_the_others_and_the_training_goes_on(tmp_path: Path, master: str) -> None:
    config = prepared(tmp_path, epochs=3)
    with job(config, tmp_path, master, "checkpoint.seconds=0") as running:
        running.wait_for("epoch 1: ")
        lost = running.workers()
        assert len(lost) == 2
        os.kill(lost[0], signal.SIGUSR1)
        running.wait_for("most recent call first")
        os.kill(lost[-1], signal.SIGKILL)
        killed = time.monotonic()
        while set(running.workers()) & set(lost):
            assert time.monotonic() - killed < 60
            time.sleep(0.2)
        facts = ended_well(running, config)
    assert not list((tmp_path / "temporary").glob("catmatch-worker-*")), "what killed workers had in their folders"
    assert (facts["workers"], facts["attempts"]) == (2, 2)
    assert "attempt 1 of 4: worker" in running.said
    assert "train goes on after step" in running.said
    assert [epoch["number"] for epoch in facts["members"][0]["epochs"]] == [1, 2, 3]
    assert facts["members"][0]["epochs"][-1]["rows"] == 1600
    assert facts["members"][0]["epochs"][-1]["validation"]["accuracy"]["output"] > 0.9


@LONG
def test_workers_train_on_a_standalone_cluster(tmp_path: Path) -> None:
    config = prepared(tmp_path)
    with standalone(tmp_path) as master, job(config, tmp_path, master) as running:
        facts = ended_well(running, config)
    assert (facts["workers"], facts["attempts"]) == (2, 1)


@LONG
def test_a_cluster_that_is_too_small_is_named(tmp_path: Path) -> None:
    with job(prepared(tmp_path), tmp_path, "local[1]", "launch.slots_seconds=0") as running:
        assert running.process.wait(timeout=120) == 2
    assert "error: the cluster local[1] runs 1 tasks at once, too few for launch.workers 2" in running.said


@LONG
def test_a_mistake_of_the_user_is_not_tried_again(tmp_path: Path) -> None:
    config = prepared(tmp_path, learning_rate=10.0, optimizer="sgd", gram_optimizer="sgd", momentum=0.99, epochs=50)
    shard = next(Path(config.storage.warehouse).rglob("shards/*/*/train/00001*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-10])
    with job(config, tmp_path, "local[2]") as running:
        assert running.process.wait(timeout=240) == 2, running.said[-4000:]
    assert "error: worker 1: " in running.said
    assert "attempt" not in running.said


@LONG
def test_a_worker_that_stands_still_is_replaced(tmp_path: Path) -> None:
    config = prepared(tmp_path, epochs=8, patience=8)
    with job(config, tmp_path, "local[2]", "checkpoint.seconds=0") as running:
        running.wait_for("epoch 1: ")
        lost = running.workers()
        # The whole process, heartbeats and all: TensorFlow's coordination service misses them within seconds.
        os.kill(lost[-1], signal.SIGSTOP)
        stopped = time.monotonic()
        while set(running.workers()) & set(lost):
            assert time.monotonic() - stopped < 60
            time.sleep(0.2)
        facts = ended_well(running, config)
    assert facts["attempts"] == 2
    assert [epoch["number"] for epoch in facts["members"][0]["epochs"]] == list(range(1, 9))


@LONG
def test_workers_without_a_step_say_where_they_are_and_the_job_gives_up_in_the_end(tmp_path: Path) -> None:
    config = prepared(tmp_path)
    # The first step compiles the model for longer than a second, every time.
    with job(config, tmp_path, "local[2]", "launch.stuck_seconds=1", "launch.retries=1") as running:
        assert running.process.wait(timeout=240) == 2, running.said[-4000:]
    assert "Timeout (0:00:01)!" in running.said
    assert "lib/training/" in running.said
    assert "error: the training lost its workers 2 times, the last time since worker" in running.said


@contextmanager
def standalone(folder: Path) -> Iterator[str]:
    """A master and two workers of one core, as Spark's own scripts start them."""
    spark_class = Path(sys.executable).with_name("spark-class")
    port, ui = 17077, 18080
    master = f"spark://127.0.0.1:{port}"
    memory = ["--host", "127.0.0.1", "--cores", "1", "--memory", "1g", "--webui-port", "0"]
    commands = [
        ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(ui)],
        *(
            ["org.apache.spark.deploy.worker.Worker", *memory, "--work-dir", str(folder / f"work-{number}"), master]
            for number in range(2)
        ),
    ]
    processes = []
    try:
        for command in commands:
            processes.append(
                subprocess.Popen(
                    [str(spark_class), *command],
                    env=ENVIRONMENT,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        yield master
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
