"""Thumbnails: small, of the asked products only, and none where there is no picture."""

import base64
import io
from pathlib import Path

from PIL import Image
from pyspark.sql import SparkSession

from lib import tables
from lib.images.thumbnails import SIZE, thumbnails
from schemas.images import IMAGES

MONTH, BATCH = "2026-01", "2026-01-05"


def test_the_asked_products_pictures_are_drawn_small(spark: SparkSession, warehouse: str, tmp_path: Path) -> None:
    assert thumbnails(spark, warehouse, MONTH, {"m:1"}) == {}
    stream = io.BytesIO()
    Image.new("RGB", (224, 224), (10, 200, 10)).save(stream, "JPEG")
    rows = [
        (MONTH, BATCH, "m:1", stream.getvalue(), 224, "a", None),
        (MONTH, BATCH, "m:2", None, 224, None, "missing_file"),
        (MONTH, BATCH, "m:3", stream.getvalue(), 224, "a", None),
    ]
    where = {"month": MONTH, "batch": BATCH}
    tables.write(spark.createDataFrame(rows, IMAGES.struct), warehouse, IMAGES, where)
    found = thumbnails(spark, warehouse, MONTH, {"m:1", "m:2", "m:'; DROP"})
    assert set(found) == {"m:1"}
    head, _, body = found["m:1"].partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as drawn:
        assert drawn.size == (SIZE, SIZE)
    assert thumbnails(spark, warehouse, MONTH, set()) == {}
