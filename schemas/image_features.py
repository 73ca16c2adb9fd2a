"""What a backbone sees in each product's picture."""

from pyspark.sql.types import ArrayType, FloatType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

IMAGE_FEATURES = Table(
    name="image_features",
    row="one product's picture as one backbone's feature vector",
    key=("month", "product_id", "backbone"),
    struct=StructType(
        [
            month_column(),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column(
                "backbone", StringType(), "key of the backbone: name, picture size, hash of weights", nullable=False
            ),
            column(
                "features",
                ArrayType(FloatType(), False),
                "output of its global average pooling (1,792 numbers for MobileNetV2 with alpha 1.4)",
                nullable=False,
            ),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "backbone"),
    checks=MONTH_CHECK,
    keep_months=12,
)
