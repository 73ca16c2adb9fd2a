"""A month's products as rows of the tokens table: cleaned, put on a side of the split, tokenized."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from lib import tables
from lib.config import TextSettings
from lib.tables import Slice
from lib.text.lexicon import LISTS, Batches, assembler, cached, looked_up
from lib.text.normalize import normalize
from lib.text.split import split
from lib.text.tokenizers import TokenizerSettings, load
from schemas.tokens import BRAND_FIELDS, SPLITS, TOKENS

# Names whose tokens one task puts together at a time: tens of MB of names and words, whatever the corpus.
BLOCK_ROWS = 25_000
MALL_LEVELS = ("mall_cat_nm_1", "mall_cat_nm_2", "mall_cat_nm_3", "mall_cat_nm_4")
# What tokenizing needs of a product; the rest of the row never travels.
PRODUCT_COLUMNS = ("month", "batch", "product_id", "prod_nm", *MALL_LEVELS, *BRAND_FIELDS, "cat_id")
CLEANED = ("month", "batch", "product_id", "name", "brand_fields", "cat_id", "split")
TOKENIZED = StructType(
    [
        *(StructField(name, TOKENS.struct[name].dataType, TOKENS.struct[name].nullable) for name in CLEANED),
        StructField("name_tokens", ArrayType(StringType(), False), False),
        StructField("category_tokens", ArrayType(StringType(), False), False),
    ]
)
# Malls have few categories and few brands: most rows of a batch repeat one that was just cleaned or tokenized.
REMEMBERED = 10_000


def cleaned(products: DataFrame, text: TextSettings) -> DataFrame:
    """One row a product: CLEANED and `category`, the mall's levels in one normalised text."""
    max_length = text.max_name_length
    texts = products.select(
        "month",
        "batch",
        "product_id",
        normalized(F.col("prod_nm"), max_length).alias("name"),
        normalized(F.concat_ws(" ", *MALL_LEVELS), max_length).alias("category"),
        brand_fields(max_length).alias("brand_fields"),
        "cat_id",
    )
    return texts.withColumn("split", split(F.col("name"), text.fold))


@dataclass(frozen=True)
class MonthTokens:
    """A month's tokens, ready to be written.

    Attributes:
        rows: the tokens table's rows, cached in Spark: they are written batch by batch.
        products: how many products came in.
        learned: the lexicon's figures; {} for tokenizers that see whole names.
        tokenizer_key: what made them.
    """

    rows: DataFrame
    products: int
    learned: dict[str, int]
    tokenizer_key: str

    def by_batch(self, warehouse: str, month: str, delivered: DataFrame) -> Iterator[tuple[Slice, DataFrame]]:
        """The rows of every batch, with the slice to write them to.

        A batch whose products all came again later, or was withdrawn, gives no rows: its slice is emptied.

        Args:
            delivered: all the month's products, of which each one's latest row was tokenized.
        """
        spark = delivered.sparkSession
        batches = _batches(delivered)
        if tables.exists(spark, warehouse, TOKENS):
            batches |= _batches(tables.read(spark, warehouse, TOKENS, month=month))
        for batch in sorted(batches):
            yield {"month": month, "batch": batch}, self.rows.where(F.col("batch") == batch)

    def facts(self) -> dict[str, Any]:
        """Figures for the report: names on each side of the split, tokens, names without any."""
        length = F.size("name_tokens")
        columns = {
            **{side: F.count_if(F.col("split") == side) for side in SPLITS},
            "name_tokens": F.sum(length),
            "category_tokens": F.sum(F.size("category_tokens")),
            "names_without_tokens": F.count_if(length == 0),
        }
        row = self.rows.agg(*(column.alias(name) for name, column in columns.items())).collect()[0]
        figures = {name: int(row[name] or 0) for name in columns}
        return {"tokenizer_key": self.tokenizer_key, "lexicon": self.learned, **figures}


@contextmanager
def tokenized(
    products: DataFrame, warehouse: str, text: TextSettings, settings: TokenizerSettings, month: str
) -> Iterator[MonthTokens]:
    """The tokens of these products: the month's latest row of each, PRODUCT_COLUMNS.

    What Spark caches for it is freed when the context ends.
    """
    with ExitStack() as stack:
        names = cached(cleaned(products, text), stack)
        rows = names.count()
        learned: dict[str, int] = {}
        if settings.analyses_by_word:
            blocks = max(1, math.ceil(rows / BLOCK_ROWS))
            blocked = names.withColumn("block", F.pmod(F.xxhash64("product_id"), F.lit(blocks)).cast("int"))
            words, learned = stack.enter_context(looked_up(blocked, warehouse, text, settings, month))
            found = _assembled(blocked, words)
        else:
            found = names.mapInArrow(_tokenize_with(settings), TOKENIZED)
        stamped = cached(found.withColumn("tokenizer_key", F.lit(settings.key)), stack)
        yield MonthTokens(stamped, rows, learned, settings.key)


def brand_fields(max_length: int) -> Column:
    """The struct `brand_fields` of `tokens`, from the columns of `products`."""
    given = {name: normalized(F.col(name), max_length) for name in BRAND_FIELDS}
    return F.struct(*(F.nullif(text, F.lit("")).alias(name) for name, text in given.items()))


def _batches(frame: DataFrame) -> set[str]:
    return {str(row["batch"]) for row in frame.select("batch").distinct().collect()}


def normalized(texts: Column, max_length: int) -> Column:
    """The normalisation as an Arrow function; null gives ''."""
    return applied(lambda text: normalize(text, max_length), texts)


def applied(function: Callable[[str], str], texts: Column) -> Column:
    """A function of text as an Arrow function, asked once for texts that a batch repeats."""

    def each(batch: pd.Series) -> pd.Series:
        once = lru_cache(maxsize=REMEMBERED)(function)
        return pd.Series([once(text) for text in batch], dtype=object)

    made: Column = pandas_udf(each, StringType())(texts)  # type: ignore[call-overload]
    return made


def _assembled(blocked: DataFrame, words: DataFrame) -> DataFrame:
    """Put each block's names and the tokens of its eojeols into one task, and the tokens together there."""
    partitions = int(blocked.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
    left = blocked.select("block", *CLEANED, "category").repartition(partitions, "block")
    # Another name, because both sides come from one frame and Spark could not tell their columns apart.
    right = words.withColumnRenamed("block", "word_block").repartition(partitions, "word_block")
    return left.groupBy("block").cogroup(right.groupBy("word_block")).applyInArrow(assembler, TOKENIZED)


def _tokenize_with(settings: TokenizerSettings) -> Callable[[Batches], Batches]:
    def tokenize(batches: Batches) -> Batches:
        analyse = load(settings).tokenize
        remembered = lru_cache(maxsize=REMEMBERED)(analyse)
        for batch in batches:
            columns = [batch.column(name) for name in CLEANED]
            names = [analyse(name) for name in batch.column("name").to_pylist()]
            categories = [remembered(category) for category in batch.column("category").to_pylist()]
            lists = [pa.array(tokens, LISTS) for tokens in (names, categories)]
            yield pa.RecordBatch.from_arrays([*columns, *lists], names=TOKENIZED.names)

    return tokenize
