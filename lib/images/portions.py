"""Keeps what is in memory at a time small where rows hold pictures: Spark's portions are made for rows of numbers."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

# Rows that Spark reads, or hands to Python, at a time: some MB of pictures, where its own bounds are all of a row group
# and 256 MB.
SESSION = {
    "spark.sql.parquet.columnarReaderBatchSize": "256",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
}
# A portion that goes from Python to Spark ends with so many rows or bytes of pictures, whichever comes first.
MOST_ROWS, MOST_BYTES = 256, 8 << 20


@contextmanager
def small_portions(spark: SparkSession) -> Iterator[None]:
    """Let Spark read and hand over rows in small portions while the context lasts: for stages that read pictures."""
    before = {name: spark.conf.get(name) for name in SESSION}
    for name, value in SESSION.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, former in before.items():
            spark.conf.set(name, str(former))


def portions_for(spark: SparkSession, kind: str | None) -> AbstractContextManager[None]:
    """Small portions where rows hold 'raw' pictures; Spark's own where they hold features, or no picture (None)."""
    return small_portions(spark) if kind == "raw" else nullcontext()


def in_portions(rows: Iterable[Mapping[str, Any]], column: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Rows as record batches of the schema, bounded in rows and in the bytes of the named column."""
    held: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row.get(column) or b"")
        if len(held) >= MOST_ROWS or size >= MOST_BYTES:
            yield pa.RecordBatch.from_pylist(held, schema=schema)
            held, size = [], 0
    if held:
        yield pa.RecordBatch.from_pylist(held, schema=schema)
