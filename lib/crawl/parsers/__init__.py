"""Pages -> offers: each kind of page by the parser of its layout, and nothing by chance.

A page that is not what its kind promises has a code that says so (`NotParsedError`): it becomes a reject, and a site
that was made over is noticed. Another site's layout is a module here and a line in `parse`.
"""

from lib.crawl.parsers import api_json, embedded_json, list_html
from lib.crawl.parsers.item import Item, NotParsedError
from lib.crawl.parsers.text import decoded

__all__ = ["Item", "NotParsedError", "parse"]


def parse(kind: str, body: bytes, content_type: str | None) -> list[Item]:
    """The offers that a page shows, in its order; none where it says itself that it is empty.

    Raises:
        NotParsedError: it is not the page it should be.
    """
    text = decoded(body, content_type)
    if kind == "api":
        return api_json.items(text)
    if kind not in ("list", "product"):
        raise NotParsedError("not_a_page_of_offers")
    data = embedded_json.data(text)
    if data is None:
        if kind == "product":
            raise NotParsedError("no_embedded_data")
        return list_html.items(text)
    return embedded_json.list_items(data) if kind == "list" else embedded_json.product_items(data)
