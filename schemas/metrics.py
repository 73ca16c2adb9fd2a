"""Every figure an evaluation makes, one a row, so that months and models can be compared by query."""

from pyspark.sql.types import DoubleType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

METRICS = Table(
    name="metrics",
    row="one figure",
    key=("month", "model_version", "split", "slice", "name"),
    struct=StructType(
        [
            month_column(),
            column("model_version", StringType(), "registered version, or the name of a peer", nullable=False),
            column("split", StringType(), "validation, test, or next_month", nullable=False),
            column(
                "slice",
                StringType(),
                "'all', 'head=…', 'level=…', 'category=…', 'threshold=…'",
                nullable=False,
            ),
            column("name", StringType(), "the figure's name", nullable=False),
            column("value", DoubleType(), "the figure", nullable=False),
            column("low", DoubleType(), "lower end of the 95 % bootstrap interval, where there is one"),
            column("high", DoubleType(), "upper end of it"),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "model_version", "split"),
    checks=dict(MONTH_CHECK),
)
