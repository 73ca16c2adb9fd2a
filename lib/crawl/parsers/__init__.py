"""Pages -> offers: each kind of page by the parser of its layout, and nothing by chance.

A page that is not what its kind promises has a code that says so (`NotParsedError`): it becomes a reject, and a site
that was made over is noticed. Another site's layout is a module here and a line in `parse`.
"""

from lib.crawl.parsers import api_json, embedded_json, list_html
from lib.crawl.parsers.item import Item, NotParsedError
from lib.crawl.parsers.text import decoded

__all__ = ["REVISION", "Item", "NotParsedError", "parse"]
# Raised by hand when a parser finds something else in a page: the pages of a month are then parsed again.
REVISION = 1


def parse(kind: str, url: str, body: bytes, content_type: str | None) -> list[Item]:
    """The offers that a page shows, in its order; none where it says itself that it is empty.

    Args:
        url: its address, which tells the page of a list.

    Raises:
        NotParsedError: it is not the page it should be.
    """
    text = decoded(body, content_type)
    if kind == "api":
        return api_json.items(text, url)
    if kind == "list":
        return _list_items(text, url)
    if kind != "product":
        raise NotParsedError("not_a_page_of_offers")
    data = embedded_json.data(text)
    if data is None:
        raise NotParsedError("no_embedded_data")
    return embedded_json.product_items(data)


def _list_items(text: str, url: str) -> list[Item]:
    """From the embedded data, which says more; from the HTML where that is no list."""
    try:
        data = embedded_json.data(text)
        if data is not None:
            return embedded_json.list_items(data, url)
    except NotParsedError as error:
        try:
            return list_html.items(text, url)
        except NotParsedError:
            raise error from None
    return list_html.items(text, url)
