"""Word ids: reserved ones, order, fixed length, refused files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.text.vocabulary import UNKNOWN, Vocabulary, write_words

WORDS = ["신발", "운동화", "나이키"]


def test_ids_follow_the_file_after_the_reserved_ones(tmp_path: Path) -> None:
    write_words(tmp_path / "words.parquet", WORDS, [9, 5, 5])
    vocabulary = Vocabulary.read(tmp_path / "words.parquet")
    assert vocabulary.ids == {"신발": 2, "운동화": 3, "나이키": 4}
    assert vocabulary.counts == (9, 5, 5)
    assert vocabulary.size == 5


def test_token_to_vec_pads_cuts_and_marks_unknown_words() -> None:
    vocabulary = Vocabulary.of(WORDS)
    assert vocabulary.token_to_vec(["나이키", "처음", "신발"], 5) == [4, UNKNOWN, 2, 0, 0]
    assert vocabulary.token_to_vec(["나이키", "처음", "신발"], 2) == [4, UNKNOWN]
    assert vocabulary.token_to_vec([], 3) == [0, 0, 0]


@given(st.lists(st.text(max_size=3) | st.sampled_from(WORDS), max_size=40), st.integers(1, 30))
def test_token_to_vec_is_always_of_the_length_and_in_range(tokens: list[str], length: int) -> None:
    vocabulary = Vocabulary.of(WORDS)
    vector = vocabulary.token_to_vec(tokens, length)
    assert len(vector) == length
    assert all(0 <= number < vocabulary.size for number in vector)
    assert [number == 0 for number in vector] == [place >= len(tokens) for place in range(length)]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"token": ["a"]}), "no vocabulary"),
        (pa.table({"token": ["a"], "count": ["1"]}), "where a vocabulary has"),
        (pa.table({"token": ["a", None], "count": [1, 2]}), "empty values"),
        (pa.table({"token": ["a", "a"], "count": [1, 2]}), "twice"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, table: pa.Table, said: str) -> None:
    pq.write_table(table, tmp_path / "words.parquet")
    with pytest.raises(UserError, match=said):
        Vocabulary.read(tmp_path / "words.parquet")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"jobs/vocabulary\.py"):
        Vocabulary.read(tmp_path / "words.parquet")


@given(st.lists(st.lists(st.sampled_from(["사과", "배", "감", ""]), max_size=6), max_size=8), st.integers(1, 8))
def test_many_rows_at_once_are_as_one_by_one(rows: list[list[str]], length: int) -> None:
    vocabulary = Vocabulary.of(["사과", "감"])
    lists = pa.array([["sliced", "off"], *rows], pa.list_(pa.string())).slice(1)
    found = vocabulary.matrix(lists, length)
    assert found.tolist() == [vocabulary.token_to_vec(row, length) for row in rows]
