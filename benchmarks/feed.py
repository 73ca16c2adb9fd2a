"""Do batches leave the feed as fast as Petastorm's own reader gives rows, and faster than TFRecords are parsed?

python -m benchmarks.feed [--rows 2000000]

Ours: shards -> lib.feed -> tf.data batches of 1,024, shuffled as in training. First peer: Petastorm's batch reader with
its thread pool over the same files, rows counted and nothing else done. Second peer: the same rows as TFRecords through
`tf.io.parse_example` on batches. Rows are as wide as real ones: 30 + 15 word ids, gram ids and weights, labels.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from petastorm import make_batch_reader

from benchmarks.result import finish
from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.config import FeedSettings, ShardsSettings
from lib.feed.blocks import arrays
from lib.feed.reader import batches
from lib.shards.encode import write_table
from lib.shards.row import ROW_SCHEMA, list_array

FULL_ROWS = 2_000_000
FILES = 8
# The files are listed this many times over: start-up must not count, and TFRecords take long to write.
PASSES = 10
BATCH = 1024
REPEATS = 3
SEED = 20260101
COLUMNS = tuple(name for name in ROW_SCHEMA.names if name != "product_id")
# Shapes of the real names: tokens of a name, tokens of a mall category, known grams of a name (mean, spread).
NAME_TOKENS, CATEGORY_TOKENS, GRAMS = (8, 3), (4, 2), (78, 30)
WORDS, GRAM_IDS, CLASSES = 20_000, 400_000, 4_800


def main() -> None:
    """Write the rows twice, read them three ways in turn, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    rows = parser.parse_args().rows // PASSES * PASSES
    with tempfile.TemporaryDirectory() as folder:
        artefact = make_shards(Path(folder), rows)
        records = write_records(artefact, Path(folder))
        ways: dict[str, Callable[[], int]] = {
            "ours": lambda: read_ours(artefact),
            "peer": lambda: read_petastorm(artefact),
            "tfrecord": lambda: read_records(records),
        }
        rates = measure(ways, rows)
    figures = {
        **{name: round(rate) for name, rate in rates.items()},
        "ratio": round(rates["ours"] / rates["peer"], 3),
        "tfrecord_ratio": round(rates["ours"] / rates["tfrecord"], 3),
    }
    holds = figures["ratio"] >= 0.9 and figures["tfrecord_ratio"] >= 1
    bar = "ratio >= 0.9 of raw Petastorm rows/s; tfrecord_ratio >= 1 of parse_example rows/s"
    finish("feed", figures, bar, holds if rows >= FULL_ROWS else None, rows, seeds=[SEED])


def measure(ways: dict[str, Callable[[], int]], rows: int) -> dict[str, float]:
    """Median rows a second of each, one after another in every round; a first round warms up and is dropped."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            read = way()
            # Petastorm's own reader now and then ends before its last file; its rate is of what it delivered.
            assert read == rows or name == "peer", (name, read)
            if repeat:
                rates[name].append(read / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}


def read_ours(artefact: Artefact) -> int:
    """Rows in batches of the feed."""
    made = batches(artefact, "train", BATCH, columns=COLUMNS, seed=SEED, epoch=0)
    return sum(int(batch["label"].shape[0]) for batch in made)


def read_petastorm(artefact: Artefact) -> int:
    """Rows that Petastorm's thread pool delivers, with the feed's settings."""
    settings = FeedSettings()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = make_batch_reader(
            [artefact.path(name).resolve().as_uri() for name in sorted(artefact.files)],
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


def make_shards(folder: Path, rows: int) -> Artefact:
    """An artefact of synthetic rows in FILES files, by the same writer as real ones."""
    sizes = [int(part) for part in np.diff(np.linspace(0, rows // PASSES, FILES + 1).astype(int))]
    settings = ShardsSettings()

    def build(writer: ArtefactWriter) -> None:
        generator = np.random.default_rng(SEED)
        for number, size in enumerate(sizes):
            table = synthetic(generator, sum(sizes[:number]), size, settings.gram_length)
            write_table(table, writer.file(f"train/{number:05d}.parquet"), settings.compression)
        writer.facts = {
            "name_length": 30,
            "category_length": 15,
            "gram_length": settings.gram_length,
            "splits": {"train": {"rows": rows, "files": FILES * PASSES, "rows_per_file": sizes * PASSES}},
        }

    made = artefacts.make(str(folder), "shards", "2026-01", "benchmark", build)
    files = {f"train/{n:05d}.parquet": made.files[f"train/{n % FILES:05d}.parquet"] for n in range(FILES * PASSES)}
    return replace(made, files=files)


def synthetic(generator: np.random.Generator, first: int, rows: int, gram_length: int) -> pa.Table:
    """Rows as wide and as full as real ones."""

    def ids(width: int, filled: tuple[int, int], largest: int) -> np.ndarray:
        counts = np.clip(generator.normal(*filled, rows), 1, width).astype(int)
        values = generator.zipf(1.2, (rows, width)) % largest + 1
        return np.where(np.arange(width) < counts[:, None], values, 0).astype(np.int32)

    grams = ids(gram_length, GRAMS, GRAM_IDS)
    weights = np.where(grams > 0, generator.random((rows, gram_length)), 0).astype(np.float32)
    matrices = {
        "name_ids": ids(30, NAME_TOKENS, WORDS),
        "cat_ids": ids(15, CATEGORY_TOKENS, WORDS),
        "gram_ids": grams,
        "gram_weights": weights,
        "level_labels": generator.integers(0, 500, (rows, 4)).astype(np.int32),
    }
    columns = {name: list_array(values, ROW_SCHEMA.field(name)) for name, values in matrices.items()}
    columns["label"] = pa.array(generator.integers(0, CLASSES, rows).astype(np.int32))
    columns["weight"] = pa.array(np.ones(rows, np.float32))
    columns["row_id"] = pa.array(np.arange(first, first + rows, dtype=np.int64))
    columns["product_id"] = pa.array([f"mall{number % 12}:{number:09d}" for number in range(first, first + rows)])
    return pa.table([columns[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)


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
