"""Finds the byte offset and the bytes of lines that Spark read, for the few that are rejected.

Spark tells which stretch of a file a row comes from and in what order. The stretch is read once more and its newlines
counted; the rule of which line belongs to which stretch is Hadoop's: those that begin after its first byte (or at the
file's) up to and including the first byte of the next.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

NEWLINE = 10


def line_starts(path: str, block: int, block_bytes: int) -> npt.NDArray[np.int64]:
    """Offsets in the file of the lines that belong to the stretch, in order."""
    with Path(path).open("rb") as stream:
        stream.seek(block)
        data = np.frombuffer(stream.read(block_bytes), dtype=np.uint8)
    size = Path(path).stat().st_size
    starts = np.flatnonzero(data == NEWLINE).astype(np.int64) + block + 1
    first = np.zeros(1 if block == 0 and size else 0, dtype=np.int64)
    return np.concatenate([first, starts[starts < size]])


def line_at(stream: BinaryIO, start: int, longest: int) -> bytes:
    """The line that begins there, without its newline; no more than `longest` bytes of it."""
    stream.seek(start)
    return stream.readline(longest).removesuffix(b"\n")


def with_positions(rows: DataFrame, blocks: DataFrame, folder: str, longest: int) -> DataFrame:
    """Fill `position` (offset within the part) and `raw` (the first bytes) of rows that Spark read as lines.

    Args:
        rows: part, block, row, position, raw and anything else.
        blocks: part, block, block_bytes, first_row: what Spark read, one row a stretch.
        folder: where the parts lie.
        longest: bytes of a line that are kept.
    """
    placed = rows.join(F.broadcast(blocks.drop("lines")), ["part", "block"], how="inner")

    def locate(table: pa.Table) -> pa.Table:
        """One stretch's rows; no more than the stretch holds, so they fit in memory."""
        part, block, length, first = (
            table.column(name)[0].as_py() for name in ("part", "block", "block_bytes", "first_row")
        )
        path = f"{folder}/p{part:019d}.txt"
        starts = line_starts(path, block, length)[table.column("row").to_numpy() - first]
        with Path(path).open("rb") as stream:
            lines = [line_at(stream, start, longest) for start in starts.tolist()]
        located = table.drop(["position", "raw"])
        located = located.append_column("position", pa.array(starts)).append_column("raw", pa.array(lines, pa.binary()))
        return located.select(rows_columns)

    rows_columns = list(rows.columns)
    # The work is a stretch, not its few rows, by whose size Spark would give all stretches to one task.
    tasks = int(rows.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
    return placed.repartition(tasks, "part", "block").groupBy("part", "block").applyInArrow(locate, rows.schema)
