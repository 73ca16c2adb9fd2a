"""The embedded market's true labels; only evaluation may read them."""

from pyspark.sql.types import StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

TRUTH = Table(
    name="truth",
    row="one simulated offer's true label",
    key=("month", "product_id"),
    struct=StructType(
        [
            month_column(),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("cat_id", StringType(), "the leaf the offer was made from", nullable=False),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month",),
    checks=dict(MONTH_CHECK),
)
