"""The pictures that training rows hold: a backbone's features, or the JPEGs themselves, of all months of a window."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import manifest, tables
from lib.config import BackboneSettings, Config
from lib.errors import UserError
from lib.images.backbones import backbone_key, feature_size
from lib.shards.row import IMAGE_COLUMNS
from schemas.image_features import IMAGE_FEATURES
from schemas.images import IMAGES
from schemas.table import Table


@dataclass(frozen=True)
class Pictures:
    """What a window's products look like.

    Attributes:
        rows: month, product_id and the column that the training row takes; products without a picture are not there.
        fact: what the artefact says of it, for the feed and the model.
        fingerprints: of the slices it comes from.
    """

    rows: DataFrame
    fact: dict[str, Any]
    fingerprints: dict[str, str]


def pictures_of(spark: SparkSession, config: Config, months: Sequence[str]) -> Pictures | None:
    """As `shards.image` says; None where rows hold no picture.

    Raises:
        UserError: a month's pictures were not taken, are of another size, or were looked at by another backbone only.
    """
    kind = config.shards.image
    if kind == "none":
        return None
    if config.images is None:
        raise UserError(
            f"shards.image is {kind} but the configuration has no section images; add one or set it to none"
        )
    warehouse, size = config.storage.warehouse, config.images.size
    if kind == "raw":
        return _raw(spark, warehouse, months, size)
    return _features(spark, warehouse, months, size, config.backbone)


def _features(
    spark: SparkSession, warehouse: str, months: Sequence[str], size: int, backbone: BackboneSettings
) -> Pictures:
    key = backbone_key(backbone, size)
    check_looked_at(spark, warehouse, months, key)
    rows = tables.read(spark, warehouse, IMAGE_FEATURES, month=months, backbone=key)
    found = rows.select("month", "product_id", F.col("features").alias(IMAGE_COLUMNS["features"]))
    fact = {
        "kind": "features", "size": size, "backbone": backbone.name, "key": key, "width": feature_size(backbone.name),
    }  # fmt: skip
    return Pictures(found, fact, _fingerprints(spark, warehouse, IMAGE_FEATURES, months, backbone=key))


def check_looked_at(spark: SparkSession, warehouse: str, months: Sequence[str], key: str) -> None:
    """Refuse months whose pictures the backbone has not looked at.

    Raises:
        UserError: names it, and the ones that have.
    """
    stored = tables.exists(spark, warehouse, IMAGE_FEATURES)
    for month in months:
        if stored and not tables.read(spark, warehouse, IMAGE_FEATURES, month=month, backbone=key).isEmpty():
            continue
        last = manifest.find(warehouse, "image_features", month)
        if last is not None and last.facts["backbone"] == key:
            continue  # none of its products has a picture
        others = _backbones(spark, warehouse, month) if stored else []
        seen = f"only by {', '.join(others)}" if others else "by none"
        raise UserError(
            f"pictures of {month} have to be looked at by {key} and were looked at {seen}; run jobs/images.py and "
            f"jobs/image_features.py for {month} with that backbone and images.size"
        )


def _backbones(spark: SparkSession, warehouse: str, month: str) -> list[str]:
    rows = tables.read(spark, warehouse, IMAGE_FEATURES, month=month).select("backbone").distinct().collect()
    return sorted(row.backbone for row in rows)


def jpegs_of(spark: SparkSession, warehouse: str, months: Sequence[str], size: int) -> DataFrame:
    """The rows of `images` that hold a picture.

    Raises:
        UserError: a month's pictures were not taken, or are of another size.
    """
    for month in months:
        manifest.require(warehouse, "images", month)
    rows = tables.read(spark, warehouse, IMAGES, month=months).where(F.col("image").isNotNull())
    other = rows.where(F.col("size") != size).first()
    if other is not None:
        raise UserError(
            f"pictures of {other['month']} are of {other['size']} pixels where {size} are wanted; run jobs/images.py "
            f"--month {other['month']} with images.size={size}"
        )
    return rows


def _raw(spark: SparkSession, warehouse: str, months: Sequence[str], size: int) -> Pictures:
    rows = jpegs_of(spark, warehouse, months, size)
    mean = rows.agg(F.avg(F.length("image"))).collect()[0][0]
    found = rows.select("month", "product_id", F.col("image").alias(IMAGE_COLUMNS["raw"]))
    fact = {"kind": "raw", "size": size, "bytes": round(mean or 0)}
    return Pictures(found, fact, _fingerprints(spark, warehouse, IMAGES, months))


def _fingerprints(
    spark: SparkSession, warehouse: str, table: Table, months: Sequence[str], **where: str
) -> dict[str, str]:
    return {
        f"{table.name} {month}": str(tables.fingerprint(spark, warehouse, table, month=month, **where))
        for month in months
    }
