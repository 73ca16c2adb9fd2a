"""How often each word and character gram occurs in a month's train split, and those counts over several months."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from lib import months as calendar
from lib import tables
from lib.errors import UserError
from lib.manifest import require
from lib.text.grams import grams
from lib.text.lexicon import Batches
from schemas.table import Table
from schemas.token_counts import TOKEN_COUNTS

WORD, GRAM = "word", "gram"
COUNTED = StructType(
    [
        StructField("field", StringType(), False),
        StructField("token", StringType(), False),
        StructField("count", LongType(), False),
        StructField("documents", LongType(), False),
    ]
)
# Distinct tokens a task holds before it passes its counts on to be summed: some 150 MB of Python objects.
HELD_TOKENS = 500_000


def train_rows(tokens: DataFrame) -> DataFrame:
    """The rows that may be learnt from."""
    return tokens.where(F.col("split") == "train")


def counted(tokens: DataFrame) -> DataFrame:
    """field, token, count, documents of these rows: words of names and of mall categories, grams of names.

    Names and categories share one vocabulary, so a word's count is over both; a product is one document.
    """
    columns = tokens.select("name", "name_tokens", "category_tokens")
    partial = columns.mapInArrow(_count, COUNTED)
    return partial.groupBy("field", "token").agg(F.sum("count").alias("count"), F.sum("documents").alias("documents"))


def write(train: DataFrame, warehouse: str, month: str, tokenizer_key: str) -> tables.Fingerprint:
    """Count the month's train rows and store the counts."""
    stamps = {"month": F.lit(month), "tokenizer_key": F.lit(tokenizer_key)}
    return tables.write(counted(train).withColumns(stamps), warehouse, TOKEN_COUNTS, {"month": month})


@dataclass
class _Tally:
    """Counts of words or of grams in one task."""

    kind: str
    count: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)

    def add(self, tokens: list[str]) -> None:
        self.count.update(tokens)
        self.documents.update(set(tokens))

    def flush(self) -> Iterator[pa.RecordBatch]:
        """The counts so far, once; then it is empty again."""
        if self.count:
            tokens = list(self.count)
            numbers = [list(self.count.values()), [self.documents[token] for token in tokens]]
            columns = [pa.array([self.kind] * len(tokens)), pa.array(tokens), *map(pa.array, numbers)]
            yield pa.RecordBatch.from_arrays(columns, names=COUNTED.names)
        self.count.clear()
        self.documents.clear()


def _count(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Add up within the task before anything is shuffled: a word is sent once a task and not once a name."""
    words, pieces = _Tally(WORD), _Tally(GRAM)
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("name", "name_tokens", "category_tokens"))
        for name, name_tokens, category_tokens in zip(*columns, strict=True):
            words.add(name_tokens + category_tokens)
            pieces.add(grams(name))
        for tally in (words, pieces):
            if len(tally.count) > HELD_TOKENS:
                yield from tally.flush()
    yield from words.flush()
    yield from pieces.flush()


def tokenizer_key_of(tokens: DataFrame, month: str) -> str:
    """The one tokenizer_key of a month's tokens.

    Raises:
        UserError: its batches were tokenized differently.
    """
    keys = sorted(row["tokenizer_key"] for row in tokens.select("tokenizer_key").distinct().collect())
    if len(keys) > 1:
        raise UserError(
            f"the tokens of {month} were made by {' and '.join(keys)}; "
            f"run `spark-submit jobs/tokenize.py --month {month} --force` with your --conf"
        )
    return str(keys[0])


def earlier_months(
    spark: SparkSession, warehouse: str, month: str, history_months: int, tokenizer_key: str
) -> list[str]:
    """The months before `month` in its history whose counts are there, in order.

    Raises:
        UserError: one of them was counted with another tokenizer; names the commands that redo it.
    """
    wanted = calendar.window(month, history_months)[:-1]
    if not wanted or not tables.exists(spark, warehouse, TOKEN_COUNTS):
        return []
    stored = tables.read(spark, warehouse, TOKEN_COUNTS, month=wanted)
    keys = {row["month"]: row["tokenizer_key"] for row in stored.select("month", "tokenizer_key").distinct().collect()}
    for other in sorted(keys):
        if keys[other] != tokenizer_key:
            raise UserError(
                f"the history of {month} holds {other}, counted with tokenizer {keys[other]} and not "
                f"{tokenizer_key}; run `spark-submit jobs/tokenize.py --month {other}` and "
                f"`spark-submit jobs/vocabulary.py --month {other}` with your --conf"
            )
    return sorted(keys)


def summed(spark: SparkSession, warehouse: str, months: Sequence[str]) -> DataFrame:
    """field, token, count, documents over the months."""
    stored = tables.read(spark, warehouse, TOKEN_COUNTS, month=list(months))
    return stored.groupBy("field", "token").agg(F.sum("count").alias("count"), F.sum("documents").alias("documents"))


def counted_products(warehouse: str, months: Sequence[str]) -> int:
    """How many products the counts of earlier months are of, as their vocabulary stage said."""
    return sum(int(require(warehouse, "vocabulary", month).facts["products"]) for month in months)


def fingerprints(spark: SparkSession, warehouse: str, table: Table, months: Sequence[str]) -> dict[str, str]:
    """A stage's inputs: 'table month' -> content of that month."""
    return {f"{table.name} {month}": str(tables.fingerprint(spark, warehouse, table, month=month)) for month in months}
