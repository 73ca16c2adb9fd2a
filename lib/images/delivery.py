"""What was delivered for a month's pictures, wherever from: where each one's bytes lie, or why there are none.

The bytes themselves do not travel through Spark: the task that decodes a picture reads it where it lies.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, StringType, StructField, StructType

from lib.config import ImagesSettings
from lib.images import files
from lib.images.reasons import NoPictureError
from lib.images.staged import reading_staged

# One row for each thing asked for, an address or the name of a file. `file` and `row` say where its bytes lie (a row of
# a staged round, or a file of images.path itself), `body_hash` is their SHA-256; or `reason` says why there are none.
DELIVERED = StructType(
    [
        StructField("asked", StringType(), False),
        StructField("file", StringType()),
        StructField("row", LongType()),
        StructField("body_hash", StringType()),
        StructField("reason", StringType()),
    ]
)
Batches = Iterable[pa.RecordBatch]
# The bytes at a file and row of DELIVERED; raises NoPictureError.
Read = Callable[[str, int], bytes]


@dataclass(frozen=True)
class Delivery:
    """Where a month's pictures come from.

    Attributes:
        settings: images, as tasks need them.
        to_ask: of a product, struct of `asked` (what to ask for) and `refused` (why there is nothing to).
        deliver: `asked`, each once -> DELIVERED, a row for each.
    """

    settings: ImagesSettings
    to_ask: Column
    deliver: Callable[[DataFrame], DataFrame]


@contextmanager
def reading(settings: ImagesSettings) -> Iterator[Read]:
    """A reader of what was delivered, for one task; it is quickest where files and rows come in their order."""
    if settings.source == "url":
        with reading_staged() as read_staged:
            yield read_staged
    else:
        with files.reading(settings) as read_file:
            yield lambda file, _row: read_file(file)


def from_files(settings: ImagesSettings) -> Delivery:
    """Files within images.path, all of which are read once for their hash, and those that differ once more.

    Raises:
        UserError: images.path is not what images.source says.
    """
    files.check(settings)
    settings = files.with_whole_path(settings)
    nothing = F.lit(None).cast("string").alias("refused")
    to_ask = F.struct(files.name_of(F.col("product_id"), settings).alias("asked"), nothing)
    return Delivery(settings, to_ask, lambda asked: asked.mapInArrow(_hashing(settings), DELIVERED))


def _hashing(settings: ImagesSettings) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    text, schema = settings.model_dump_json(), to_arrow_schema(DELIVERED)

    def hashed(batches: Batches) -> Iterator[pa.RecordBatch]:
        with reading(ImagesSettings.model_validate_json(text)) as read:
            for batch in batches:
                rows = [_delivered(name, read) for name in batch.column("asked").to_pylist()]
                yield pa.RecordBatch.from_pylist(rows, schema=schema)

    return hashed


def _delivered(name: str, read: Read) -> dict[str, Any]:
    """A row of DELIVERED; what is not given is null."""
    try:
        return {"asked": name, "file": name, "row": 0, "body_hash": sha256(read(name, 0)).hexdigest()}
    except NoPictureError as refused:
        return {"asked": name, "reason": refused.code}
