"""Lists and products from the data embedded in their pages (`__NEXT_DATA__`), which says more than the HTML does."""

import re
from typing import Any

from lib.crawl.parsers.item import Item, NotParsedError, bounded
from lib.crawl.parsers.paging import is_end, page_number, whole
from lib.crawl.parsers.text import as_text, at, parsed_json

# Found as text: the data is most of the page, and a tree of all else is not needed for it.
_OPENING = re.compile(
    r"<script(?=\s[^<>]{0,300}?\bid\s{0,9}=\s{0,9}[\"']?__NEXT_DATA__[\"'\s>])[^<>]{0,500}>", re.IGNORECASE
)
_CLOSING = re.compile(r"</script", re.IGNORECASE)
STATE = ("props", "pageProps", "initialState")
# Offer field <- key of an item.
KEYS = {
    "id": "mallProductId", "prod_nm": "productTitle", "mall_id": "mallNo", "mall_nm": "mallName", "price": "price",
    "image_url": "imageUrl", "mall_cat_nm_1": "mallCategory1", "mall_cat_nm_2": "mallCategory2",
    "mall_cat_nm_3": "mallCategory3", "mall_cat_nm_4": "mallCategory4", "mall_brnd_nm": "mallBrand",
    "mall_maker_nm": "mallMaker", "brnd_nm": "brand", "maker_nm": "maker", "cat_id": "categoryId",
}  # fmt: skip
PATH_KEYS = tuple(f"category{level}Name" for level in range(1, 5))


def data(text: str) -> Any:
    """The data embedded in a page; None where there is none.

    Raises:
        NotParsedError: it is no JSON.
    """
    opening = _OPENING.search(text)
    if opening is None:
        return None
    closing = _CLOSING.search(text, opening.end())
    return parsed_json(text[opening.end() : closing.start() if closing else None])


def products(data: Any) -> Any:
    """The state of a list page: total, pagingIndex, pagingSize, list."""
    return at(data, *STATE, "products")


def list_items(data: Any, url: str) -> list[Item]:
    """The offers of a list page.

    Raises:
        NotParsedError: there is no list in it, or an empty one although it says that there is something there.
    """
    found = products(data)
    rows = at(found, "list")
    if not isinstance(rows, list):
        raise NotParsedError("no_list")
    if not rows and not is_end(whole(at(found, "total")), page_number(url)):
        raise NotParsedError("empty_list")
    return [_item(at(row, "item")) for row in bounded(rows)]


def product_items(data: Any) -> list[Item]:
    """The offer of a product page.

    Raises:
        NotParsedError: there is none in it.
    """
    found = at(data, *STATE, "product", "item")
    if not isinstance(found, dict):
        raise NotParsedError("no_product")
    return [_item(found)]


def _item(row: Any) -> Item:
    path = [as_text(at(row, key)) for key in PATH_KEYS]
    return {field: as_text(at(row, key)) for field, key in KEYS.items()} | {
        "path": "\t".join(filter(None, path)) or None
    }
