"""Tells products from rejects: bad rows, and of rows with the same id all but the first by file and position.

The records are passed over three times, each time as light as it can be, which is faster than to keep them in between:
once for lines per stretch and repeated ids, once for everything that may not become a product (bad rows, and all rows
of a repeated id; few, so they are kept in the staging folder), once when the rest is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lib.config import IngestSettings, Source
from lib.sources.deliveries import Reading, read_deliveries
from lib.sources.offers import TRACE
from lib.sources.positions import with_positions
from lib.sources.records import RAW_BYTES
from lib.sources.staging import Part, Staging
from schemas.products import PRODUCTS

# Repeated ids fit in every worker's memory up to here; beyond, Spark may shuffle.
BROADCAST_IDS = 2_000_000
OFFER_FIELDS = [name for name in PRODUCTS.columns if name not in ("month", "batch")]


@dataclass(frozen=True)
class Sorted:
    """One batch, sorted out; the frames live as long as the staging folder.

    Attributes:
        products, rejects: the tables' columns but month and batch.
        records: how many came in, counted before anything looked into them.
        rejected: rows of rejects.
        files: source -> number of files.
    """

    products: DataFrame
    rejects: DataFrame
    records: int
    rejected: int
    files: dict[str, int]


def sort_out(
    spark: SparkSession, settings: IngestSettings, sources: Sequence[Source], month: str, staging: Staging
) -> Sorted:
    """Read a batch's deliveries and tell products from rejects; writes nothing outside the staging folder."""
    reading = read_deliveries(spark, settings, sources, month, staging)
    blocks = _blocks(reading, staging)
    repeated = _repeated(reading.offers, staging)
    kept = _suspects(reading.offers, repeated, staging)
    # `row` keeps the conditions where they are (lib/sources/offers.py).
    products = reading.offers.where("valid AND row >= 0")
    if repeated is not None:
        first = kept.where("size(reasons) = 0").coalesce(1)
        products = products.join(repeated, "product_id", how="left_anti").unionByName(first.select(products.columns))
    rejects = _rejects(spark, kept.where("size(reasons) > 0"), blocks, reading.parts, staging)
    return Sorted(products.select(OFFER_FIELDS), rejects, _records(blocks, reading), rejects.count(), reading.files)


def _blocks(reading: Reading, staging: Staging) -> DataFrame | None:
    """First row and number of lines of each stretch of file that Spark reads at once."""
    if reading.lines is None:
        return None
    counted = reading.lines.groupBy("part", "block", "block_bytes").agg(
        F.min("row").alias("first_row"), F.count(F.lit(1)).alias("lines")
    )
    return _kept(counted, staging, "blocks")


def _records(blocks: DataFrame | None, reading: Reading) -> int:
    """How many records came in, counted without looking into them."""
    converted = [part for part in reading.parts if part.path.suffix == ".parquet"]
    spark = reading.offers.sparkSession
    count = spark.read.parquet(*[str(part.path) for part in converted]).count() if converted else 0
    if blocks is None:
        return count
    lines = blocks.agg(F.sum("lines")).collect()[0][0] or 0
    return int(lines) - reading.headers + count


def _repeated(found: DataFrame, staging: Staging) -> DataFrame | None:
    """Ids that more than one valid record has; None when there are none."""
    counted = found.where("valid AND row >= 0").groupBy("product_id").agg(F.count(F.lit(1)).alias("times"))
    repeated = _kept(counted.where("times > 1").select("product_id"), staging, "repeated")
    count = repeated.count()
    if count == 0:
        return None
    return F.broadcast(repeated) if count <= BROADCAST_IDS else repeated


def _suspects(found: DataFrame, repeated: DataFrame | None, staging: Staging) -> DataFrame:
    """Bad records, and all records of repeated ids, of which the first by file and position is good.

    Returns:
        As `offers`, with reasons empty for what is a product after all.
    """
    if repeated is None:
        suspects = found.where("NOT valid AND row >= 0")
    else:
        marked = repeated.withColumn("times", F.lit(True))
        suspects = found.join(marked, "product_id", how="left").where("(NOT valid OR times) AND row >= 0")
    short = suspects.withColumn("raw", F.substring("raw", 1, RAW_BYTES))
    kept = _kept(short.select(found.columns), staging, "suspects")
    if repeated is None:
        return kept
    first = F.row_number().over(Window.partitionBy("product_id").orderBy("part", "block", "row"))
    doubled = kept.where("valid").withColumn("times", first)
    marked = doubled.withColumn(
        "reasons", F.when(F.col("times") > 1, F.array(F.lit("duplicate"))).otherwise(F.col("reasons"))
    )
    return kept.where("NOT valid").unionByName(marked.drop("times"))


def _rejects(
    spark: SparkSession, bad: DataFrame, blocks: DataFrame | None, parts: Sequence[Part], staging: Staging
) -> DataFrame:
    """The columns of `rejects` but month and batch; header lines at their place are no records."""
    traced = bad.select(*TRACE, "reasons", "source")
    if blocks is not None:
        located = with_positions(traced.where("position IS NULL"), blocks, str(staging.folder))
        traced = traced.where("position IS NOT NULL").unionByName(located)
    rows = [(part.number, part.delivery.file.as_posix(), part.origin, part.path.suffix == ".txt") for part in parts]
    origins = spark.createDataFrame(rows, "part long, file string, origin long, lines boolean")
    placed = traced.join(F.broadcast(origins), "part", how="inner").withColumn(
        "position", F.col("position") + F.col("origin")
    )
    header = F.col("lines") & (F.col("position") == 0)
    rejects = placed.where(~header).select("source", "file", "position", "reasons", "raw")
    return _kept(rejects, staging, "rejects")


def _kept(frame: DataFrame, staging: Staging, name: str) -> DataFrame:
    """The frame, written into the staging folder and read from there."""
    place = staging.place(name)
    frame.write.parquet(place)
    return frame.sparkSession.read.schema(frame.schema).parquet(place)
