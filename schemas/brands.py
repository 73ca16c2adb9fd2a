"""The brands known in a month: from the brand fields and malls of its history, with what they do for its names."""

from pyspark.sql.types import ArrayType, LongType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

BRANDS = Table(
    name="brands",
    row="one brand",
    key=("month", "brand"),
    struct=StructType(
        [
            month_column(),
            column("brand", StringType(), "its written form that is most frequent, normalised", nullable=False),
            column(
                "aliases", ArrayType(StringType(), False), "all its written forms, that one included", nullable=False
            ),
            column("searched", ArrayType(StringType(), False), "those that names are searched for", nullable=False),
            column("rows", LongType(), "train rows of the history that name it in a field", nullable=False),
            column("malls", LongType(), "malls that they are of", nullable=False),
            column(
                "found",
                LongType(),
                "train names with a known brand, or of its own mall, that hold one of its forms",
                nullable=False,
            ),
            column("agreed", LongType(), "of these, names of its own offers", nullable=False),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month",),
    checks={**MONTH_CHECK, "agreed_is_part_of_found": "agreed <= found"},
    keep_months=12,
)
