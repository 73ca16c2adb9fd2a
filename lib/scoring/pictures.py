"""Brings products and their pictures together, for a model that sees them."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.model.architecture import Picture
from lib.scoring.batch import PICTURE
from lib.shards.pictures import check_looked_at, jpegs_of
from schemas.image_features import IMAGE_FEATURES
from schemas.images import IMAGES


def with_pictures(rows: DataFrame, warehouse: str, month: str, picture: Picture | None) -> DataFrame:
    """Rows of a month with PICTURE, null where a product has none; as they are for a model of texts.

    Args:
        rows: with product_id.

    Raises:
        UserError: the month's pictures were not taken, are of another size than the model's, or were looked at by
            another backbone only.
    """
    if picture is None:
        return rows
    spark = rows.sparkSession
    if picture.kind == "features":
        check_looked_at(spark, warehouse, [month], picture.key)
        found = tables.read(spark, warehouse, IMAGE_FEATURES, month=month, backbone=picture.key)
        seen = found.select("product_id", F.col("features").alias(PICTURE))
    else:
        seen = jpegs_of(spark, warehouse, [month], picture.size).select("product_id", F.col("image").alias(PICTURE))
    return rows.join(seen, on="product_id", how="left")


def fingerprint(spark: SparkSession, warehouse: str, month: str, picture: Picture | None) -> dict[str, str]:
    """Name -> content of what `with_pictures` adds; nothing for a model of texts."""
    if picture is None:
        return {}
    if picture.kind == "features":
        where = {"month": month, "backbone": picture.key}
        return {"pictures": str(tables.fingerprint(spark, warehouse, IMAGE_FEATURES, **where))}
    return {"pictures": str(tables.fingerprint(spark, warehouse, IMAGES, month=month))}
