"""A month's products as rows of the tokens table: cleaned, put on a side of the split, tokenized."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from lib import tables
from lib.config import TextSettings
from lib.text.lexicon import analysed, assembler, eojeols_by_block
from lib.text.normalize import normalize
from lib.text.split import split
from lib.text.tokenizers import TokenizerSettings, load
from schemas.lexicon import LEXICON

# Names whose tokens one task puts together at a time: some tens of MB of names and words, whatever the corpus.
BLOCK_ROWS = 25_000
CLEANED = ("month", "batch", "product_id", "name", "cat_id", "split")
TOKENIZED = StructType(
    [
        *(StructField(name, StringType(), name == "cat_id") for name in CLEANED),
        StructField("name_tokens", ArrayType(StringType(), False), False),
        StructField("category_tokens", ArrayType(StringType(), False), False),
    ]
)


@dataclass(frozen=True)
class Lookup:
    """The eojeols of a month.

    Attributes:
        words: eojeol and tokens, complete for the month.
        figures: how many were needed, analysed now and too long to keep.
    """

    words: DataFrame
    figures: dict[str, int]


def cleaned(products: DataFrame, text: TextSettings) -> DataFrame:
    """One row a product: month, batch, product_id, name, category (both normalised), cat_id, split, block."""
    normalized = _normalizer(text.max_name_length)
    levels = F.concat_ws(" ", *(f"mall_cat_nm_{level}" for level in range(1, 5)))
    texts = products.select(
        "month",
        "batch",
        "product_id",
        normalized("prod_nm").alias("name"),
        normalized(levels).alias("category"),
        "cat_id",
    )
    return texts.withColumn("split", split(F.col("name")))
