"""What a training row is: the one schema that the maker of shards writes and the feed checks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lib.errors import UserError

LEVELS = 4
SPLITS = ("train", "validation", "test")
# A row of a leaf that no train row of the window has, or a level that the leaf's path does not have.
ABSENT = -1


def _ids(kind: pa.DataType) -> pa.ListType:
    # A plain list, as Petastorm drops fixed-size lists; never null inside, which halves the time to read it.
    return pa.list_(pa.field("element", kind, nullable=False))


# `shards.image` -> the column that holds a row's picture; zeros, or no bytes, where it has none.
IMAGE_COLUMNS = {"features": "image_features", "raw": "image"}
IMAGE_FIELDS = {
    "features": pa.field("image_features", _ids(pa.float32()), False),
    "raw": pa.field("image", pa.binary(), False),
}
BRAND_FIELD = pa.field("brand_ids", _ids(pa.int32()), False)
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


# Every column that a row of any artefact may have.
ALL_FIELDS = pa.schema([*ROW_SCHEMA, BRAND_FIELD, *IMAGE_FIELDS.values()])


def row_schema(facts: Mapping[str, Any]) -> pa.Schema:
    """What rows of an artefact with these facts are."""
    picture = facts.get("picture")
    brand = [BRAND_FIELD] if facts.get("brand_length") else []
    return pa.schema([*ROW_SCHEMA, *brand, *([IMAGE_FIELDS[picture["kind"]]] if picture else [])])


def lengths(facts: Mapping[str, Any]) -> dict[str, int]:
    """List column -> length of each of its lists, from a shards artefact's facts."""
    picture = facts.get("picture")
    return {
        "name_ids": int(facts["name_length"]),
        "cat_ids": int(facts["category_length"]),
        "gram_ids": int(facts["gram_length"]),
        "gram_weights": int(facts["gram_length"]),
        "level_labels": LEVELS,
        **({"brand_ids": int(facts["brand_length"])} if facts.get("brand_length") else {}),
        **({"image_features": int(picture["width"])} if picture and picture["kind"] == "features" else {}),
    }


def row_bytes(facts: Mapping[str, Any]) -> int:
    """Bytes of one row in a row group before compression, its product_id taken as 20 characters.

    A raw picture counts with the artefact's mean (fact `picture.bytes`).
    """
    picture = facts.get("picture") or {}
    return 4 * sum(lengths(facts).values()) + 4 + 4 + 8 + 24 + int(picture.get("bytes", 0))


def list_array(rows: npt.NDArray[Any], field: pa.Field) -> pa.Array:
    """A list column from a 2-D array, without a copy; every list has the array's width."""
    count, width = rows.shape
    offsets = pa.array(
        np.arange(0, (count + 1) * width, width, dtype=np.int32) if width else np.zeros(count + 1, np.int32)
    )
    values = pa.array(np.ascontiguousarray(rows).reshape(-1), type=field.type.value_type)
    return pa.Array.from_buffers(field.type, count, [None, offsets.buffers()[1]], children=[values])


def feature_matrix(column: pa.ListArray, width: int) -> npt.NDArray[np.float32]:
    """[rows, width] of the feature vectors of pictures; zeros where a row has none.

    Raises:
        UserError: vectors have another length.
    """
    there = column.is_valid().to_numpy(zero_copy_only=False)
    values, count = column.flatten().to_numpy(zero_copy_only=False), int(there.sum())
    if len(values) != count * width:
        raise UserError(
            f"features of pictures have {len(values) / max(count, 1):g} numbers on average where the backbone makes "
            f"{width}; run jobs/image_features.py --force for the months they are of"
        )
    found = np.zeros((len(column), width), np.float32)
    found[there] = values.reshape(-1, width)
    return found
