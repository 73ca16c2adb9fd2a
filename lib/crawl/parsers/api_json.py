"""Search API answers: shop.json with its `items`."""

import html
import re
from typing import Any

from lib.crawl.parsers.item import Item, NotParsedError, bounded
from lib.crawl.parsers.paging import count, is_end, parameters, whole
from lib.crawl.parsers.text import as_text, at, parsed_json

# The API marks the words that were searched for.
_MARK = re.compile(r"</?b>", re.IGNORECASE)
KEYS = {
    "id": "productId", "prod_nm": "title", "mall_id": "mallName", "mall_nm": "mallName", "price": "lprice",
    "image_url": "image", "brnd_nm": "brand", "maker_nm": "maker",
}  # fmt: skip
# The platform's own path, the label spelled out.
PATH_KEYS = tuple(f"category{level}" for level in range(1, 5))


def answer(text: str) -> tuple[int | None, list[Any]]:
    """How many items the whole query has, as the answer says, and the items of this one.

    Raises:
        NotParsedError: it is no answer.
    """
    document = parsed_json(text)
    found = at(document, "items")
    if not isinstance(found, list):
        raise NotParsedError("no_items")
    return whole(at(document, "total")), bounded(found)


def items(text: str, url: str) -> list[Item]:
    """The offers of an answer.

    Raises:
        NotParsedError: it is none, or an empty one although it says that there is something there.
    """
    total, rows = answer(text)
    if not rows and not is_end(total, count(parameters(url).get("start")) or 1):
        raise NotParsedError("empty_answer")
    return [_item(row) for row in rows]


def _item(row: Any) -> Item:
    path = [_clean(at(row, key)) for key in PATH_KEYS]
    return {field: _clean(at(row, key)) for field, key in KEYS.items()} | {
        "path": "\t".join(filter(None, path)) or None
    }


def _clean(value: Any) -> str | None:
    text = as_text(value)
    return None if text is None else unmarked(text)


def unmarked(text: str) -> str:
    """A text of the API without the marks of the words searched for, and without HTML entities."""
    return html.unescape(_MARK.sub("", text))
