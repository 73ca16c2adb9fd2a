"""No cell is a formula or is rewritten, and each comes back as it was."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.review.cells import neutralised, plain, shown

TEXTS = st.text() | st.text(alphabet="'=+-@;\"\t\r\n ＝\u200b\u202e\ufeff0123:./aE", max_size=6)


@given(TEXTS)
def test_a_cell_is_no_formula_and_comes_back(text: str) -> None:
    cell = neutralised(text)
    assert plain(cell) == text
    assert cell[:1] not in "=+-@\t\r\n＝＋－＠" or not cell
    assert cell.lstrip()[:1] not in "=+-@＝＋－＠" or not cell.lstrip()
    assert not re.search(r"[;\t\r\n][ \"]*[=+\-@＝＋－＠]", cell)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "  =1",
        "\u00a0=1",
        "\u200b=1",
        "＝1",
        "1:5",
        "2026-01",
        "0100",
        "1E5",
    ],
)
def test_what_a_spreadsheet_would_run_or_rewrite_is_text(text: str) -> None:
    assert neutralised(text) == f"'{text}"


def test_what_another_separator_would_make_a_cell_of_is_text() -> None:
    assert neutralised("사과;=cmd|'/C calc'!A0;배") == "사과;'=cmd|'/C calc'!A0;배"
    assert neutralised('m:1\n "=1') == "m:1\n' \"=1"
    assert neutralised("사과; 배 - 선물") == "사과; 배 - 선물"


@pytest.mark.parametrize("text", ["", "사과", "m:1", "3+1 사과", "'사과'", "-", "- 사과"])
def test_other_text_stays(text: str) -> None:
    assert (neutralised(text) == text) == (not text.startswith("-"))


@given(st.text(), st.integers(0, 20))
def test_a_shown_text_is_one_visible_line(text: str, length: int) -> None:
    found = shown(text, length)
    assert len(found) <= length
    assert not any(ord(character) < 32 or character in "\u202e\u200b\ufeff\x7f" for character in found)
    assert next(csv.reader(io.StringIO(f'"{found.replace(chr(34), chr(34) * 2)}"')), [""]) == [found]
