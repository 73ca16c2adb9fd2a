"""Lists read from their HTML alone, for pages without embedded data."""

from selectolax.lexbor import LexborHTMLParser, LexborNode

from lib.crawl.parsers.item import Item, NotParsedError, bounded

ROW = "li.product"
LEVELS = 4


def items(text: str) -> list[Item]:
    """The offers of a list page.

    Raises:
        NotParsedError: it shows no list, or an empty one that does not say that there is nothing.
    """
    page = LexborHTMLParser(text)
    rows = page.css(ROW)
    if not rows and page.css_first(".total") is None:
        raise NotParsedError("no_list")
    return bounded([_item(row) for row in rows])


def _item(row: LexborNode) -> Item:
    levels = [*(part.strip() for part in (_text(row, ".mall-category") or "").split(" > ")), "", "", ""]
    picture = row.css_first("img")
    return {
        "id": row.attributes.get("data-mall-product"),
        "prod_nm": _text(row, ".title"),
        "mall_id": row.attributes.get("data-mall"),
        "mall_nm": _text(row, ".mall"),
        "price": _text(row, ".price"),
        "image_url": picture.attributes.get("src") if picture is not None else None,
        **{f"mall_cat_nm_{level}": levels[level - 1] or None for level in range(1, LEVELS + 1)},
        "mall_brnd_nm": _text(row, ".brand"),
        "cat_id": row.attributes.get("data-category"),
    }


def _text(row: LexborNode, selector: str) -> str | None:
    node = row.css_first(selector)
    return (node.text(deep=True).strip() or None) if node is not None else None
