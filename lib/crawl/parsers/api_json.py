"""Search API answers: shop.json with its `items`."""

import html
import re
from typing import Any

from lib.crawl.parsers.item import Item, NotParsedError, bounded
from lib.crawl.parsers.text import as_text, at, parsed_json

# The API marks the words that were searched for.
_MARK = re.compile(r"</?b>", re.IGNORECASE)
KEYS = {
    "id": "productId", "prod_nm": "title", "mall_id": "mallName", "mall_nm": "mallName", "price": "lprice",
    "image_url": "image", "brnd_nm": "brand", "maker_nm": "maker",
}  # fmt: skip


def answer(text: str) -> tuple[Any, Any, Any, list[Any]]:
    """total, start, display and items of an answer.

    Raises:
        NotParsedError: it is none.
    """
    document = parsed_json(text)
    found = at(document, "items")
    if not isinstance(found, list):
        raise NotParsedError("no_items")
    return at(document, "total"), at(document, "start"), at(document, "display"), found


def items(text: str) -> list[Item]:
    """The offers of an answer.

    Raises:
        NotParsedError: it is none.
    """
    return bounded([_item(row) for row in answer(text)[3]])


def _item(row: Any) -> Item:
    path = [_clean(at(row, f"category{level}")) for level in range(1, 5)]
    return {field: _clean(at(row, key)) for field, key in KEYS.items()} | {
        "path": "\t".join(filter(None, path)) or None
    }


def _clean(value: Any) -> str | None:
    text = as_text(value)
    return None if text is None else html.unescape(_MARK.sub("", text))
