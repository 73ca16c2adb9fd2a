"""The platform's leaf categories of a month."""

from pyspark.sql.types import ArrayType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

TAXONOMY = Table(
    name="taxonomy",
    row="one leaf category",
    key=("month", "cat_id"),
    struct=StructType(
        [
            month_column(),
            column("cat_id", StringType(), "the platform's id of the leaf", nullable=False),
            column(
                "path",
                ArrayType(StringType(), False),
                "names from the top level down, 1 to 4",
                nullable=False,
            ),
            column("replaced_by", StringType(), "cat_id that took this leaf's place; null while it lives"),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month",),
    checks={**MONTH_CHECK, "one_to_four_levels": "size(path) BETWEEN 1 AND 4"},
)
