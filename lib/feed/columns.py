"""What the feed expects of each file, compared before the first row is read.

Petastorm drops a column it does not understand without a word, so this is the only place that can notice.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from lib.errors import UserError
from lib.shards.row import ABSENT, ALL_FIELDS, lengths

# Footers are small; reading them side by side hides a slow disk.
FOOTER_THREADS = 8
# Column of ids -> the smallest, and the fact that says how many there are from 0 on.
IDS = {
    "name_ids": (0, "words"),
    "cat_ids": (0, "words"),
    "gram_ids": (0, "grams"),
    "brand_ids": (0, "brands"),
    "label": (ABSENT, "classes"),
}
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Expected:
    """What a file is to hold.

    Attributes:
        columns: those that are read.
        widths: list column -> length of each list.
        limits: column -> its smallest and largest value.
    """

    columns: Sequence[str]
    widths: Mapping[str, int]
    limits: Mapping[str, tuple[float, float]]

    @staticmethod
    def of(columns: Sequence[str], facts: Mapping[str, Any]) -> "Expected":
        """By the facts of a shards artefact."""
        widths = {name: width for name, width in lengths(facts).items() if name in columns}
        ids = {name: (low, int(facts[size]) - 1) for name, (low, size) in IDS.items() if name in columns}
        floats = {"weight": (0, LARGEST), "gram_weights": (0, LARGEST), "image_features": (-LARGEST, LARGEST)}
        return Expected(columns, widths, {**ids, **floats})


def check_names(columns: Sequence[str]) -> None:
    """Refuse a column that no training row has.

    Raises:
        UserError: names it and those there are.
    """
    for name in columns:
        if name not in ALL_FIELDS.names:
            raise UserError(f"a training row has no column {name!r}; it has {', '.join(ALL_FIELDS.names)}")
    if not columns or len(set(columns)) != len(columns):
        raise UserError(f"columns {list(columns)} to feed: give each column once, and at least one")


def check_files(paths: Sequence[Path], rows: Sequence[int], expected: Expected) -> None:
    """Compare each file's footer with the manifest.

    Args:
        rows: rows of each file.

    Raises:
        UserError: a file is no Parquet, a column is missing or of another type or length, or rows differ.
    """
    with ThreadPoolExecutor(FOOTER_THREADS) as pool:
        list(pool.map(lambda pair: _check_file(pair[0], pair[1], expected), zip(paths, rows, strict=True)))


def signature(columns: Sequence[str], widths: Mapping[str, int]) -> dict[str, tf.TensorSpec]:
    """Column -> shape and type of a block of rows."""
    return {name: _spec(ALL_FIELDS.field(name).type, widths.get(name)) for name in columns}


def _check_file(path: Path, rows: int, expected: Expected) -> None:
    try:
        footer = pq.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path} is no Parquet file ({' '.join(str(error).split())}); make the shards again") from None
    if footer.num_rows != rows or footer.num_row_groups != 1:
        raise UserError(
            f"{path} has {footer.num_rows} rows in {footer.num_row_groups} row groups where the manifest says "
            f"{rows} in one; make the shards again"
        )
    values = _values(footer)
    for name in expected.columns:
        wanted = ALL_FIELDS.field(name).type
        found = schema.field(name).type if name in schema.names else None
        if found is None or not _same_type(found, wanted):
            raise UserError(f"{path}: column {name!r} is {found or 'missing'} where a training row has {wanted}")
        if name in expected.widths and values[name] != rows * expected.widths[name]:
            raise UserError(
                f"{path}: lists of {name!r} have {values[name] / max(rows, 1):g} values on average where the "
                f"manifest says {expected.widths[name]}; make the shards again"
            )


def _values(footer: pq.FileMetaData) -> dict[str, int]:
    """Column -> number of values in the one row group."""
    group = footer.row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    return {chunk.path_in_schema.split(".")[0]: chunk.num_values for chunk in chunks}


def _same_type(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_list(wanted):
        return bool(pa.types.is_list(found) and found.value_type == wanted.value_type)
    return bool(found == wanted)


def _spec(kind: pa.DataType, width: int | None) -> tf.TensorSpec:
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return tf.TensorSpec((None,), tf.string)
    if pa.types.is_list(kind):
        return tf.TensorSpec((None, width), tf.as_dtype(kind.value_type.to_pandas_dtype()))
    return tf.TensorSpec((None,), tf.as_dtype(kind.to_pandas_dtype()))
