"""Small pictures of example products, drawn into the page: it needs no network, and shows no address of a mall."""

import base64
import io
from collections.abc import Collection

from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib import tables
from schemas.images import IMAGES

# Pixels of a side: two lines of text high, and some 2 kB.
SIZE = 56
QUALITY = 75


def thumbnails(spark: SparkSession, warehouse: str, month: str, product_ids: Collection[str]) -> dict[str, str]:
    """product_id -> data URI, of those of the products that have a picture.

    Args:
        product_ids: as many as a page shows.
    """
    if not product_ids or not tables.exists(spark, warehouse, IMAGES):
        return {}
    rows = tables.read(spark, warehouse, IMAGES, month=month).where(F.col("image").isNotNull())
    wanted = rows.where(F.col("product_id").isin(*product_ids)).select("product_id", "image").collect()
    return {row.product_id: data_uri(bytes(row.image)) for row in wanted}


def data_uri(jpeg: bytes) -> str:
    """A kept picture (lib/images/decode.py made it) as a small one that a page can hold."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.thumbnail((SIZE, SIZE))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
