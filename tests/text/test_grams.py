"""Character grams are scikit-learn's char_wb, and their vectors have a fixed length."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from lib.text.grams import GRAMS_SCHEMA, GramVocabulary, grams, inverse_document_frequency

NAMES = ["나이키 에어맥스", "나이키 신발", "a b", "에어팟 케이스 에어", "신발"]


def test_grams_of_a_short_word() -> None:
    assert sorted(grams("키 a")) == sorted(["키", " 키", "키 ", " 키 ", "a", " a", "a ", " a "])


@given(st.text(st.sampled_from("ab가나 1."), max_size=30) | st.text(max_size=20))
def test_grams_are_those_of_scikit_learn(name: str) -> None:
    analyse = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), lowercase=False).build_analyzer()
    assert sorted(grams(name)) == sorted(gram for gram in analyse(name) if gram != " ")


def test_weights_are_those_of_scikit_learn() -> None:
    vocabulary = _vocabulary()
    peer = TfidfVectorizer(analyzer=grams, sublinear_tf=True, vocabulary=list(vocabulary.ids)).fit(NAMES)
    for name, row in zip(NAMES, peer.transform(NAMES), strict=True):
        ids, weights, cut = vocabulary.gram_vec(name, 60)
        expected = {column + 1: weight for column, weight in zip(row.indices, row.data, strict=True)}
        found = {number: weight for number, weight in zip(ids, weights, strict=True) if number}
        assert found == pytest.approx(expected, rel=1e-6)
        assert not cut


def test_the_heaviest_grams_are_kept_in_the_order_of_the_name() -> None:
    vocabulary = GramVocabulary.of(["a", "b", "c", "d"], [1.0, 3.0, 2.0, 3.0])
    ids, weights, cut = vocabulary.gram_vec("c a b d", 2)
    assert (ids, cut) == ([2, 4], True)
    assert weights == pytest.approx([math.sqrt(0.5)] * 2)


def test_of_equal_weights_the_smaller_id_is_kept() -> None:
    vocabulary = GramVocabulary.of(["a", "b", "c"], [1.0, 1.0, 1.0])
    assert vocabulary.gram_vec("c b a", 2)[0] == [2, 1]


@given(st.text(max_size=40) | st.sampled_from(NAMES), st.integers(1, 50))
def test_vectors_are_always_of_the_length_normalised_and_in_range(name: str, length: int) -> None:
    vocabulary = _vocabulary()
    ids, weights, cut = vocabulary.gram_vec(name, length)
    known = {gram for gram in grams(name) if gram in vocabulary.ids}
    assert len(ids) == len(weights) == length
    assert all(0 <= number < vocabulary.size for number in ids)
    assert cut == (len(known) > length)
    assert sum(1 for number in ids if number) == min(length, len(known))
    assert math.isclose(sum(weight**2 for weight in weights), 1.0 if known else 0.0, rel_tol=1e-6)
    assert all(weight == 0.0 for number, weight in zip(ids, weights, strict=True) if number == 0)


def test_reads_its_file(tmp_path: Path) -> None:
    table = pa.table({"token": ["a", " b"], "documents": [3, 1], "idf": [1.5, 2.0]}, schema=GRAMS_SCHEMA)
    pq.write_table(table, tmp_path / "grams.parquet")
    vocabulary = GramVocabulary.read(tmp_path / "grams.parquet")
    assert vocabulary.ids == {"a": 1, " b": 2}
    assert vocabulary.idf == (0.0, 1.5, 2.0)
    assert vocabulary.size == 3


def _vocabulary() -> GramVocabulary:
    documents: dict[str, int] = {}
    for name in NAMES:
        for gram in set(grams(name)):
            documents[gram] = documents.get(gram, 0) + 1
    kept = sorted(gram for gram, count in documents.items() if count > 1)
    return GramVocabulary.of(kept, [inverse_document_frequency(documents[gram], len(NAMES)) for gram in kept])


@given(st.lists(st.text("가나다 ab1", max_size=30), max_size=8), st.integers(1, 60))
def test_many_names_at_once_are_as_one_by_one(names: list[str], length: int) -> None:
    tokens = sorted({gram for name in ("가나 다ab", "a b1", "가가나", "ab1") for gram in grams(name)})
    vocabulary = GramVocabulary.of(tokens, [1.0 + number / 7 for number in range(len(tokens))])
    ids, weights = vocabulary.matrices(names, length)
    assert ids.shape == weights.shape == (len(names), length)
    for row, name in enumerate(names):
        one_ids, one_weights, _ = vocabulary.gram_vec(name, length)
        assert ids[row].tolist() == one_ids
        assert weights[row].tolist() == pytest.approx(one_weights, rel=1e-6)
