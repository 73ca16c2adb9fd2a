"""One way to clean a name, used for training and for scoring alike, so that both see the same characters.

Pure Python because Spark has no NFKC; the tokenize job calls it inside its Arrow function.
"""

import html
import re
import unicodedata

# Only entities closed by a semicolon: 'R&Bar' is a name, 'R&amp;B' is a left-over of a mall's page.
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Sellers' pages escape a few times over; hostile text nested deeper than this keeps its innermost entities.
ROUNDS = 8
# NFKC can expand one character to 18; text this many times the limit is cut before it is looked at.
RAW_FACTOR = 8
# What carries no text: formats (zero-width, byte order marks), surrogates, private use.
DROPPED = frozenset({"Cf", "Cs", "Co"})


def normalize(text: str | None, max_length: int) -> str:
    """The text in NFKC and lower case, without control characters and entities, single-spaced and cut.

    Args:
        text: as the mall wrote it; None gives ''.
        max_length: longest result in characters; the text is cut there.

    Returns:
        Text whose only whitespace is the single space between words; '' if nothing is left. Normalising it
        again changes nothing.
    """
    if not text:
        return ""
    current = text[: max_length * RAW_FACTOR]
    if _is_plain(current):
        return current.lower()[:max_length].strip()
    for _ in range(ROUNDS):
        cleaned = _clean(current)
        if cleaned == current:
            break
        current = cleaned
    return current[:max_length].rstrip()


def eojeols(name: str) -> list[str]:
    """The space-separated words of a normalised name."""
    return name.split(" ") if name else []


def _is_plain(text: str) -> bool:
    """Whether the long way would only lower the case and strip: printable ASCII, single spaces, no entity."""
    return text.isascii() and text.isprintable() and "&" not in text and "  " not in text


def _clean(text: str) -> str:
    unescaped = ENTITY.sub(lambda found: html.unescape(found[0]), text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", unescaped).lower())
    if not folded.isprintable():
        folded = "".join(map(_visible, folded))
    return " ".join(folded.split())


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in DROPPED:
        return ""
    return " " if category == "Cc" or category.startswith("Z") else character
