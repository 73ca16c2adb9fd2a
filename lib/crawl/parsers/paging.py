"""Which page of a list (R3's parameters) an address asks for, and whether a list goes so far."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

PAGE, SIZE = "pagingIndex", "pagingSize"
# What an address without it means.
USUAL_SIZE = 40


def parameters(url: str) -> dict[str, str]:
    """The address's query; of a repeated name the last value."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def count(text: str | None) -> int | None:
    """A number from 1 to 99,999; None for anything else."""
    digits = text is not None and text.isascii() and text.isdigit() and len(text) < 6
    return (int(text) or None) if text is not None and digits else None


def page_number(url: str) -> int:
    """The page that the address asks for."""
    return count(parameters(url).get(PAGE)) or 1


def page_size(url: str) -> int:
    """How many offers it asks for."""
    return count(parameters(url).get(SIZE)) or USUAL_SIZE


def whole(value: Any) -> int | None:
    """A number of JSON that counts something; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def is_end(total: int | None, place: int) -> bool:
    """Whether a page without offers is one past the end, or of a list of none; else something is there and not found.

    Only the first page is held to the total: of later ones lists promise more than they have, some without end.

    Args:
        total: how long the list says it is; None where it does not.
        place: number of the page or of its first offer, from 1.
    """
    return total is not None and (total == 0 or place > 1)
