"""Exact cuts of a shuffled order into files, without ever sorting the whole window in one place.

Each row's place in the shuffle is a 63-bit hash. Rows are counted in equal buckets of that range; a file's first row
then lies in a known bucket at a known rank, and only the hashes of those few border buckets are looked at one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

SHUFFLE_SALT = "catmatch-shuffle"
PLACE_BITS = 63
# 8,192 buckets: at 4 million rows a border bucket has 500 rows, and the counts stay far under a megabyte.
BUCKET_BITS = 13
# Slots searched for each partition; one is missed with a probability of e**-40.
SLOTS_SEARCHED = 40


@dataclass(frozen=True)
class File:
    """One file to write.

    Attributes:
        split, number: which one it is.
        first: place in the shuffle of its first row.
        rows: how many it has.
        row_id: row_id of its first row.
    """

    split: str
    number: int
    first: int
    rows: int
    row_id: int


def place() -> Column:
    """The row's place in the shuffle, 0 to 2**63 - 1, by month and product alone."""
    hashed = F.xxhash64(F.col("product_id"), F.col("month"), F.lit(SHUFFLE_SALT))
    return F.shiftrightunsigned(hashed, 1)


def bucket() -> Column:
    """The bucket of column `place`."""
    return F.shiftright(F.col("place"), PLACE_BITS - BUCKET_BITS).cast("int")


def file_count(rows: int, row_bytes: int, file_bytes: int, multiple: int) -> int:
    """Files for a split: a multiple of `multiple`, each of about `file_bytes`; fewer only where rows are fewer."""
    wanted = max(1, -(-rows * row_bytes // file_bytes))
    return min(rows, -(-wanted // multiple) * multiple)


def first_ranks(rows: int, files: int) -> npt.NDArray[np.int64]:
    """Rank of each file's first row [files]: sizes differ by at most one row."""
    return np.arange(files, dtype=np.int64) * rows // files


def plan(placed: DataFrame, files: Mapping[str, int]) -> list[File]:
    """Where each file of each split begins.

    Args:
        placed: rows with `split` and `place`.
        files: split -> number of files; every split in `placed` is in it.
    """
    counts = _bucket_counts(placed)
    ranks = {split: first_ranks(int(counts[split].sum()), count) for split, count in files.items() if count}
    borders = {split: np.searchsorted(np.cumsum(counts[split]), ranks[split], side="right") for split in ranks}
    places = _places_in(placed, borders)
    made: list[File] = []
    row_id = 0
    for split, starts in ranks.items():
        before = np.concatenate([[0], np.cumsum(counts[split])])
        total = int(before[-1])
        for number, (rank, border) in enumerate(zip(starts, borders[split], strict=True)):
            first = places[split, int(border)][int(rank - before[border])]
            end = int(starts[number + 1]) if number + 1 < len(starts) else total
            made.append(File(split, number, int(first), end - int(rank), row_id + int(rank)))
        row_id += total
    return made


def assign(placed: DataFrame, files: Sequence[File]) -> DataFrame:
    """Adds `file` (index into `files`) and puts each file's rows, in shuffled order, into a partition of its own."""
    spark = placed.sparkSession
    slots = _slots(spark, len(files))
    pieces = spark.createDataFrame(
        [(split, number, *piece) for (split, number), piece in _pieces(files, slots).items()],
        "split string, bucket int, firsts array<bigint>, files array<int>, slots array<bigint>",
    )
    located = placed.withColumn("bucket", bucket()).join(F.broadcast(pieces), on=["split", "bucket"], how="inner")
    # In nearly every bucket there is one piece; a border bucket has one more for each file that begins in it.
    piece = F.size(F.filter("firsts", lambda first: first <= F.col("place"))) - 1
    return (
        located.withColumn("file", F.get("files", piece))
        .withColumn("slot", F.get("slots", piece))
        .drop("bucket", "firsts", "files", "slots")
        .repartition(len(files), "slot")
        .sortWithinPartitions("place", "product_id", "month")
    )


def _bucket_counts(placed: DataFrame) -> dict[str, npt.NDArray[np.int64]]:
    found = placed.groupBy("split", bucket().alias("bucket")).count().toArrow()
    counts: dict[str, npt.NDArray[np.int64]] = {}
    for split in found.column("split").unique().to_pylist():
        mask = np.asarray(found.column("split").to_numpy(zero_copy_only=False) == split)
        counts[split] = np.zeros(1 << BUCKET_BITS, np.int64)
        counts[split][found.column("bucket").to_numpy()[mask]] = found.column("count").to_numpy()[mask]
    return counts


def _places_in(
    placed: DataFrame, borders: Mapping[str, npt.NDArray[np.int64]]
) -> dict[tuple[str, int], npt.NDArray[np.int64]]:
    """(split, bucket) -> its rows' places in order, of the buckets in which a file begins."""
    pairs = sorted({(split, int(number)) for split, numbers in borders.items() for number in numbers})
    wanted = placed.sparkSession.createDataFrame(pairs, "split string, bucket int")
    rows = placed.select("split", "place", bucket().alias("bucket"))
    found = rows.join(F.broadcast(wanted), on=["split", "bucket"], how="inner").toArrow()
    splits = found.column("split").to_numpy(zero_copy_only=False)
    buckets, places = found.column("bucket").to_numpy(), found.column("place").to_numpy()
    return {(split, number): np.sort(places[(splits == split) & (buckets == number)]) for split, number in pairs}


def _pieces(
    files: Sequence[File], slots: Sequence[int]
) -> dict[tuple[str, int], tuple[list[int], list[int], list[int]]]:
    """(split, bucket) -> first places, files and slots of the pieces of files in it, in order."""
    pieces: dict[tuple[str, int], tuple[list[int], list[int], list[int]]] = {}
    for index, file in enumerate(files):
        begins = file.first >> (PLACE_BITS - BUCKET_BITS)
        following = files[index + 1] if index + 1 < len(files) else None
        same = following is not None and following.split == file.split
        ends = following.first >> (PLACE_BITS - BUCKET_BITS) if following and same else (1 << BUCKET_BITS) - 1
        for number in range(begins, ends + 1):
            firsts, indexes, keys = pieces.setdefault((file.split, number), ([], [], []))
            firsts.append(file.first)
            indexes.append(index)
            keys.append(slots[index])
    return pieces


def _slots(spark: SparkSession, count: int) -> list[int]:
    """For each partition a number that Spark's hash puts there, so that every file has a task to itself."""
    searched = spark.range(SLOTS_SEARCHED * count + 1).withColumn("partition", F.pmod(F.hash("id"), F.lit(count)))
    found = {
        row["partition"]: row["slot"] for row in searched.groupBy("partition").agg(F.min("id").alias("slot")).collect()
    }
    return [int(found[partition]) for partition in range(count)]
