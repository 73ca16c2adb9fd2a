"""Cells of a sheet that people open in a spreadsheet: names are strangers' text, and must be text there too.

A spreadsheet runs what begins with = + - @ (also after white space, also in full width), and turns what looks like a
number, a time or a date into another one ('1:5' into 01:05). An apostrophe in front keeps both as they are
(OWASP, CSV Injection); reading a sheet back takes off exactly what was put on. One that separates by semicolons, as in
many countries, begins a cell within ours, and a row at a line's end: an apostrophe stands there, too.
"""

import re
import unicodedata

FORMULA = frozenset("=+-@＝＋－＠")
REWRITTEN = re.compile(r"[0-9eE:./, -]+")
# What begins a formula after another spreadsheet's separator, before and after it was neutralised.
_BEFORE = r"(?=[ \"]*[=+\-@＝＋－＠])"
WITHIN = re.compile(rf"([;\t\r\n])('*){_BEFORE}")
NEUTRALISED_WITHIN = re.compile(rf"([;\t\r\n])'('*){_BEFORE}")


def neutralised(text: str) -> str:
    """The text as a cell that no spreadsheet runs or rewrites."""
    cell = WITHIN.sub(r"\1'\2", text)
    return f"'{cell}" if _is_risky(cell.lstrip("'")) else cell


def plain(cell: str) -> str:
    """The text that `neutralised` made the cell of."""
    text = cell[1:] if cell.startswith("'") and _is_risky(cell.lstrip("'")) else cell
    return NEUTRALISED_WITHIN.sub(r"\1\2", text)


def shown(text: str, length: int) -> str:
    """A stranger's text as one line of at most `length` characters, without what cannot be seen."""
    visible = "".join(" " if _is_unseen(character) else character for character in text)
    return " ".join(visible.split())[:length]


def _is_risky(text: str) -> bool:
    if text.startswith(("\t", "\r", "\n")) or REWRITTEN.fullmatch(text):
        return True
    first = next((one for one in text if not one.isspace() and not _is_unseen(one)), "")
    return first in FORMULA


def _is_unseen(character: str) -> bool:
    """Control and format characters, such as marks that turn the direction of writing; lone surrogates."""
    return unicodedata.category(character).startswith("C")
