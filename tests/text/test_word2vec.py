"""The corpus keeps one product a line whatever its tokens hold, and vectors are the same at every run."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from lib.config import Word2vecSettings
from lib.errors import UserError
from lib.text import word2vec

COLUMNS = "month string, product_id string, name_tokens array<string>, category_tokens array<string>"
SETTINGS = Word2vecSettings(dimensions=8, min_count=2, epochs=3, seed=7)
COUNTS = {"신발": 40, "나이키": 30, "운동화": 20}


def test_tokens_that_would_break_lines_are_left_out(spark: SparkSession, tmp_path: Path) -> None:
    rows = [
        ("2026-01", "m:1", ["나이키", "a b", "신발"], ["운동화"]),
        ("2026-01", "m:2", ["x\ny", "\u2028", "신발", ""], []),
        ("2026-01", "m:3", [], []),
        ("2026-01", "m:4", ["\t"], []),
    ]
    corpus = word2vec.export(spark.createDataFrame(rows, COLUMNS), tmp_path)
    assert sorted(corpus.path.read_text(encoding="utf-8").split("\n")) == ["", "나이키 신발 운동화", "신발"]
    assert (corpus.sentences, corpus.words) == (2, 4)
    assert list(tmp_path.iterdir()) == [corpus.path]


def test_the_order_of_lines_does_not_depend_on_partitions(spark: SparkSession, tmp_path: Path) -> None:
    rows = [("2026-01", f"m:{number}", [f"w{number}"], []) for number in range(40)]
    texts = []
    for partitions in (1, 3):
        folder = tmp_path / str(partitions)
        folder.mkdir()
        frame = spark.createDataFrame(rows, COLUMNS).repartition(partitions)
        texts.append(word2vec.export(frame, folder).path.read_bytes())
    assert texts[0] == texts[1]
    assert texts[0].count(b"\n") == 40


def test_vectors_have_a_row_for_every_id_and_repeat(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    first = word2vec.train(corpus, COUNTS, SETTINGS)
    assert first.shape == (5, 8)
    assert first.dtype == np.float32
    assert not first[0].any()
    np.testing.assert_allclose(first[1], first[2:].mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(first, word2vec.train(corpus, COUNTS, SETTINGS))
    other = word2vec.train(corpus, COUNTS, SETTINGS.model_copy(update={"seed": 8}))
    assert not np.array_equal(first, other)


def test_words_of_one_context_end_close_together(tmp_path: Path) -> None:
    lines = [
        "나이키 운동화 신발 러닝",
        "아디다스 운동화 신발 러닝",
        "사과 과일 박스 산지",
        "감귤 과일 박스 산지",
    ] * 300
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = sorted({word for line in lines for word in line.split()})
    counts = {word: sum(line.split().count(word) for line in lines) for word in words}
    corpus = word2vec.Corpus(path, len(lines), 4 * len(lines))
    settings = SETTINGS.model_copy(update={"dimensions": 16, "epochs": 20})
    vectors = dict(zip(words, word2vec.train(corpus, counts, settings)[2:], strict=True))
    assert _cosine(vectors["나이키"], vectors["아디다스"]) > _cosine(vectors["나이키"], vectors["사과"])


def test_frequencies_are_ordered_and_bounded_below(spark: SparkSession) -> None:
    rows = [
        ("word", "b", 3),
        ("word", "a", 3),
        ("word", "c", 9),
        ("word", "rare", 1),
        ("gram", "x", 99),
        ("word", "a b", 5),
    ]
    counts = spark.createDataFrame(rows, "field string, token string, count long")
    assert list(word2vec.frequencies(counts, 2).items()) == [("c", 9), ("a", 3), ("b", 3)]
    with pytest.raises(UserError, match=r"word2vec\.min_count = 10"):
        word2vec.frequencies(counts, 10)


def _corpus(folder: Path) -> word2vec.Corpus:
    lines = ["나이키 신발 운동화", "나이키 신발", "신발 드문말"] * 10
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return word2vec.Corpus(folder / "corpus.txt", len(lines), 70)


def _cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
