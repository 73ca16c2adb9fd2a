"""How often each token occurred in a month's train split; vocabularies sum these over months."""

from pyspark.sql.types import LongType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

TOKEN_COUNTS = Table(
    name="token_counts",
    row="one token (or character gram) of one field",
    key=("month", "tokenizer_key", "field", "token"),
    struct=StructType(
        [
            month_column(),
            column("tokenizer_key", StringType(), "tokenizer, version, options, dictionary", nullable=False),
            column("field", StringType(), "word or gram", nullable=False),
            column("token", StringType(), "the token or gram", nullable=False),
            column("count", LongType(), "occurrences", nullable=False),
            column("documents", LongType(), "products it occurred in", nullable=False),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month",),
    checks={**MONTH_CHECK, "field_is_known": "field IN ('word', 'gram')", "count_positive": "count > 0"},
    keep_months=12,
)
