"""Answered sheets that are not what they should be are refused whole, in one sentence."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config import ReviewSettings
from lib.errors import UserError
from lib.review.handed_in import Asked, checked_reviewer, read_answers

ASKED = Asked("review 2026-01", "2026-01", frozenset({"m:1", "m:2", "m:3"}), frozenset({"100", "200"}))
SETTINGS = ReviewSettings(max_rows=5, max_cell=40)
HEAD = "sheet,product_id,cat_id,remark\n"


def line(product_id: str, cat_id: str, remark: str = "", sheet: str = ASKED.sheet) -> str:
    return f"{sheet},{product_id},{cat_id},{remark}\n"


ONE = line("m:1", "100")
BAD = {
    "another month": (line("m:1", "100", sheet="review 2025-12"), "'review 2025-12', and you hand in 'review 2026-01'"),
    "another kind": (line("m:1", "100", sheet="audit 2026-01"), "line 2: .* 'audit 2026-01', and you hand in 'review"),
    "unknown product": (
        ONE + line("m:9", "100") + line("m:8", "999"),
        "2 rows cannot be taken, the first in line 3: product 'm:9' was not sent to people in 2026-01; .*nothing of it",
    ),
    "doubled": (ONE + ONE, "1 row cannot be taken, the first in line 3: product 'm:1' is answered twice"),
    "unknown category": (line("m:1", "300"), "'300' is no living category of 2026-01"),
    "long cell": (line("m:1", "100", "x" * 41), "line 2: a cell has more than 40 characters"),
    "ragged": ("review 2026-01,m:1,100\n", "line 2: 3 cells where the first line names 4"),
    "too many rows": (line("m:1", "") * 6, r"more than 5 rows \(review.max_rows\)"),
    "no answers": (line("m:1", ""), "has no answers"),
    "quotes": ('review 2026-01,"m:1"x,100,\n', "is no CSV"),
    "too large": (line("m:1", "100", "x" * 300), "has 355 bytes, more than .* = 200; is it a sheet"),
}
BAD_HEADS = {
    "no column": (HEAD.replace("cat_id", "answer") + ONE, "the first line must name .* cat_id is not there once"),
    "column twice": (HEAD.replace("remark", "cat_id") + ONE, "cat_id is not there once"),
    "semicolons": ((HEAD + ONE).replace(",", ";"), "separated by commas"),
    "empty": ("", "the first line must name"),
}
SHEETS = {name: (HEAD + text, words) for name, (text, words) in BAD.items()} | BAD_HEADS


@pytest.mark.parametrize(("text", "words"), SHEETS.values(), ids=SHEETS.keys())
def test_a_bad_sheet_is_refused(tmp_path: Path, text: str, words: str) -> None:
    place = tmp_path / "answers.csv"
    place.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words) as raised:
        read_answers(place, ASKED, SETTINGS)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["cp949", "utf-16"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    place = tmp_path / "answers.csv"
    place.write_text(HEAD + line("m:1", "100", "사과"), encoding=encoding)
    with pytest.raises(UserError, match="is not UTF-8 text; save the sheet as 'CSV UTF-8'"):
        read_answers(place, ASKED, SETTINGS)


@pytest.mark.parametrize(
    ("name", "words"), [("", "no such file"), ("x" * 300, r"cannot be read \(File name too long\)")]
)
def test_a_sheet_that_is_not_there_is_named(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_answers(tmp_path / name, ASKED, SETTINGS)


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_any_bytes_are_one_sentence(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    place = tmp_path_factory.getbasetemp() / "any.csv"
    for content in (body, HEAD.encode() + body, (HEAD + ASKED.sheet).encode() + b"," + body):
        place.write_bytes(content)
        said = None
        try:
            answers = read_answers(place, ASKED, SETTINGS)
        except UserError as error:
            answers, said = [], str(error)
        assert {one.product_id for one in answers} <= ASKED.product_ids
        assert (said is None) == bool(answers)
        assert said is None or "\n" not in said


@pytest.mark.parametrize("reviewer", [None, "", " kim", "kim\n", "k" * 101, "ki\u202em"])
def test_a_reviewer_has_a_name(reviewer: str | None) -> None:
    with pytest.raises(UserError, match="--reviewer"):
        checked_reviewer(reviewer)
    assert checked_reviewer("김 하나") == "김 하나"
    # As names of files are on some systems.
    assert checked_reviewer(unicodedata.normalize("NFD", "김 하나")) == "김 하나"
