"""Each eojeol is analysed once, across the cluster and over the months.

Okt looks at one space-separated word (eojeol) at a time, so a name's tokens are its eojeols' tokens in a row. Names
repeat words far more than words are new: only eojeols that the lexicon table lacks are analysed.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from lib.text.tokenizers import TokenizerSettings, load

ANALYSED = StructType(
    [StructField("eojeol", StringType(), False), StructField("tokens", ArrayType(StringType(), False), False)]
)


def eojeols_by_block(cleaned: DataFrame) -> DataFrame:
    """Distinct (block, eojeol) of the names and categories of `cleaned`."""
    words = F.concat(_words("name"), _words("category"))
    return cleaned.select("block", F.explode(words).alias("eojeol")).where("eojeol <> ''").distinct()


def analysed(eojeols: DataFrame, settings: TokenizerSettings, partitions: int) -> DataFrame:
    """Tokens of each eojeol: columns of ANALYSED.

    Args:
        eojeols: distinct eojeols, column `eojeol`.
        partitions: tasks to spread them over; said by number because Spark would see only that they are few bytes.
    """
    spread = eojeols.select("eojeol").repartition(partitions, "eojeol")
    return spread.mapInArrow(_analyse_with(settings), ANALYSED)


def assembler(left: pa.Table, right: pa.Table) -> pa.Table:
    """The names of one block with their tokens, given the block's eojeols and theirs.

    Args:
        left: rows with string columns `name` and `category`.
        right: columns `eojeol`, distinct and complete for these names, and `tokens`.

    Returns:
        left without `category` and `block`, with list columns `name_tokens` and `category_tokens`.
    """
    eojeols, tokens = _lookup(right)
    named = left.append_column("name_tokens", _tokens_of(left.column("name"), eojeols, tokens))
    both = named.append_column("category_tokens", _tokens_of(left.column("category"), eojeols, tokens))
    return both.drop_columns(["block", "category"])


def _words(column: str) -> Column:
    return F.split(F.col(column), " ")


def _analyse_with(
    settings: TokenizerSettings,
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def analyse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                tokenize = load(settings).tokenize
                tokens = [tokenize(eojeol) for eojeol in batch.column(0).to_pylist()]
                yield pa.RecordBatch.from_arrays(
                    [batch.column(0), pa.array(tokens, pa.list_(pa.string()))], names=["eojeol", "tokens"]
                )

    return analyse


def _lookup(right: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Eojeols and their tokens as plain arrays; '' (no name at all) has none."""
    eojeols = pa.concat_arrays([pa.array([""]), *right.column("eojeol").chunks])
    tokens = pa.concat_arrays([pa.array([[]], pa.list_(pa.string())), *_plain(right.column("tokens"))])
    return eojeols, tokens


def _plain(column: pa.ChunkedArray) -> list[pa.Array]:
    return [chunk.cast(pa.list_(pa.string())) for chunk in column.chunks]


def _tokens_of(texts: pa.ChunkedArray, eojeols: pa.Array, tokens: pa.Array) -> pa.Array:
    """The tokens of each text: its eojeols' tokens in a row, by whole columns (no Python loop over names)."""
    words = pc.split_pattern(texts.combine_chunks(), " ")
    places = pc.index_in(words.flatten(), value_set=eojeols)
    if places.null_count:
        raise AssertionError("an eojeol of this block was not analysed")
    found = tokens.take(places)
    # Where a text's words end among all words, then where those words' tokens end among all tokens.
    return pa.ListArray.from_arrays(found.offsets.take(words.offsets), found.flatten())
