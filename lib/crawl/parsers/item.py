"""What a parser finds: one offer as texts, under the names that offers have everywhere."""

from collections.abc import Mapping
from typing import TypeVar

# Offer field (schemas/products.py; `id` is the mall's own) -> text; `path` is the platform's category, levels by tabs.
Item = Mapping[str, str | None]
FIELDS = (
    "id", "prod_nm", "mall_id", "mall_nm", "price", "image_url", "mall_cat_nm_1", "mall_cat_nm_2", "mall_cat_nm_3",
    "mall_cat_nm_4", "brnd_nm", "maker_nm", "mall_brnd_nm", "mall_maker_nm", "cat_id", "path",
)  # fmt: skip
# A list page shows 20 to 100 offers; a thousand is no page.
MOST_ITEMS = 1000
Row = TypeVar("Row")


class NotParsedError(Exception):
    """A page that is not what its kind promises.

    Attributes:
        code: the reason code of its reject.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def bounded(rows: list[Row]) -> list[Row]:
    """What a page lists, if it is not too much to be a page's.

    Raises:
        NotParsedError: it is.
    """
    if len(rows) > MOST_ITEMS:
        raise NotParsedError("too_many_items")
    return rows
