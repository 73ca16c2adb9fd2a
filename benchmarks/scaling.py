"""How much faster do two workers train than one, and what do they exchange?

python -m benchmarks.scaling [--rows 201377] [--repeats 3]

The model and the rows are those of accuracy_names (conf/naver_names.yaml, one network). Each worker is pinned to one
core and takes as many rows a step whether it is alone or one of two, 1,024 and 4,096. What travels is what the loopback
device counts, over what the distinct rows that a worker moves and the dense gradients amount to.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil
import tensorflow as tf

from benchmarks.accuracy_names import CONF, FULL_ROWS, MONTH, NAMES, in_folder, thinned
from benchmarks.result import data_folder, finish
from benchmarks.workers import said, say
from jobs import ingest, normalize, shards, tokenize, vocabulary, word2vec
from lib import artefact as artefacts
from lib import config, manifest
from lib.artefact import Artefact
from lib.command import start_logging
from lib.config import Config
from lib.model.architecture import Architecture
from lib.session import open_session
from lib.training import agreement, cluster, loop
from lib.training.feed import TRAIN
from lib.training.history import Epoch, Listener
from lib.training.loop import Training
from lib.training.members import Work
from lib.training.shards_feed import ShardsFeed
from lib.training.step import AnyBatch, inputs_of

BATCHES = {"small": 1024, "ratio": 4096}
WORKERS = 2
# The first compiles and fills the caches and is not counted.
EPOCHS = 2
# Steps whose touched rows are counted.
COUNTED = 10
LOOPBACK = "lo"
FLOAT_BYTES = 4
BAR = "small >= 1.3, ratio >= 1.6, input_wait < 0.05, bytes_ratio <= 1.2"
Run = Mapping[str, Any]


def main() -> None:
    """Make the shards, then train alone and in two, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    parser.add_argument("--repeats", type=int, default=3, help="median of so many (default: %(default)s)")
    parser.add_argument("--worker", nargs=2, type=Path, metavar=("CONFIGURATION", "SHARDS"), help="be one of them")
    arguments = parser.parse_args()
    if arguments.worker:
        train(*arguments.worker)
    full, data = arguments.rows >= FULL_ROWS, data_folder()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["CATMATCH_DATA"] = str(data if full else thinned(data, folder, arguments.rows))
        settings = in_folder(config.load(CONF), folder)
        figures = measured(folder, settings, shards_of(settings), arguments.repeats)
    passed = (
        figures["small"] >= 1.3 and figures["ratio"] >= 1.6
        and figures["input_wait"] < 0.05 and figures["bytes_ratio"] <= 1.2
    )  # fmt: skip
    finish("scaling", figures, BAR, passed if full else None, arguments.rows, data=[data / NAMES])


def shards_of(settings: Config) -> Artefact:
    """The stages before the training."""
    spark = open_session(settings.spark, "scaling")
    for stage in (ingest, tokenize, vocabulary, word2vec, normalize, shards):
        stage.run(spark, settings, MONTH)
    spark.stop()
    return manifest.artefact_of(settings.storage.warehouse, "shards", MONTH, "shards")


def measured(folder: Path, settings: Config, made: Artefact, repeats: int) -> dict[str, Any]:
    """All figures; what else uses the machine meets one worker and two alike."""
    figures: dict[str, Any] = {}
    waits, traffic = [], []
    for name, batch in BATCHES.items():
        runs: dict[int, list[Run]] = {1: [], WORKERS: []}
        for _ in range(repeats):
            for workers, found in runs.items():
                found.append(run(folder, settings, made, batch, workers))
                print(f"{workers} workers, {batch} rows each: {found[-1]['rate']:,.0f} rows/s", flush=True)
        rates = {workers: statistics.median(one["rate"] for one in found) for workers, found in runs.items()}
        waits += [max(one["wait"] for one in runs[WORKERS])]
        traffic += [statistics.median(one["bytes"] / one["of_rows"] for one in runs[WORKERS])]
        figures |= {
            name: round(rates[WORKERS] / rates[1], 3),
            f"rows_per_second_{batch}": [round(rate) for rate in rates.values()],
            f"megabytes_a_step_{batch}": round(runs[WORKERS][-1]["bytes"] / 1e6, 2),
        }
    return {**figures, "input_wait": round(max(waits), 4), "bytes_ratio": round(max(traffic), 3)}


def run(folder: Path, settings: Config, made: Artefact, batch: int, workers: int) -> Run:
    """One training: rows a second, share of waiting; bytes that a worker sends in a step, and those of its rows."""
    train = settings.train.model_copy(update={"batch_size": batch * workers, "epochs": EPOCHS})
    configuration = folder / "configuration.json"
    configuration.write_text(settings.model_copy(update={"train": train}).model_dump_json(by_alias=True))
    command = ["-m", "benchmarks.scaling", "--worker", str(configuration), str(made.folder)]
    *epochs, of_rows = said(command, workers, pinned=True)
    first, *counted = (dict(one) for one in epochs)
    seconds = sum(one["seconds"] for one in counted)
    steps = sum(one["steps"] for one in counted)
    return {
        "rate": sum(one["rows"] for one in counted) / seconds,
        "wait": sum(one["seconds"] * one["wait"] for one in counted) / seconds,
        "bytes": (counted[-1]["sent"] - first["sent"]) / steps / workers,
        "of_rows": of_rows["bytes"],
    }


def train(configuration: Path, folder: Path) -> None:
    """Be a worker: train, then count what a step touches. The chief says each epoch's figures, and that sum."""
    start_logging(quiet=True)
    settings, place = Config.model_validate_json(configuration.read_text()), cluster.of_environment()
    made = artefacts.load(folder)
    architecture = Architecture.of_shards(made.facts, settings.model)
    feed = ShardsFeed(made, architecture, settings.train.batch_size, settings.train.seed, settings.feed, place)
    training = Work(settings.train, architecture, lambda _: feed, cluster=place).start(1, feed.steps(TRAIN))
    loop.refit(training, feed, TRAIN, EPOCHS, [Told(feed.steps(TRAIN))] if place.chief else [])
    of_rows = bytes_of_rows(training, feed)
    if place.chief:
        say({"bytes": of_rows})
    agreement.wait_for_all(training.steps.strategy, place)
    os._exit(0)


class Told(Listener):
    """Says what an epoch took, and what the loopback device has sent so far."""

    def __init__(self, steps: int) -> None:
        self.number = steps

    def epoch(self, epoch: Epoch) -> None:
        """Say them."""
        sent = psutil.net_io_counters(pernic=True)[LOOPBACK].bytes_sent
        wait = epoch.input_wait
        say({"rows": epoch.rows, "seconds": epoch.seconds, "wait": wait, "steps": self.number, "sent": sent})


def bytes_of_rows(training: Training, feed: ShardsFeed) -> float:
    """Mean over some steps: distinct rows that a worker moves times their bytes, and the dense gradients."""
    optimizer = training.optimizer

    def touched(batch: Any) -> Any:
        bags = training.steps.bags(inputs_of(batch))
        owned = dict(zip(bags.layers, bags.owned, strict=True))
        # Here no branch reads words but that of the category.
        ids = [owned[one].ids if one in owned else batch["cat_ids"] for one in optimizer.layers]
        return tf.stack([tf.size(tf.unique(tf.reshape(one, [-1]))[0]) for one in ids])

    counted = AnyBatch(lambda batch: training.steps.strategy.run(touched, (batch,)))
    found = [np.asarray(counted(batch)) for batch in islice(feed.batches(TRAIN, 1), COUNTED)]
    width = np.array([table.variable.shape[1] for table in optimizer.tables])
    rows = np.mean(found, axis=0)
    values = sum(int(np.prod(one.shape)) for one in optimizer.dense_variables)
    return float(FLOAT_BYTES * (rows @ width + values))


if __name__ == "__main__":
    main()
