"""A shards artefact of made-up rows as wide and as full as real ones, by the same writer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.config import ShardsSettings
from lib.shards.encode import write_table
from lib.shards.row import ROW_SCHEMA, list_array

SEED = 20260101
# Shapes of the real names: tokens of a name, tokens of a mall category, known grams of a name (mean, spread).
NAME_TOKENS, CATEGORY_TOKENS, GRAMS = (8, 3), (4, 2), (78, 30)
WORDS, GRAM_IDS, CLASSES = 20_000, 400_000, 4_800
NAME_LENGTH, CATEGORY_LENGTH = 30, 15


def make_shards(
    folder: Path, splits: Mapping[str, Sequence[int]], *, grams: int = GRAM_IDS, classes: int = CLASSES
) -> Artefact:  # fmt: skip
    """Splits of made-up rows.

    Args:
        folder: serves as the warehouse.
        splits: name -> rows of each file.
        grams, classes: ids of rows are below them; so many the model has.
    """
    settings = ShardsSettings()

    def build(writer: ArtefactWriter) -> None:
        generator, first = np.random.default_rng(SEED), 0
        for split, sizes in splits.items():
            for number, size in enumerate(sizes):
                table = rows(generator, first, size, settings.gram_length, grams, classes)
                write_table(table, writer.file(f"{split}/{number:05d}.parquet"), settings.compression)
                first += size
        writer.facts = {
            "words": WORDS,
            "grams": grams,
            "classes": classes,
            "name_length": NAME_LENGTH,
            "category_length": CATEGORY_LENGTH,
            "gram_length": settings.gram_length,
            "splits": {
                split: {"rows": sum(sizes), "files": len(sizes), "rows_per_file": list(sizes)}
                for split, sizes in splits.items()
            },
        }

    return artefacts.make(str(folder), "shards", "2026-01", "benchmark", build)


def listed_often(made: Artefact, passes: int) -> Artefact:
    """The artefact with its train files listed so many times over: as long to read as one of so many times the rows."""
    split = made.facts["splits"]["train"]
    count, sizes = len(split["rows_per_file"]), list(split["rows_per_file"]) * passes
    files = {f"train/{n:05d}.parquet": made.files[f"train/{n % count:05d}.parquet"] for n in range(count * passes)}
    splits = {**made.facts["splits"], "train": {"rows": sum(sizes), "files": len(sizes), "rows_per_file": sizes}}
    return replace(made, files={**made.files, **files}, facts={**made.facts, "splits": splits})


def rows(
    generator: np.random.Generator, first: int, count: int, gram_length: int, grams: int, classes: int
) -> pa.Table:  # fmt: skip
    """Rows whose ids follow Zipf's law and whose labels nothing tells."""

    def ids(width: int, filled: tuple[int, int], largest: int) -> np.ndarray:
        counts = np.clip(generator.normal(*filled, count), 1, width).astype(int)
        values = generator.zipf(1.2, (count, width)) % (largest - 1) + 1
        return np.where(np.arange(width) < counts[:, None], values, 0).astype(np.int32)

    gram_ids = ids(gram_length, GRAMS, grams)
    weights = np.where(gram_ids > 0, generator.random((count, gram_length)), 0).astype(np.float32)
    matrices = {
        "name_ids": ids(NAME_LENGTH, NAME_TOKENS, WORDS),
        "cat_ids": ids(CATEGORY_LENGTH, CATEGORY_TOKENS, WORDS),
        "gram_ids": gram_ids,
        "gram_weights": weights,
        "level_labels": generator.integers(0, 500, (count, 4)).astype(np.int32),
    }
    columns = {name: list_array(values, ROW_SCHEMA.field(name)) for name, values in matrices.items()}
    columns["label"] = pa.array(generator.integers(0, classes, count).astype(np.int32))
    columns["weight"] = pa.array(np.ones(count, np.float32))
    columns["row_id"] = pa.array(np.arange(first, first + count, dtype=np.int64))
    columns["product_id"] = pa.array([f"mall{number % 12}:{number:09d}" for number in range(first, first + count)])
    return pa.table([columns[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)
