"""What a training row is: the one schema that the maker of shards writes and the feed checks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LEVELS = 4
SPLITS = ("train", "validation", "test")
# A row of a leaf that no train row of the window has, or a level that the leaf's path does not have.
ABSENT = -1


def _ids(kind: pa.DataType) -> pa.ListType:
    # A plain list, as Petastorm drops fixed-size lists; never null inside, which halves the time to read it.
    return pa.list_(pa.field("element", kind, nullable=False))


ROW_SCHEMA = pa.schema(
    [
        pa.field("name_ids", _ids(pa.int32()), False),
        pa.field("cat_ids", _ids(pa.int32()), False),
        pa.field("gram_ids", _ids(pa.int32()), False),
        pa.field("gram_weights", _ids(pa.float32()), False),
        pa.field("label", pa.int32(), False),
        pa.field("level_labels", _ids(pa.int32()), False),
        pa.field("weight", pa.float32(), False),
        pa.field("row_id", pa.int64(), False),
        pa.field("product_id", pa.string(), False),
    ]
)


def lengths(facts: Mapping[str, Any]) -> dict[str, int]:
    """List column -> length of each of its lists, from a shards artefact's facts."""
    return {
        "name_ids": int(facts["name_length"]),
        "cat_ids": int(facts["category_length"]),
        "gram_ids": int(facts["gram_length"]),
        "gram_weights": int(facts["gram_length"]),
        "level_labels": LEVELS,
    }


def row_bytes(facts: Mapping[str, Any]) -> int:
    """Bytes of one row in a row group before compression, its product_id taken as 20 characters."""
    return 4 * sum(lengths(facts).values()) + 4 + 4 + 8 + 24


def list_array(rows: npt.NDArray[Any], field: pa.Field) -> pa.Array:
    """A list column from a 2-D array, without a copy; every list has the array's width."""
    count, width = rows.shape
    offsets = pa.array(
        np.arange(0, (count + 1) * width, width, dtype=np.int32) if width else np.zeros(count + 1, np.int32)
    )
    values = pa.array(np.ascontiguousarray(rows).reshape(-1), type=field.type.value_type)
    return pa.Array.from_buffers(field.type, count, [None, offsets.buffers()[1]], children=[values])
