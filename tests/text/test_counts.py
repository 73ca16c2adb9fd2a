"""Counts of the train split, the funnel, and ids in a stable order."""

import math
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from lib.config import VocabularySettings
from lib.text import counts
from lib.text.grams import GramVocabulary, grams
from lib.text.select import funnel, write_vocabulary
from lib.text.vocabulary import Vocabulary

ROWS = [
    ("가 나 가", ["가", "나", "가"], ["다"], "train"),
    ("나 가", ["나", "가"], [], "train"),
    ("라", ["라"], ["라", "다"], "train"),
    ("비밀", ["비밀"], ["비밀"], "test"),
]
WORDS = {"가": (3, 2), "나": (2, 2), "다": (2, 2), "라": (2, 1)}


def test_words_and_grams_of_train_rows_are_counted(spark: SparkSession) -> None:
    found = {(row["field"], row["token"]): (row["count"], row["documents"]) for row in _counts(spark).collect()}
    assert {token: numbers for (field, token), numbers in found.items() if field == "word"} == WORDS
    assert found["gram", "가"] == (3, 2)
    assert found["gram", " 가 "] == (3, 2)
    assert {token for field, token in found if field == "gram"} == {g for row in ROWS[:3] for g in grams(row[0])}


def test_a_task_passes_its_counts_on_once() -> None:
    tally = counts._Tally("word")
    tally.add(["가", "가", "나"])
    sent = [row for batch in tally.flush() for row in batch.to_pylist()]
    assert sent == [
        {"field": "word", "token": "가", "count": 2, "documents": 1},
        {"field": "word", "token": "나", "count": 1, "documents": 1},
    ]
    assert list(tally.flush()) == []


def test_ids_are_by_count_and_equal_counts_by_text(spark: SparkSession, tmp_path: Path) -> None:
    settings = VocabularySettings(min_count=2, min_gram_documents=2)
    write_vocabulary(_counts(spark), settings, 3, tmp_path / "words.parquet", tmp_path / "grams.parquet")
    words = Vocabulary.read(tmp_path / "words.parquet")
    assert list(words.ids) == ["가", "나", "다", "라"]
    assert words.counts == (3, 2, 2, 2)
    table = pq.read_table(tmp_path / "grams.parquet").to_pydict()
    assert table["token"] == sorted(table["token"])
    assert set(table["documents"]) == {2}
    idf = GramVocabulary.read(tmp_path / "grams.parquet").idf
    assert math.isclose(idf[1], math.log(4 / 3) + 1, rel_tol=1e-6)


def test_the_funnel_says_entries_and_coverage(spark: SparkSession) -> None:
    steps = funnel(_counts(spark), VocabularySettings(min_count=3, min_gram_documents=2))
    assert [(step["name"], step["entries"]) for step in steps][:2] == [
        ("all words", 4),
        ("frequent words", 1),
    ]
    assert steps[0]["coverage"] == 1.0
    assert math.isclose(steps[1]["coverage"], 3 / 9)
    assert [step["name"] for step in steps][2:] == ["all grams", "frequent grams"]


def _counts(spark: SparkSession) -> DataFrame:
    columns = "name string, name_tokens array<string>, category_tokens array<string>, split string"
    return counts.counted(counts.train_rows(spark.createDataFrame(ROWS, columns)))
