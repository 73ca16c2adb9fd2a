"""A small shards artefact made without Spark: the feed needs only files and facts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.shards.encode import write_table
from lib.shards.row import ROW_SCHEMA, list_array

NAME, CATEGORY, GRAMS = 5, 3, 4


def rows_table(first: int, rows: int) -> pa.Table:
    """Rows whose every value tells its row_id."""
    row_id = np.arange(first, first + rows, dtype=np.int64)

    def matrix(width: int, kind: type) -> np.ndarray:
        return (row_id[:, None] * 10 + np.arange(width)).astype(kind)

    matrices = {
        "name_ids": matrix(NAME, np.int32),
        "cat_ids": matrix(CATEGORY, np.int32),
        "gram_ids": matrix(GRAMS, np.int32),
        "gram_weights": matrix(GRAMS, np.float32),
        "level_labels": matrix(4, np.int32),
    }
    arrays = {name: list_array(values, ROW_SCHEMA.field(name)) for name, values in matrices.items()}
    arrays["label"] = pa.array((row_id % 7).astype(np.int32))
    arrays["weight"] = pa.array(np.ones(rows, np.float32))
    arrays["row_id"] = pa.array(row_id)
    arrays["product_id"] = pa.array([f"mall:상품{number}" for number in row_id])
    return pa.table([arrays[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)


@pytest.fixture
def make_artefact(tmp_path: Path) -> Callable[..., Artefact]:
    """A function that makes an artefact with the given rows per file of the train split and 5 + 4 of validation."""

    def make(train: Sequence[int], change: Callable[[pa.Table], pa.Table] = lambda table: table) -> Artefact:
        sizes = {"train": list(train), "validation": [5, 4], "test": []}

        def build(writer: ArtefactWriter) -> None:
            first = 0
            for split, rows_per_file in sizes.items():
                for number, rows in enumerate(rows_per_file):
                    write_table(
                        change(rows_table(first, rows)),
                        writer.file(f"{split}/{number:05d}.parquet"),
                        "snappy",
                    )
                    first += rows
            splits = {s: {"rows": sum(rows), "files": len(rows), "rows_per_file": rows} for s, rows in sizes.items()}
            writer.facts = {
                "name_length": NAME,
                "category_length": CATEGORY,
                "gram_length": GRAMS,
                # More than any row's values, which are ten times its id and some.
                "words": 10_000,
                "grams": 10_000,
                "classes": 7,
                "splits": splits,
            }

        return artefacts.make(str(tmp_path), "shards", "2026-01", "key", build)

    return make
