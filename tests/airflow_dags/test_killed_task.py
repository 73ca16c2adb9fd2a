"""Tasks of a real Airflow that are killed in mid-run: tried again, they end with the tables of an undisturbed run."""

import json
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from lib import artefact
from lib.operation.demonstration import Demonstration, Month
from lib.operation.started import free_port
from tests.conftest import ROOT

MONTH = "2026-01"
# Where a kill could hurt most: rounds of pages, a table's slice, checkpoints of a model, labelled portions.
KILLED = ("crawl", "tokenize", "train", "score")
# Of the crawl's tables, which tell when a page was fetched, only the number of rows can be the same.
TIMED = {"pages", "frontier"}
# The one stage that reads them: its key covers what cannot be the same, what it writes is.
READS_TIMED = "ingest"
# Seconds after a job's Python has appeared: it has imported what it needs and is at work.
AT_WORK_SECONDS = 12


def overlay(folder: Path, port: int) -> Path:
    """The demonstration's, with all places below the folder, and the market's site at a port that offers name."""
    folder.mkdir(parents=True)
    for name in ("airflow_demo.yaml", "airflow_demo.toml"):
        text = (ROOT / "conf" / name).read_text(encoding="utf-8").replace(".run/airflow_demo", str(folder))
        text = text.replace("\nmarket:\n", f"\nmarket:\n  site: {{port: {port}}}\n")
        (folder / name).write_text(text.replace("conf/airflow_demo.yaml", str(folder / "airflow_demo.yaml")))
    return folder / "airflow_demo.toml"


def kill_once(tasks: tuple[str, ...], folder: Path, killed: list[str], ended: threading.Event) -> None:
    """Kill each task's first spark-submit with all that it started, without a warning."""
    waiting = set(tasks)
    while waiting and not ended.wait(0.5):
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                command = process.cmdline()
                task = next((Path(part).stem for part in command if part.startswith(str(ROOT / "jobs"))), None)
                ours = str(folder / "airflow_demo.yaml") in command and "org.apache.spark.deploy.SparkSubmit" in command
                if ours and task in waiting and process.children():
                    time.sleep(AT_WORK_SECONDS)
                    for victim in (*process.children(recursive=True), process):
                        victim.kill()
                    waiting.remove(task)
                    killed.append(task)


def run(folder: Path, port: int, *, killing: tuple[str, ...] = ()) -> tuple[Month, list[str]]:
    """The month by Airflow; returns how it went and what was killed."""
    killed: list[str] = []
    ended = threading.Event()
    watcher = threading.Thread(target=kill_once, args=(killing, folder, killed, ended))
    watcher.start()
    try:
        (month,) = Demonstration(overlay(folder, port), folder, print).run([MONTH])
    finally:
        ended.set()
        watcher.join()
    return month, killed


def content(warehouse: Path) -> dict[str, Any]:
    """Every stage's slices with their fingerprints and artefacts with the hashes of their files, by stage."""
    found = {}
    for place in sorted((warehouse / "manifests").glob(f"*/{MONTH}.json")):
        stage = json.loads(place.read_text(encoding="utf-8"))
        slices = [
            {**written, "total": None if written["table"] in TIMED else written["total"]}
            for written in stage["written"]
        ]
        made = {kind: artefact.load(warehouse / folder).content for kind, folder in stage["artefacts"].items()}
        key = None if stage["stage"] == READS_TIMED else stage["key"]
        found[stage["stage"]] = (key, slices, made)
    return found


@pytest.mark.soak
def test_killed_tasks_are_tried_again_and_end_with_the_same_tables(tmp_path: Path) -> None:
    # The same folder twice, as places are a part of the stages' keys, and one port, which is in pictures' addresses.
    folder, port = tmp_path / "month", free_port()
    calm, _ = run(folder, port)
    expected = content(folder / "warehouse")
    shutil.rmtree(folder)
    disturbed, killed = run(folder, port, killing=KILLED)
    assert (calm.state, disturbed.state) == ("success", "success")
    assert sorted(killed) == sorted(KILLED)
    assert {task for task, (_, _, tries) in disturbed.tasks.items() if tries > 1} == set(KILLED)
    assert set(KILLED) <= set(expected)
    assert content(folder / "warehouse") == expected
