"""Tokens of single eojeols (space-separated words), kept so that each is analysed once and not every month."""

from pyspark.sql.types import ArrayType, StringType, StructType

from schemas.table import Table, WriteMode, column

LEXICON = Table(
    name="lexicon",
    row="one eojeol and its tokens",
    key=("tokenizer_key", "eojeol"),
    struct=StructType(
        [
            column("tokenizer_key", StringType(), "tokenizer, version, options, dictionary", nullable=False),
            column("eojeol", StringType(), "a normalised word between spaces", nullable=False),
            column("tokens", ArrayType(StringType(), False), "its tokens in order", nullable=False),
            column("first_month", StringType(), "month it was first analysed", nullable=False),
        ]
    ),
    write_mode=WriteMode.MERGE,
    slice=("tokenizer_key",),
    kept_while="while a kept product contains the eojeol",
)
