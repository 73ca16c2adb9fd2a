"""Each eojeol is analysed once, across the cluster and over the months.

Okt looks at one space-separated word (eojeol) at a time, so a name's tokens are its eojeols' tokens in a row.
Names repeat words far more than they bring new ones: only eojeols that the lexicon lacks are analysed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from lib import tables
from lib.config import TextSettings
from lib.text.tokenizers import TokenizerSettings, load
from schemas.lexicon import LEXICON

ANALYSED = StructType(
    [StructField("eojeol", StringType(), False), StructField("tokens", ArrayType(StringType(), False), False)]
)
Batches = Iterable[pa.RecordBatch]
# As Spark writes array<string> whose elements are never null.
LISTS = pa.list_(pa.field("element", pa.string(), nullable=False))


@contextmanager
def looked_up(
    blocked: DataFrame, warehouse: str, text: TextSettings, settings: TokenizerSettings, month: str
) -> Iterator[tuple[DataFrame, dict[str, int]]]:
    """block, eojeol, tokens: every eojeol of every block; new ones are analysed and kept in the lexicon.

    Args:
        blocked: normalised `name` and `category`, and the `block` of names that one task puts together.

    Yields:
        the eojeols (cached until the context ends), how many were analysed, and how many of those were too long
        to keep: a word of a broken feed can be thousands of characters, and no other name will hold it.
    """
    with ExitStack() as stack:
        tables.create(blocked.sparkSession, warehouse, LEXICON)
        known = tables.read(blocked.sparkSession, warehouse, LEXICON, tokenizer_key=settings.key)
        found = cached(eojeols_by_block(blocked).join(known.select("eojeol", "tokens"), "eojeol", how="left"), stack)
        missing = found.where("tokens IS NULL").select("block", "eojeol")
        if missing.isEmpty():
            yield found, {"analysed": 0, "over_long": 0}
            return
        new = cached(analysed(missing.select("eojeol").distinct(), settings), stack)
        figures = _remember(new, warehouse, text, settings, month)
        yield found.where("tokens IS NOT NULL").unionByName(missing.join(new, "eojeol", how="inner")), figures


def eojeols_by_block(blocked: DataFrame) -> DataFrame:
    """Distinct (block, eojeol) of the names and categories."""
    words = F.concat(_words("name"), _words("category"))
    return blocked.select("block", F.explode(words).alias("eojeol")).where("eojeol <> ''").distinct()


def analysed(eojeols: DataFrame, settings: TokenizerSettings) -> DataFrame:
    """Tokens of each distinct eojeol: columns of ANALYSED.

    One task a core: Spark sees only few bytes, and not that each word takes a millisecond; and of more tasks the first
    on each core, which load the tokenizer, would take several times as long as the others.
    """
    cores = eojeols.sparkSession.sparkContext.defaultParallelism
    return eojeols.repartition(cores, "eojeol").mapInArrow(_analyse_with(settings), ANALYSED)


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
    return both.drop(["block", "category"])


def _remember(
    new: DataFrame, warehouse: str, text: TextSettings, settings: TokenizerSettings, month: str
) -> dict[str, int]:
    long = F.length("eojeol") > text.max_eojeol_length
    counted = new.agg(F.count(F.lit(1)).alias("analysed"), F.count_if(long).alias("over_long")).collect()[0]
    if counted["analysed"] > counted["over_long"]:
        stamps = {"tokenizer_key": F.lit(settings.key), "first_month": F.lit(month)}
        tables.merge(new.where(~long).withColumns(stamps), warehouse, LEXICON)
    return {"analysed": counted["analysed"], "over_long": counted["over_long"]}


def cached(frame: DataFrame, stack: ExitStack) -> DataFrame:
    """The frame, kept by Spark (on disk where memory ends) until the stack closes."""
    stack.callback(frame.persist().unpersist)
    return frame


def _words(column: str) -> Column:
    return F.split(F.col(column), " ")


def _analyse_with(settings: TokenizerSettings) -> Callable[[Batches], Batches]:
    def analyse(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows:
                tokenize = load(settings).tokenize
                tokens = [tokenize(eojeol) for eojeol in batch.column(0).to_pylist()]
                lists = pa.array(tokens, LISTS)
                yield pa.RecordBatch.from_arrays([batch.column(0), lists], names=ANALYSED.names)

    return analyse


def _lookup(right: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Eojeols and their tokens as plain arrays; '' (no name at all) has none."""
    eojeols = pa.concat_arrays([pa.array([""]), *right.column("eojeol").chunks])
    tokens = [chunk.cast(LISTS) for chunk in right.column("tokens").chunks]
    return eojeols, pa.concat_arrays([pa.array([[]], LISTS), *tokens])


def _tokens_of(texts: pa.ChunkedArray, eojeols: pa.Array, tokens: pa.Array) -> pa.Array:
    """The tokens of each text: its eojeols' tokens in a row, by whole columns (no Python loop over names)."""
    words = pc.split_pattern(texts.combine_chunks(), " ")
    places = pc.index_in(words.flatten(), value_set=eojeols)
    if places.null_count:
        raise AssertionError("an eojeol of this block was not analysed")
    found = tokens.take(places)
    # Where a text's words end among all words, then where those words' tokens end among all tokens.
    ends = found.offsets.take(words.offsets)
    return pa.ListArray.from_arrays(ends, found.flatten(), type=LISTS)
