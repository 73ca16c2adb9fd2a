"""Lists read from their HTML alone, for pages without embedded data."""

import re
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from lib.crawl.parsers.item import Item, NotParsedError, bounded
from lib.crawl.parsers.paging import is_end, page_number
from lib.crawl.parsers.tree import html_tree

ROW = "li.product"
# Each would hold the text of all within it: a page of a megabyte would become gigabytes.
NESTED = f"{ROW} {ROW}"
LEVELS = 4
_NUMBER = re.compile(r"[0-9][0-9,]{0,15}", re.ASCII)


def items(text: str, url: str) -> list[Item]:
    """The offers of a list page.

    Raises:
        NotParsedError: it shows no list, an empty one although it says that there is something there, or products
            within products.
    """
    page = html_tree(text)
    if page.css_first(NESTED) is not None:
        raise NotParsedError("nested_items")
    rows = bounded(page.css(ROW))
    length = total(page)
    if not rows and length is None:
        raise NotParsedError("no_list")
    if not rows and not is_end(length, page_number(url)):
        raise NotParsedError("empty_list")
    return [_item(row, url) for row in rows]


def total(page: LexborHTMLParser) -> int | None:
    """How long the whole list is, as the page says."""
    node = page.css_first(".total")
    found = _NUMBER.search(node.text(deep=True)) if node is not None else None
    return int(found[0].replace(",", "")) if found else None


def _item(row: LexborNode, url: str) -> Item:
    levels = [*(part.strip() for part in (_text(row, ".mall-category") or "").split(" > ")), "", "", ""]
    return {
        "id": row.attributes.get("data-mall-product"),
        "prod_nm": _text(row, ".title"),
        "mall_id": row.attributes.get("data-mall"),
        "mall_nm": _text(row, ".mall"),
        "price": _text(row, ".price"),
        "image_url": _picture(row, url),
        **{f"mall_cat_nm_{level}": levels[level - 1] or None for level in range(1, LEVELS + 1)},
        "mall_brnd_nm": _text(row, ".brand"),
        "cat_id": row.attributes.get("data-category"),
    }


def _picture(row: LexborNode, url: str) -> str | None:
    """The picture's address; None where it is none."""
    node = row.css_first("img[src]")
    try:
        return urljoin(url, node.attributes.get("src") or "") if node is not None else None
    except ValueError:
        return None


def _text(row: LexborNode, selector: str) -> str | None:
    """The element's text as it is shown: in one line."""
    node = row.css_first(selector)
    return (" ".join(node.text(deep=True).split()) or None) if node is not None else None
