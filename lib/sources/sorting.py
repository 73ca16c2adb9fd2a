"""Tells products from rejects: bad rows, and of rows with the same id all but the first by file and position.

The records are passed over twice, which is faster than to keep them in between: once for a verdict on each (its place,
its id and what is wrong with it; small, so they are kept in the staging folder, and all that follows is found from
them), once when the products are written. Their lines are counted apart, before anything looks into them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lib.config import IngestSettings, Source
from lib.sources.deliveries import Reading, read_deliveries
from lib.sources.offers import TRACE
from lib.sources.positions import with_positions
from lib.sources.records import RAW_BYTES
from lib.sources.staging import Part, Staging
from schemas.products import PRODUCTS

# Repeated ids, and places of duplicates, fit in every worker's memory up to here; beyond, Spark may shuffle.
BROADCAST_ROWS = 2_000_000
# What tells records apart, in the order in which they were delivered.
PLACE = ("part", "block", "row")
OFFER_FIELDS = [name for name in PRODUCTS.columns if name not in ("month", "batch")]


@dataclass(frozen=True)
class Sorted:
    """One batch, sorted out; the frames live as long as the staging folder.

    Attributes:
        products: the table's columns but month and batch.
        bad: verdicts on all records that are none of them, file headers included.
        blocks, reading, staging: what `rejects` are found by.
        records: how many came in, counted before anything looked into them.
        any_good: whether there are products.
    """

    products: DataFrame
    bad: DataFrame
    blocks: DataFrame | None
    reading: Reading
    staging: Staging
    records: int
    any_good: bool

    @cached_property
    def rejects(self) -> DataFrame:
        """The columns of `rejects` but month and batch; found in the files when first asked for."""
        return _kept(_rejects(self.bad, self.blocks, self.reading.parts, self.staging), self.staging, "rejects")


def sort_out(
    spark: SparkSession, settings: IngestSettings, sources: Sequence[Source], month: str, staging: Staging,
    warehouse: str = "",
) -> Sorted:  # fmt: skip
    """Read a batch's deliveries and tell products from rejects; writes nothing outside the staging folder."""
    reading = read_deliveries(spark, settings, sources, month, staging, warehouse)
    verdicts = _verdicts(reading.offers, staging)
    blocks = _blocks(reading, staging)
    # `row` keeps the conditions where they are (lib/sources/offers.py).
    products = reading.offers.where("valid AND row >= 0")
    bad = verdicts.where("reasons IS NOT NULL")
    duplicates = _duplicates(verdicts, staging)
    if duplicates is not None:
        products = products.join(duplicates.select(*PLACE), list(PLACE), how="left_anti")
        bad = bad.unionByName(duplicates)
    return Sorted(
        products.select(OFFER_FIELDS), bad, blocks, reading, staging, _records(blocks, reading),
        any_good=not verdicts.where("reasons IS NULL").isEmpty(),
    )  # fmt: skip


def _verdicts(offers: DataFrame, staging: Staging) -> DataFrame:
    """TRACE, product_id, id_hash, reasons and source of every record; `raw` only where its place does not tell it."""
    raw = F.when(F.col("position").isNotNull(), F.substring("raw", 1, RAW_BYTES)).alias("raw")
    trace = [raw if name == "raw" else F.col(name) for name in TRACE]
    id_hash = F.xxhash64("product_id").alias("id_hash")
    return _kept(offers.select(*trace, "product_id", id_hash, "reasons", "source"), staging, "verdicts")


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


def _duplicates(verdicts: DataFrame, staging: Staging) -> DataFrame | None:
    """Verdicts on all but the first, by file and position, of the good records of each id; None when there are none."""
    good = verdicts.where("reasons IS NULL")
    # Numbers are counted in half the time of texts. Two ids of one hash are looked at too, and told apart below.
    counted = good.groupBy("id_hash").agg(F.count(F.lit(1)).alias("times"))
    repeated = _if_any(_kept(counted.where("times > 1").select("id_hash"), staging, "repeated"))
    if repeated is None:
        return None
    first = F.row_number().over(Window.partitionBy("product_id").orderBy(*PLACE))
    numbered = good.join(repeated, "id_hash", how="left_semi").withColumn("number", first)
    later = numbered.where("number > 1").withColumn("reasons", F.array(F.lit("duplicate")))
    return _if_any(_kept(later.select(verdicts.columns), staging, "duplicates"))


def _if_any(rows: DataFrame) -> DataFrame | None:
    """The rows, for a join that sends them to every worker unless they are too many; None when there are none."""
    count = rows.count()
    if count == 0:
        return None
    return F.broadcast(rows) if count <= BROADCAST_ROWS else rows


def _rejects(bad: DataFrame, blocks: DataFrame | None, parts: Sequence[Part], staging: Staging) -> DataFrame:
    """The columns of `rejects` but month and batch; header lines at their place are no records."""
    traced = bad.select(*PLACE, "position", "file", "raw", "reasons", "source")
    rows = [(part.number, part.delivery.file.as_posix(), part.origin, part.path.suffix == ".txt") for part in parts]
    origins = bad.sparkSession.createDataFrame(rows, "part long, delivered string, origin long, lines boolean")
    if blocks is not None:
        first_lines = blocks.where("block = 0").join(
            F.broadcast(origins.where("lines AND origin = 0")), "part", how="inner"
        )
        headers = first_lines.select("part", "block", F.col("first_row").alias("row"))
        unplaced = traced.where("position IS NULL").join(F.broadcast(headers), list(PLACE), how="left_anti")
        located = with_positions(unplaced, blocks, str(staging.folder), RAW_BYTES)
        traced = traced.where("position IS NOT NULL").unionByName(located)
    placed = traced.join(F.broadcast(origins), "part", how="inner").withColumns(
        {"position": F.col("position") + F.col("origin"), "file": F.coalesce("file", "delivered")}
    )
    return placed.select("source", "file", "position", "reasons", "raw")


def _kept(frame: DataFrame, staging: Staging, name: str) -> DataFrame:
    """The frame, written into the staging folder and read from there."""
    place = staging.place(name)
    frame.write.parquet(place)
    return frame.sparkSession.read.schema(frame.schema).parquet(place)
