"""Offers of a month that people label so that the machine can be held against them (R1); nobody learns from them."""

from pyspark.sql.types import DoubleType, IntegerType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

AUDIT_SAMPLE = Table(
    name="audit_sample",
    row="one product drawn from the test side",
    key=("month", "product_id"),
    struct=StructType(
        [
            month_column(),
            column("batch", StringType(), "the delivery that it was drawn from, YYYY-MM-DD", nullable=False),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("cat_id", StringType(), "the given label; null when unknown"),
            column("stratum", StringType(), "what it was drawn within", nullable=False),
            column("weight", DoubleType(), "test products of the month that it stands for", nullable=False),
            column("position", IntegerType(), "its place on the sheet, from 1", nullable=False),
        ]
    ),
    write_mode=WriteMode.WRITE_ONCE,
    slice=("month",),
    checks={**MONTH_CHECK, "stands_for_itself_at_least": "weight >= 1"},
)
