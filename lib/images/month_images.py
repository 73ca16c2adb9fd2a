"""A month's pictures: of the sampled products' latest rows, each distinct picture decoded once, however many share it.

Steps, each over all of the month: what to ask for (an address or a file, by product), what was delivered (asked for
once each), which deliveries are the same bytes, the JPEG of each distinct one, and a row for every sampled product.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from lib import tables
from lib.config import ImagesSettings
from lib.images.decode import jpeg
from lib.images.delivery import Batches, Delivery, Read, reading
from lib.images.portions import in_portions, small_portions
from lib.images.reasons import NoPictureError
from lib.lock import only_one
from lib.sources.latest import latest_products
from lib.tables import Slice
from schemas.images import IMAGES

LOG = logging.getLogger(__name__)
# What pictures need of a product; the rest of the row never travels.
PRODUCT_COLUMNS = ("month", "batch", "product_id", "image_url")
# Pictures that a task decodes: half a minute's work, and one opening of a zip.
TASK_PICTURES = 10_000
# Tasks for each slot: they have as many pictures as each other, but not as large ones. A task costs Spark what some
# 60 pictures cost.
TASKS_A_SLOT = 2
# Makes the sample's hash another than those that deal rows to tasks and files.
SAMPLE = "images"
# Bits of the hash that a double holds exactly.
FRACTION_BITS = 52
DECODED = StructType(
    [
        StructField("body_hash", StringType(), False),
        StructField("image", BinaryType()),
        StructField("hash", StringType()),
        StructField("refusal", StringType()),
    ]
)


@dataclass(frozen=True)
class MonthImages:
    """A month's rows of `images`, staged and ready to be written.

    Attributes:
        rows: the table's rows, one for each sampled product.
        products: how many came in.
        sampled: how many of them are in the sample.
        asked: distinct addresses or files.
        distinct: distinct deliveries among them, each decoded once.
        seconds: that each step took.
    """

    rows: DataFrame
    products: int
    sampled: int
    asked: int
    distinct: int
    seconds: Mapping[str, float]

    def by_batch(self, warehouse: str, month: str, stored: DataFrame) -> Iterator[tuple[Slice, DataFrame]]:
        """The rows of every batch, with the slice to write them to.

        A batch whose products all came again later, or was withdrawn, gives no rows: its slice is emptied.

        Args:
            stored: all the month's products, of which each one's latest row counts.
        """
        before = tables.read(stored.sparkSession, warehouse, IMAGES, month=month)
        for batch in sorted(_batches(stored) | _batches(before)):
            yield {"month": month, "batch": batch}, self.rows.where(F.col("batch") == batch)

    def exits(self, reasons: Mapping[str | None, int]) -> dict[str, int]:
        """Where the products went, by the stored rows' reasons."""
        images = reasons.get(None, 0)
        without = sum(reasons.values()) - images
        return {"images": images, "without": without, "sampled_out": self.products - self.sampled}

    def facts(self, reasons: Mapping[str | None, int]) -> dict[str, Any]:
        """Figures for the report; their number does not grow with the pictures."""
        return {
            "share": round(self.sampled / max(self.products, 1), 4), "asked": self.asked, "distinct": self.distinct,
            "reasons": {reason: count for reason, count in sorted(reasons.items(), key=str) if reason is not None},
            "seconds": {step: round(took, 1) for step, took in self.seconds.items()},
        }  # fmt: skip


@contextmanager
def taking(spark: SparkSession, settings: ImagesSettings, warehouse: str, month: str, key: str) -> Iterator[Path]:
    """The folder in which the month's pictures are staged.

    It is deleted at the end, but for one by an error: then what was fetched by then is not asked for again.

    Args:
        key: of the stage's inputs and configuration; what was staged for another is deleted.

    Raises:
        UserError: another run takes pictures for this warehouse.
    """
    tables.create(spark, warehouse, IMAGES)
    lock = Path(warehouse) / "manifests" / "images" / "lock"
    with only_one(lock, f"pictures of {warehouse} are being taken"), small_portions(spark):
        # By the table's id as well: what another warehouse left in the folder is none of this month's.
        name = f"{month}-{tables.table_id(spark, warehouse, IMAGES)}"
        folder = Path(settings.staging).resolve() / f"{name}-{key[:16]}"
        for other in folder.parent.glob(f"{name}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def month_images(stored: DataFrame, delivery: Delivery, month: str, folder: Path) -> MonthImages:
    """Take the pictures.

    Args:
        stored: all the month's products, PRODUCT_COLUMNS.
        delivery: where they come from.
        folder: of `taking`.
    """
    products = latest_products(stored)
    asked = _asked(products, delivery).persist()
    total, drawn = products.count(), asked.count()
    share = 100 * drawn / max(total, 1)
    LOG.info("pictures %s: for %s of %s products (%.3g %%)", month, f"{drawn:,}", f"{total:,}", share)
    seconds: dict[str, float] = {}
    with _timed(seconds, "deliver"):
        delivered = _staged(_delivered(asked, delivery), folder / "delivered")
        counts = delivered.agg(F.count("asked").alias("asked"), F.count_distinct("body_hash").alias("distinct"))
        told = counts.collect()[0]
    with _timed(seconds, "decode"):
        rows = _staged(_rows(asked, delivered, delivery.settings, told.distinct), folder / "rows", "batch")
    asked.unpersist()
    speed = told.distinct / max(seconds["decode"], 1e-3)
    LOG.info("pictures %s: %s distinct ones decoded, %.0f a second", month, f"{told.distinct:,}", speed)
    return MonthImages(rows, total, drawn, told.asked, told.distinct, seconds)


def stored_reasons(spark: SparkSession, warehouse: str, month: str) -> dict[str | None, int]:
    """Reason -> rows of the month that the table holds for it; None: with a picture."""
    counted = tables.read(spark, warehouse, IMAGES, month=month).groupBy("reason").count().collect()
    return {row["reason"]: int(row["count"]) for row in counted}


def in_sample(share: float) -> Column:
    """Whether a product's pictures are taken: the same ones every month, and a smaller share's are among a larger's."""
    fraction = F.shiftrightunsigned(F.xxhash64(F.lit(SAMPLE), "product_id"), 64 - FRACTION_BITS)
    return fraction.cast("double") < share * 2.0**FRACTION_BITS


def _asked(products: DataFrame, delivery: Delivery) -> DataFrame:
    """Sampled products: month, batch, product_id, and asked (what to ask for) or refused (why there is nothing)."""
    sampled = products.where(in_sample(delivery.settings.share)).withColumn("to_ask", delivery.to_ask)
    return sampled.select("month", "batch", "product_id", "to_ask.asked", "to_ask.refused")


def _delivered(asked: DataFrame, delivery: Delivery) -> DataFrame:
    """DELIVERED, for each distinct thing to ask for."""
    return delivery.deliver(asked.where("asked IS NOT NULL").select("asked").distinct())


def _rows(asked: DataFrame, delivered: DataFrame, settings: ImagesSettings, distinct: int) -> DataFrame:
    """Rows of `images`, one for each of `asked`."""
    found = delivered.select("asked", "body_hash", "reason")
    # Spark takes the rows for as small as what Python was given, and would send all pictures to every task.
    made = decoded(delivered, settings, distinct).hint("merge")
    pictures = asked.join(found, "asked", how="left").join(made, "body_hash", how="left")
    return pictures.select(
        "month", "batch", "product_id", "image", F.lit(settings.size).alias("size"), "hash",
        F.coalesce("refused", "reason", "refusal").alias("reason"),
    )  # fmt: skip


def decoded(delivered: DataFrame, settings: ImagesSettings, distinct: int) -> DataFrame:
    """DECODED, for one delivery of each distinct body; a task's lie side by side."""
    slots = delivered.sparkSession.sparkContext.defaultParallelism
    tasks = max(1, min(TASKS_A_SLOT * slots, distinct), distinct // TASK_PICTURES)
    one_each = (
        delivered.where("body_hash IS NOT NULL").groupBy("body_hash").agg(F.min(F.struct("file", "row")).alias("at"))
    )
    places = one_each.select("body_hash", "at.file", "at.row").repartitionByRange(tasks, "file", "row")
    return places.sortWithinPartitions("file", "row").mapInArrow(_decoding(settings), DECODED)


def _decoding(settings: ImagesSettings) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    text, schema = settings.model_dump_json(), to_arrow_schema(DECODED)

    def decode(batches: Batches) -> Iterator[pa.RecordBatch]:
        given = ImagesSettings.model_validate_json(text)
        with reading(given) as read:
            places = (place for batch in batches for place in batch.to_pylist())
            yield from in_portions((_picture(place, read, given) for place in places), "image", schema)

    return decode


def _picture(place: Mapping[str, Any], read: Read, settings: ImagesSettings) -> dict[str, Any]:
    """A row of DECODED; what is not given is null."""
    try:
        image = jpeg(read(place["file"], place["row"]), settings)
    except NoPictureError as refused:
        return {"body_hash": place["body_hash"], "refusal": refused.code}
    return {"body_hash": place["body_hash"], "image": image, "hash": sha256(image).hexdigest()}


def _staged(rows: DataFrame, folder: Path, *partitions: str) -> DataFrame:
    """The same rows, written to the folder and read from it."""
    rows.write.mode("overwrite").option("compression", "none").partitionBy(*partitions).parquet(str(folder))
    # With the schema given, a batch that looks like a date stays the text it was.
    return rows.sparkSession.read.schema(rows.schema).parquet(str(folder)).select(*rows.columns)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[step] = time.monotonic() - started


def _batches(frame: DataFrame) -> set[str]:
    return {str(row["batch"]) for row in frame.select("batch").distinct().collect()}
