"""Does twice the offers take twice the time, in the same memory, with no task left behind?

python -m benchmarks.scale [--rows 2000000]

The market with 4,800 leaves delivers `rows` offers, then in a warehouse of its own twice as many; each size runs from
ingest to shards in a process of its own. Time is of those stages (the market's own apart). Memory is the peak of the
driver, which is its Python process and its JVM; Python workers apart. A task's time is Spark's, from the event log.
Then one epoch is trained on the smaller size's shards, with every head.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.result import finish
from lib import config as configuration
from lib.config import Config
from lib.session import open_session

ROOT = Path(__file__).resolve().parent.parent
FULL_ROWS = 2_000_000
MONTH = "2026-01"
SEED = 20260101
SAMPLE_SECONDS = 0.2
# A task of under two seconds leaves nobody waiting, and its time is mostly Spark's own.
SHORTEST_STRAGGLER_MS = 2000
# Of two or three tasks there is no median to speak of.
FEWEST_TASKS = 4


def main() -> None:
    """Run each size in a process of its own and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="offers of the smaller size (default: %(default)s)")
    parser.add_argument("--part", choices=("prepare", "train"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part = prepare if arguments.part == "prepare" else train
        print(json.dumps(part(arguments.rows, Path(arguments.folder))))
        return
    with tempfile.TemporaryDirectory(prefix="catmatch-scale-") as folder:
        small = in_process("prepare", arguments.rows, Path(folder) / "small")
        large = in_process("prepare", 2 * arguments.rows, Path(folder) / "large")
        trained = in_process("train", arguments.rows, Path(folder) / "small")
    figures = compare(small, large) | {f"train_{name}": value for name, value in trained.items()}
    holds = figures["time_ratio"] <= 2.3 and figures["memory_ratio"] <= 1.2 and figures["skew"] <= 3
    bar = "time_ratio <= 2.3, memory_ratio <= 1.2, skew <= 3 (longest task over its stage's median)"
    finish(
        "scale",
        figures,
        bar,
        holds if arguments.rows >= FULL_ROWS else None,
        2 * arguments.rows,
        seeds=[SEED],
    )


def compare(small: dict[str, Any], large: dict[str, Any]) -> dict[str, Any]:
    """The three ratios, and what they are made of."""
    return {
        "time_ratio": round(large["seconds"] / small["seconds"], 3),
        "memory_ratio": round(large["memory_mib"] / small["memory_mib"], 3),
        "skew": max(small["skew"], large["skew"]),
        **{f"small_{name}": value for name, value in small.items()},
        **{f"large_{name}": value for name, value in large.items()},
    }


def in_process(part: str, rows: int, folder: Path) -> dict[str, Any]:
    """The last line that the part prints, run in a fresh process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.scale",
        "--part",
        part,
        "--rows",
        str(rows),
        "--folder",
        str(folder),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(part, rows, json.dumps(found), file=sys.stderr, flush=True)
    return found


def prepare(rows: int, folder: Path) -> dict[str, Any]:
    """The market's month (not counted), then ingest to shards."""
    from jobs import ingest, market
    from jobs.month import LEARN, TEXT

    (folder / "events").mkdir(parents=True)
    settings = conf(rows, folder)
    spark = open_session(settings.spark, "catmatch scale")
    market.run(spark, settings, MONTH)
    seconds: dict[str, float] = {}
    began = time.time() * 1000
    with memory_samples() as memory:
        for stage in (ingest.run, *TEXT, *LEARN):
            started = time.perf_counter()
            done = stage(spark, settings, MONTH, False)
            seconds[done.stage] = round(time.perf_counter() - started, 1)
    spark.stop()
    skew, where = worst_skew(folder / "events", began)
    return {
        "seconds": round(sum(seconds.values()), 1),
        "memory_mib": round(max(memory) / 2**20),
        "skew": round(skew, 2),
        "skew_stage": where,
        "stages": seconds,
    }


def train(rows: int, folder: Path) -> dict[str, Any]:
    """One epoch on the smaller size's shards, all heads; how long and the most memory it took."""
    from jobs import train as job

    settings = conf(rows, folder)
    spark = open_session(settings.spark, "catmatch scale")
    started = time.perf_counter()
    with memory_samples() as memory:
        job.run(spark, settings, MONTH)
    spark.stop()
    return {"seconds": round(time.perf_counter() - started, 1), "memory_mib": round(max(memory) / 2**20)}


def conf(rows: int, folder: Path) -> Config:
    """conf/local.yaml with everything under `folder`, 4,800 leaves and the month's offers."""
    given = {
        "storage.warehouse": folder / "warehouse",
        "storage.state": folder / "state",
        "storage.reports": folder / "reports",
        "market.deliveries": folder / "deliveries",
        "market.leaves": 4800,
        "market.seed": SEED,
        "market.first_month": f"'{MONTH}'",
        "market.offers_per_month": rows,
        "market.feeds": "true",
        "ingest.staging": folder / "staging",
        "ingest.sources": json.dumps([feeds(folder)]),
        "categories.taxonomy.path": folder / "deliveries" / "{month}" / "taxonomy.csv",
        "categories.cap": 250000,
        "shards.months_back": 1,
        # Pictures have a benchmark of their own.
        "shards.image": "none",
        "vocabulary.history_months": 1,
        # R5's count, right for millions of offers; and one round over them, where a small market takes five.
        "word2vec.min_count": 50,
        "word2vec.epochs": 1,
        # A number for each gram and 4,800 classes would not fit into memory; the wide vectors take their place.
        "model.margin": "false",
        "model.wide_size": 128,
        "train.epochs": 1,
        "spark.shuffle_partitions": 16,
    }
    loaded = configuration.load(
        ROOT / "conf" / "local.yaml", [f"{key}={_scalar(value)}" for key, value in given.items()]
    )
    extra = {
        **loaded.spark.extra,
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "events").resolve().as_uri(),
        "spark.eventLog.compress": "false",
    }
    return loaded.model_copy(update={"spark": loaded.spark.model_copy(update={"extra": extra})})


def driver_bytes() -> int:
    """Resident memory of this process and of the JVM it started."""
    own = psutil.Process()
    total = own.memory_info().rss
    for child in own.children():
        try:
            if child.name() == "java":
                total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return int(total)


def family_bytes() -> int:
    """Resident memory of this process and of all processes below it; what they share counts for each."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return int(total)


@contextmanager
def memory_samples(taken: Callable[[], int] = driver_bytes) -> Iterator[list[int]]:
    """Bytes that are `taken`, sampled for as long as the context lasts."""
    samples: list[int] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            samples.append(taken())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def worst_skew(folder: Path, began: float) -> tuple[float, str]:
    """The longest task over its stage's median, over all stages begun after `began` (ms); and that stage's name."""
    times: dict[int, list[int]] = defaultdict(list)
    names: dict[int, str] = {}
    for log in (path for path in folder.rglob("*") if path.is_file()):
        for event in _events(log):
            if event["Event"] == "SparkListenerTaskEnd" and event["Task Info"]["Launch Time"] >= began:
                times[event["Stage ID"]].append(event["Task Info"]["Finish Time"] - event["Task Info"]["Launch Time"])
            elif event["Event"] == "SparkListenerStageCompleted":
                names[event["Stage Info"]["Stage ID"]] = event["Stage Info"]["Stage Name"]
    worst = (1.0, "none with a task of two seconds")
    for stage, found in times.items():
        if len(found) >= FEWEST_TASKS and max(found) >= SHORTEST_STRAGGLER_MS:
            ratio = max(found) / max(statistics.median(found), 1)
            worst = max(worst, (ratio, f"{stage} {names.get(stage, '')}: {max(found)} ms of {len(found)} tasks"))
    return worst


def _events(log: Path) -> Iterator[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if '"SparkListenerTaskEnd"' in line[:40] or '"SparkListenerStageCompleted"' in line[:50]:
                yield json.loads(line)


def feeds(folder: Path) -> dict[str, Any]:
    """The malls' feeds as an ingest source; one of the malls writes CP949."""
    path = str(folder / "deliveries" / "{month}" / "*.tsv*")
    return {"name": "malls", "kind": "ep", "path": path, "malls": {"jangteo": {"encoding": "cp949"}}}


def _scalar(value: object) -> str:
    """A value as YAML reads it back: a path with {month} in it needs quotes."""
    return json.dumps(str(value)) if isinstance(value, Path) else str(value)


if __name__ == "__main__":
    main()
