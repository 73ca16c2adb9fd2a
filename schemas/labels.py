"""The integer that stands for a leaf, given once and for ever, so that models of different months compare."""

from pyspark.sql.types import IntegerType, StringType, StructType

from schemas.table import Table, WriteMode, column

LABELS = Table(
    name="labels",
    row="one label id",
    key=("label_id",),
    struct=StructType(
        [
            column("label_id", IntegerType(), "dense from 0, never given to another leaf", nullable=False),
            column("cat_id", StringType(), "the leaf", nullable=False),
            column("first_month", StringType(), "month the leaf first appeared", nullable=False),
            column("retired_month", StringType(), "month the leaf was gone or replaced; null while it lives"),
        ]
    ),
    write_mode=WriteMode.MERGE,
    slice=(),
    checks={"label_not_negative": "label_id >= 0"},
    merge_updates={"retired_month": "new.retired_month"},
    # Two runs at once: neither may take an id the other has given, nor give a leaf a second id.
    merge_on="old.label_id = new.label_id OR old.cat_id = new.cat_id",
    merge_when="old.retired_month IS NULL AND new.retired_month IS NOT NULL",
    partitioned=False,
)
