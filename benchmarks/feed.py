"""Do batches leave the feed as fast as Petastorm's own reader gives rows, and faster than TFRecords are parsed?

python -m benchmarks.feed [--rows 2000000]

Ours: shards -> lib.feed -> tf.data batches of 1,024, shuffled as in training. First peer: Petastorm's batch reader with
its thread pool over the same files, rows counted and nothing else done. Second peer: the same rows as TFRecords through
`tf.io.parse_example` on batches. Then ours and the first peer again over the files of each of two workers. Rows are as
wide as real ones: 30 + 15 word ids, gram ids and weights, labels.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf
from petastorm import make_batch_reader

from benchmarks.result import finish
from benchmarks.synthetic import SEED, listed_often, make_shards
from lib.artefact import Artefact
from lib.config import FeedSettings, ShardsSettings
from lib.feed.blocks import arrays
from lib.feed.order import files_of_worker
from lib.feed.reader import batches, read_ahead
from lib.shards.row import ROW_SCHEMA

FULL_ROWS = 2_000_000
FILES = 8
# The files are listed this many times over: start-up must not count, and TFRecords take long to write.
PASSES = 10
BATCH = 1024
REPEATS = 3
WORKERS = 2
COLUMNS = tuple(name for name in ROW_SCHEMA.names if name != "product_id")


def main() -> None:
    """Write the rows twice, read them in every way in turn, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    rows = parser.parse_args().rows // (FILES * PASSES) * FILES * PASSES
    with tempfile.TemporaryDirectory() as folder:
        written = make_shards(Path(folder), {"train": [rows // FILES // PASSES] * FILES})
        artefact, records = listed_often(written, PASSES), write_records(written, Path(folder))
        rates = measure(
            {
                **_both(artefact, "", rows, 0, 1),
                "tfrecord": Way(lambda: read_records(records), rows),
                **_both(artefact, "_of_worker_0", rows // WORKERS, 0, WORKERS),
                **_both(artefact, "_of_worker_1", rows // WORKERS, 1, WORKERS),
            }
        )
    figures = {
        **{name: round(rate) for name, rate in rates.items()},
        "ratio": round(_ratio(rates, ""), 3),
        "tfrecord_ratio": round(rates["ours"] / rates["tfrecord"], 3),
        "worker_ratio": round(min(_ratio(rates, f"_of_worker_{worker}") for worker in range(WORKERS)), 3),
    }
    holds = min(figures["ratio"], figures["worker_ratio"]) >= 0.9 and figures["tfrecord_ratio"] >= 1
    bar = (
        "ratio >= 0.9 of raw Petastorm rows/s; worker_ratio >= 0.9 for each of two workers over its own files; "
        "tfrecord_ratio >= 1 of parse_example rows/s"
    )
    finish("feed", figures, bar, holds if rows >= FULL_ROWS else None, rows, seeds=[SEED])


def _ratio(rates: dict[str, float], suffix: str) -> float:
    return rates[f"ours{suffix}"] / rates[f"peer{suffix}"]


@dataclass(frozen=True)
class Way:
    """One way to read, and how many rows it has to give."""

    read: Callable[[], int]
    rows: int


def _both(artefact: Artefact, suffix: str, rows: int, worker: int, workers: int) -> dict[str, Way]:
    """Ours and Petastorm's, over a worker's files."""
    return {
        f"ours{suffix}": Way(lambda: read_ours(artefact, worker, workers), rows),
        f"peer{suffix}": Way(lambda: read_petastorm(artefact, worker, workers), rows),
    }


def measure(ways: dict[str, Way]) -> dict[str, float]:
    """Median rows a second of each, one after another in every round; a first round warms up and is dropped."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            read = way.read()
            # Petastorm's own reader now and then ends before its last file; its rate is of what it delivered.
            assert read == way.rows or name.startswith("peer"), (name, read)
            if repeat:
                rates[name].append(read / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}


def read_ours(artefact: Artefact, worker: int, workers: int) -> int:
    """Rows in batches of the feed."""
    place = {"worker": worker, "workers": workers}
    made = batches(artefact, "train", BATCH, columns=COLUMNS, seed=SEED, epoch=0, **place)
    return sum(int(batch["label"].shape[0]) for batch in read_ahead(made, FeedSettings().prefetch))


def read_petastorm(artefact: Artefact, worker: int, workers: int) -> int:
    """Rows that Petastorm's thread pool delivers of the worker's files, with the feed's settings."""
    settings, names = FeedSettings(), sorted(artefact.files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = make_batch_reader(
            [artefact.path(names[file]).resolve().as_uri() for file in files_of_worker(len(names), worker, workers)],
            schema_fields=[f"^{name}$" for name in COLUMNS],
            reader_pool_type="thread",
            workers_count=settings.threads,
            results_queue_size=settings.queue,
            shuffle_row_groups=False,
            num_epochs=1,
        )
    try:
        return sum(len(block.label) for block in reader)
    finally:
        reader.stop()
        reader.join()


def read_records(records: list[Path]) -> int:
    """Rows parsed from TFRecords, whole batches at a time on all cores."""
    widths = {"name_ids": 30, "cat_ids": 15, "level_labels": 4}
    grams = ShardsSettings().gram_length
    spec = {
        name: tf.io.FixedLenFeature([widths.get(name, grams if name.startswith("gram") else 1)], _kind(name))
        for name in COLUMNS
    }
    made = tf.data.TFRecordDataset([str(path) for path in records]).batch(BATCH)
    made = made.map(lambda lines: tf.io.parse_example(lines, spec), num_parallel_calls=tf.data.AUTOTUNE).prefetch(4)
    return sum(int(batch["label"].shape[0]) for batch in made)


def write_records(artefact: Artefact, folder: Path) -> list[Path]:
    """The same rows as TFRecord files."""
    made = []
    for name in sorted(artefact.files)[:FILES]:
        block = arrays(pq.read_table(artefact.path(name), columns=list(COLUMNS)))
        path = folder / f"{Path(name).stem}.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in range(len(block["label"])):
                features = {column: _feature(np.atleast_1d(values[row])) for column, values in block.items()}
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
        made.append(path)
    return made * PASSES


def _feature(values: np.ndarray) -> tf.train.Feature:
    if values.dtype == np.float32:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _kind(name: str) -> tf.DType:
    return tf.float32 if name in ("weight", "gram_weights") else tf.int64


if __name__ == "__main__":
    main()
