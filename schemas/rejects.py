"""Input records that became no product, kept raw so that nothing is dropped silently."""

from pyspark.sql.types import ArrayType, BinaryType, LongType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

REJECTS = Table(
    name="rejects",
    row="one input record that became no product",
    key=("month", "batch", "source", "file", "position"),
    struct=StructType(
        [
            month_column(),
            column("batch", StringType(), "the delivery, YYYY-MM-DD", nullable=False),
            column("source", StringType(), "name of the source in conf", nullable=False),
            column("file", StringType(), "file the record came from", nullable=False),
            column(
                "position",
                LongType(),
                "byte offset (text) or index (JSON, Parquet) in the file",
                nullable=False,
            ),
            column("reasons", ArrayType(StringType(), False), "reason codes, all that apply", nullable=False),
            column("raw", BinaryType(), "the record's first 64 KiB as delivered"),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "batch", "source"),
    checks={**MONTH_CHECK, "has_a_reason": "size(reasons) > 0"},
    keep_months=3,
)
