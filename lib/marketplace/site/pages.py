"""The site's pages: the category tree, lists and products, as HTML with their data embedded as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lib.marketplace.offers import Market
from lib.marketplace.site.catalogue import Offer
from lib.marketplace.site.robots import FORBIDDEN
from lib.marketplace.taxonomy import Leaf

TREE_PATH, LIST_PATH, API_PATH = "/category/category.nhn", "/search/category.nhn", "/v1/search/shop.json"
# What a list shows at a time where nothing is said (R3).
USUAL_SIZE = 40
PAGER_REACH = 5
# What a site that was made over calls its parts, which no parser knows.
NEW_LAYOUT = {
    "__NEXT_DATA__": "__APP_STATE__", 'class="product"': 'class="c-tile"', 'class="total"': 'class="c-count"',
    LIST_PATH: "/s",
}  # fmt: skip


class Pages:
    """Writes the pages of one month.

    Args:
        origins: 'platform' or a mall's id -> scheme, address and port of its host.
        charset: what pages are encoded in.
        new_layout: whether the site was made over.
    """

    def __init__(
        self, market: Market, origins: Mapping[str, str], charset: str = "utf-8", *, new_layout: bool = False
    ) -> None:
        self._market, self._origins, self._charset, self._new_layout = market, origins, charset, new_layout
        self._ids, self._names = market.malls.ids.tolist(), market.malls.names.tolist()
        self._paths = [(*leaf.path, "", "")[:4] for leaf in market.taxonomy.leaves]
        self._cat_ids = market.taxonomy.cat_ids.tolist()

    def list_address(self, cat_id: str, page: int = 1, size: int = USUAL_SIZE) -> str:
        """A category's list page (R3's parameters)."""
        query = f"cat_id={cat_id}&frm=NVSHCAT&pagingIndex={page}&pagingSize={size}&sort=rel&viewType=list"
        return f"{self._origins['platform']}{LIST_PATH}?{query}"

    def product_address(self, mall_id: str, own_id: str) -> str:
        """A product page."""
        return f"{self._origins[mall_id]}/product/{mall_id}/{own_id}"

    def picture_address(self, mall_id: str, file: str) -> str:
        """A picture, which lies at the mall."""
        return f"{self._origins[mall_id]}/pictures/{file}"

    def tree(self, leaves: Iterable[Leaf]) -> bytes:
        """The category tree, or a part of it."""
        items = "".join(
            f'<li><a href="{escape(self.list_address(leaf.cat_id))}">{escape(" > ".join(leaf.path))}</a></li>'
            for leaf in leaves
        )
        return self._page("전체 카테고리", f'<ul class="tree">{items}</ul>', None)

    def listing(self, leaf: Leaf, offers: Sequence[Offer], page: int, size: int, total: int) -> bytes:
        """One page of a category's list, of `total` offers in all."""
        items = [self.item(offer) for offer in offers]
        data = {
            "props": {"pageProps": {"initialState": {"products": {
                "total": total, "pagingIndex": page, "pagingSize": size, "list": [{"item": item} for item in items],
            }}}},
            "page": "/search/category", "query": {"cat_id": leaf.cat_id},
        }  # fmt: skip
        reach = range(max(1, page - PAGER_REACH), min(-(-total // size), page + PAGER_REACH) + 1)
        links = "".join(
            f'<a href="{escape(self.list_address(leaf.cat_id, number, size))}">{number}</a>'
            for number in reach
            if number != page
        )
        rows = "".join(map(self._row, items))
        pager = f'<div class="pager"><span class="total">{total}</span>{links}</div>'
        return self._page(" > ".join(leaf.path), f'<ul class="list">{rows}</ul>{pager}', data)

    def product(self, offer: Offer) -> bytes:
        """One offer's page."""
        item = self.item(offer) | {"mallMaker": offer.maker}
        data = {"props": {"pageProps": {"initialState": {"product": {"item": item}}}}, "page": "/product"}
        return self._page(offer.title, f'<ul class="list">{self._row(item)}</ul>', data)

    def forbidden(self, path: str) -> bytes:
        """What robots.txt forbids and a robot that does not read it gets."""
        return self._page(path, "<p>로봇은 들어오지 마세요.</p>", None)

    def item(self, offer: Offer) -> dict[str, Any]:
        """An offer as the site's data has it."""
        mall = self._ids[offer.mall]
        return {
            "id": offer.number, "productTitle": offer.title, "productUrl": self.product_address(mall, offer.own_id),
            "imageUrl": self.picture_address(mall, f"{offer.picture}.jpg"), "price": offer.price, "mallNo": mall,
            "mallName": self._names[offer.mall], "mallProductId": offer.own_id, "mallBrand": offer.brand,
            "categoryId": self._cat_ids[offer.given],
            **{f"mallCategory{level}": name for level, name in enumerate(offer.categories, start=1)},
            **{f"category{level}Name": name for level, name in enumerate(self._paths[offer.given], start=1)},
        }  # fmt: skip

    def _row(self, item: Mapping[str, Any]) -> str:
        category = " > ".join(filter(None, (item[f"mallCategory{level}"] for level in range(1, 5))))
        return (
            f'<li class="product" data-mall="{escape(item["mallNo"])}" '
            f'data-mall-product="{escape(item["mallProductId"])}" data-category="{escape(item["categoryId"])}">'
            f'<a class="title" href="{escape(item["productUrl"])}">{escape(item["productTitle"])}</a>'
            f'<span class="price">{item["price"]:,}원</span><span class="mall">{escape(item["mallName"])}</span>'
            f'<span class="brand">{escape(item["mallBrand"])}</span>'
            f'<span class="mall-category">{escape(category)}</span><img src="{escape(item["imageUrl"])}" alt=""></li>'
        )

    def _page(self, title: str, body: str, data: Mapping[str, Any] | None) -> bytes:
        others = "".join(f'<a href="{path}">{path}</a>' for path in FORBIDDEN)
        page = (
            f'<!doctype html><html lang="ko"><head><meta charset="{self._charset}"><title>{escape(title)}</title>'
            f"</head><body><nav>{others}</nav>{body}{self._embedded(data)}</body></html>"
        )
        if self._new_layout:
            for known, unknown in NEW_LAYOUT.items():
                page = page.replace(known, unknown)
        # What CP949 lacks is written as a character reference, as sites of its time do.
        return page.encode(self._charset, "xmlcharrefreplace")

    def _embedded(self, data: Mapping[str, Any] | None) -> str:
        if data is None:
            return ""
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        if not _has(self._charset, text):
            # A script has no character references; JSON has escapes of its own.
            text = "".join(letter if _has(self._charset, letter) else json.dumps(letter)[1:-1] for letter in text)
        # A name may hold '</script>'.
        text = text.replace("<", "\\u003c")
        return f'<script id="__NEXT_DATA__" type="application/json">{text}</script>'


def _has(charset: str, text: str) -> bool:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True
