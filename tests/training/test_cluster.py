"""TF_CONFIG is read before TensorFlow starts: a mistake in it is one sentence."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.training.cluster import VARIABLE, Cluster, of_environment

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = ["a:3333", "b:3333", "c:3333"]


def config(job: str = "worker", index: object = 1, **cluster: object) -> dict[str, str]:
    jobs = cluster or {"worker": ADDRESSES}
    return {VARIABLE: json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})}


def test_without_it_one_process_trains_alone() -> None:
    alone = of_environment({})
    assert (alone.workers, alone.worker, alone.chief) == (1, 0, True)
    alone.check_port()


def test_workers_are_counted_from_the_chief() -> None:
    second = of_environment(config())
    assert (second.workers, second.worker, second.chief) == (3, 1, False)
    assert of_environment({VARIABLE: second.tf_config}) == second
    chief = of_environment(config("chief", 0, chief=["m:1"], worker=["a:1", "b:1"]))
    assert (chief.addresses, chief.worker) == (("m:1", "a:1", "b:1"), 0)
    assert of_environment(config("worker", 1, chief=["m:1"], worker=["a:1", "b:1"])).worker == 2


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({VARIABLE: "{"}, "cannot be used"),
        ({VARIABLE: "[1]"}, "cannot be used"),
        ({VARIABLE: "{}"}, "cluster"),
        (config(index=3), "there is no worker with index 3"),
        (config(index=True), "there is no worker with index True"),
        (config(index="0"), "there is no worker with index '0'"),
        (config("ps", 0), "there is no ps with index 0"),
        (config(index=0, worker=["a:1"], ps=["b:1"]), "no job 'ps'"),
        (config(index=0, worker=[]), "names no worker"),
        (config(index=0, worker=["a:1", "a:1"]), "one address twice"),
        (config(index=0, chief=["a:1", "b:1"]), "two chiefs"),
        (config(index=0, worker=["a"]), "'a' is no host:port"),
        (config(index=0, worker=["a:99999"]), "'a:99999' is no host:port"),
        (config(index=0, worker=["a:²"]), "is no host:port"),
    ],
)
def test_a_mistake_is_named(environment: dict[str, str], why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        of_environment(environment)
    assert "write it as {" in str(caught.value)


@given(st.text(min_size=1).filter(str.strip))
def test_any_other_text_is_answered_with_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match=VARIABLE):
        of_environment({VARIABLE: text})


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"worker 1 cannot listen on port {port}"):
            Cluster(("127.0.0.1:1", f"127.0.0.1:{port}"), 1).check_port()


def test_the_job_says_it_in_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "jobs/train.py", "--month", "2026-01"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: "{"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {VARIABLE} is '{{', which cannot be used")
