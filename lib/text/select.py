"""Which of the counted words and grams get an id (R5), and how much of the text they cover."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lib.config import VocabularySettings
from lib.text.counts import GRAM, WORD
from lib.text.grams import GRAMS_SCHEMA, inverse_document_frequency
from lib.text.vocabulary import WORDS_SCHEMA


def write_vocabulary(counts: DataFrame, settings: VocabularySettings, products: int, words: Path, grams: Path) -> None:
    """Write words.parquet and grams.parquet, both from the most frequent down, equals in the order of their text.

    Args:
        counts: field, token, count, documents over the history.
        products: train products that the counts are of.
    """
    frequent = counts.where((F.col("field") == WORD) & (F.col("count") >= settings.min_count))
    chosen = frequent.orderBy(F.desc("count"), "token").select("token", "count").toArrow()
    pq.write_table(chosen.cast(WORDS_SCHEMA), words)
    common = counts.where((F.col("field") == GRAM) & (F.col("documents") >= settings.min_gram_documents))
    kept = common.orderBy(F.desc("documents"), "token").select("token", "documents").toArrow()
    pq.write_table(with_idf(kept, products), grams)


def with_idf(grams: pa.Table, products: int) -> pa.Table:
    """token, documents and the inverse document frequency among so many products."""
    idf = [inverse_document_frequency(documents, products) for documents in grams.column("documents").to_pylist()]
    return grams.append_column("idf", pa.array(idf, pa.float32())).cast(GRAMS_SCHEMA)


def funnel(counts: DataFrame, settings: VocabularySettings) -> list[dict[str, Any]]:
    """From everything counted down to what got an id: entries, and the share of occurrences they cover.

    Word counts are of name and category tokens together.
    """
    frequent = {
        WORD: F.col("count") >= settings.min_count,
        GRAM: F.col("documents") >= settings.min_gram_documents,
    }
    kept = F.when(F.col("field") == WORD, frequent[WORD]).otherwise(frequent[GRAM])
    totals = counts.groupBy("field").agg(
        F.count(F.lit(1)).alias("all"),
        F.sum("count").alias("occurrences"),
        F.count_if(kept).alias("kept"),
        F.sum(F.when(kept, F.col("count")).otherwise(0)).alias("covered"),
    )
    rows = {row["field"]: row.asDict() for row in totals.collect()}
    notes = {
        WORD: f"at least {settings.min_count} times",
        GRAM: f"in at least {settings.min_gram_documents} names",
    }
    return [step for name in (WORD, GRAM) if name in rows for step in _steps(name, rows[name], notes[name])]


def _steps(field: str, row: dict[str, Any], note: str) -> list[dict[str, Any]]:
    return [
        {"name": f"all {field}s", "note": "in the train split", "entries": row["all"], "coverage": 1.0},
        {
            "name": f"frequent {field}s",
            "note": note,
            "entries": row["kept"],
            "coverage": row["covered"] / row["occurrences"],
        },
    ]
