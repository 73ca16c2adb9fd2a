"""Pictures of a month's products, all of one size, or why there is none."""

from pyspark.sql.types import BinaryType, IntegerType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

IMAGES = Table(
    name="images",
    row="one product's picture, or why it has none",
    key=("month", "batch", "product_id"),
    struct=StructType(
        [
            month_column(),
            column("batch", StringType(), "the delivery, YYYY-MM-DD", nullable=False),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("image", BinaryType(), "JPEG, RGB, upright; null where there is none"),
            column("size", IntegerType(), "pixels of its side (images.size)", nullable=False),
            column("hash", StringType(), "SHA-256 of the JPEG, hex; null where there is none"),
            column("reason", StringType(), "why there is none, a code (docs/operations.md); null where there is one"),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "batch"),
    checks={**MONTH_CHECK, "a_picture_or_a_reason": "(image IS NULL) = (reason IS NOT NULL)"},
    keep_months=12,
)
