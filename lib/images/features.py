"""A month's pictures as a backbone's feature vectors: batch prediction on Spark that can be killed and goes on.

Each distinct picture is looked at once, however many products share it, and not at all where the month before shows it
too. What is to be looked at is cut into chunks; each chunk's features lie in the staging folder until all are there.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import months, tables
from lib.chunks import Chunks, is_whole
from lib.config import BackboneSettings, ImageFeaturesSettings
from lib.errors import UserError
from lib.images.backbones import Extractor, backbone_key, extractor
from lib.images.pixels import pixels
from schemas.image_features import IMAGE_FEATURES
from schemas.images import IMAGES

LOG = logging.getLogger(__name__)
SEEN = "hash string, features array<float>"
# Folder of the pictures that are to be looked at.
TO_DO = "to-do"


@dataclass(frozen=True)
class Looking:
    """How pictures are looked at; travels to the workers.

    Attributes:
        backbone: the network; a weights file is readable from every worker.
        size: pixels of the pictures' side.
        settings: batches, threads, chunks.
    """

    backbone: BackboneSettings
    size: int
    settings: ImageFeaturesSettings

    @property
    def key(self) -> str:
        """Which features these are."""
        return backbone_key(self.backbone, self.size)


@dataclass(frozen=True)
class MonthFeatures:
    """What came of a month.

    Attributes:
        rows: of IMAGE_FEATURES.
        products: of the month with a picture, and without.
        pictures: distinct ones.
        looked_at: of them, by this run; the others the month before shows too, or a killed run had looked at.
        seconds: that took.
    """

    rows: DataFrame
    products: tuple[int, int]
    pictures: int
    looked_at: int
    seconds: float

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        rate = round(self.looked_at / self.seconds, 1) if self.looked_at else None
        return {"pictures": self.pictures, "looked_at": self.looked_at, "images_per_second": rate}


def month_features(spark: SparkSession, warehouse: str, month: str, looking: Looking, chunks: Chunks) -> MonthFeatures:
    """Look at a month's pictures.

    Args:
        chunks: of this work; the caller forgets them when rows are stored.

    Raises:
        UserError: pictures of the month are of another size.
    """
    images = tables.read_month(spark, warehouse, IMAGES, month)
    _check_size(images, month, looking.size)
    shown = images.where(F.col("image").isNotNull())
    known = _known(spark, warehouse, months.shift(month, -1), looking.key)
    count = _stage(shown, known, looking.settings.chunk_rows, chunks)
    started = time.monotonic()
    looked_at = sum(_look_at(spark, number, count, month, looking, chunks) for number in range(count))
    seconds = time.monotonic() - started
    seen = spark.read.schema(SEEN).parquet(*[str(chunks.result(number)) for number in range(count)])
    both = seen.unionByName(known.join(seen, on="hash", how="left_anti"))
    rows = shown.select("month", "product_id", "hash").join(both, on="hash", how="inner")
    counted = images.agg(
        F.count("image").alias("with_picture"), F.count(F.lit(1)).alias("all"), F.count_distinct("hash").alias("hashes")
    ).collect()[0]
    products = (int(counted["with_picture"]), int(counted["all"] - counted["with_picture"]))
    keyed = rows.withColumn("backbone", F.lit(looking.key)).select(*IMAGE_FEATURES.columns)
    return MonthFeatures(keyed, products, int(counted["hashes"]), looked_at, seconds)


def _check_size(images: DataFrame, month: str, size: int) -> None:
    other = images.where(F.col("size") != size).first()
    if other is not None:
        raise UserError(
            f"pictures of {month} are of {other['size']} pixels where images.size is {size}; run jobs/images.py "
            f"--month {month} first, or set images.size={other['size']}"
        )


def _known(spark: SparkSession, warehouse: str, month: str, key: str) -> DataFrame:
    """Picture's hash -> features, of a month whose pictures the backbone has looked at."""
    if not tables.exists(spark, warehouse, IMAGE_FEATURES):
        return spark.createDataFrame([], SEEN)
    hashes = tables.read(spark, warehouse, IMAGES, month=month).select("product_id", "hash")
    seen = tables.read(spark, warehouse, IMAGE_FEATURES, month=month, backbone=key).select("product_id", "features")
    return seen.join(hashes, on="product_id", how="inner").select("hash", "features").dropDuplicates(["hash"])


def _stage(shown: DataFrame, known: DataFrame, chunk_rows: int, chunks: Chunks) -> int:
    """Write the pictures that are to be looked at, each once, cut into chunks; returns how many chunks."""
    to_do = chunks.folder / TO_DO
    count = chunks.cut(shown.select("hash").distinct().count, chunk_rows)
    if not is_whole(to_do):
        new = shown.select("hash", "image").join(known.select("hash"), on="hash", how="left_anti")
        chunk = F.pmod(F.xxhash64("hash"), F.lit(count)).cast("int")
        once = new.groupBy("hash").agg(F.any_value("image").alias("image")).withColumn("chunk", chunk)
        once.write.mode("overwrite").partitionBy("chunk").parquet(str(to_do))
    return count


def _look_at(spark: SparkSession, number: int, count: int, month: str, looking: Looking, chunks: Chunks) -> int:
    """Features of one chunk, unless they are there; returns how many pictures were looked at."""
    if chunks.is_done(number):
        return 0
    made, source = chunks.result(number), chunks.folder / TO_DO / f"chunk={number}"
    started = time.monotonic()
    to_do = spark.read.schema("hash string, image binary")
    # No folder: no picture fell into the chunk.
    pictures = to_do.parquet(str(source)) if source.is_dir() else spark.createDataFrame([], "hash string, image binary")
    # One task a core, as each loads the network.
    spread = pictures.repartition(spark.sparkContext.defaultParallelism, "hash")
    spread.mapInArrow(looking_at(looking), SEEN).write.mode("overwrite").parquet(str(made))
    rows = spark.read.schema(SEEN).parquet(str(made)).count()
    seconds = time.monotonic() - started
    LOG.info(
        "image_features %s: chunk %d of %d, %s pictures, %.1f a second",
        month, number + 1, count, f"{rows:,}", rows / max(seconds, 1e-3),
    )  # fmt: skip
    return rows


def looking_at(looking: Looking) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that Spark runs in each task."""
    backbone, size, settings = looking.backbone.model_dump_json(), looking.size, looking.settings

    def extract(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            look = worker_extractor(backbone, size, settings.threads)
            for start in range(0, batch.num_rows, settings.batch_size):
                piece = batch.slice(start, settings.batch_size)
                seen = look(pixels(tf.constant(piece.column("image").to_pylist(), tf.string), size))
                yield pa.RecordBatch.from_arrays([piece.column("hash"), _lists(seen)], names=["hash", "features"])

    return extract


@lru_cache(maxsize=1)
def worker_extractor(backbone: str, size: int, threads: int) -> Extractor:
    """The network of a Spark Python worker, loaded at its first batch and kept while the process lives.

    Args:
        backbone: the section of the configuration as JSON.
    """
    return extractor(BackboneSettings.model_validate_json(backbone), size, threads)


def _lists(matrix: NDArray[np.float32]) -> pa.ListArray:
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1), pa.float32()))
