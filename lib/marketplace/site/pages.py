"""The site's pages: the category tree, lists and products, as HTML with their data embedded as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lib.marketplace.offers import Market
from lib.marketplace.site.catalogue import Offer
from lib.marketplace.taxonomy import Leaf

LIST_PATH = "/search/category.nhn"
# Linked from every page, and forbidden by robots.txt: a crawler that asks for them does not read it.
FORBIDDEN = ("/private/cart", "/search/all")
PAGER_REACH = 5
# What a site that was made over calls its data, which no parser knows.
NEW_LAYOUT = {"__NEXT_DATA__": "__APP_STATE__", 'class="product"': 'class="c-tile"', "/search/category.nhn": "/s"}


class Pages:
    """Writes the pages of one month; `address` gives a host's origin: 'platform' or a mall's id."""

    def __init__(self, market: Market, origins: Mapping[str, str]) -> None:
        self._market, self._origins = market, origins
        self._ids, self._names = market.malls.ids.tolist(), market.malls.names.tolist()

    def list_address(self, cat_id: str, page: int = 1, size: int = 40) -> str:
        """A category's list page (R3's parameters)."""
        query = f"cat_id={cat_id}&frm=NVSHCAT&pagingIndex={page}&pagingSize={size}&sort=rel&viewType=list"
        return f"{self._origins['platform']}{LIST_PATH}?{query}"

    def tree(self, leaves: Iterable[Leaf]) -> str:
        """The category tree, or a part of it."""
        items = "".join(
            f'<li><a href="{escape(self.list_address(leaf.cat_id))}">{escape(" > ".join(leaf.path))}</a></li>'
            for leaf in leaves
        )
        return _page("전체 카테고리", f'<ul class="tree">{items}</ul>', None)

    def listing(self, leaf: Leaf, offers: Sequence[Offer], page: int, size: int, total: int, *, endless: bool) -> str:
        """One page of a category's list."""
        items = [self.item(offer) for offer in offers]
        shown_total = total if not endless else max(total, page * size + size)
        data = {
            "props": {"pageProps": {"initialState": {"products": {
                "total": shown_total, "pagingIndex": page, "pagingSize": size,
                "list": [{"item": item} for item in items],
            }}}},
            "page": "/search/category", "query": {"cat_id": leaf.cat_id},
        }  # fmt: skip
        rows = "".join(self._row(item) for item in items)
        last = -(-shown_total // size)
        reach = range(max(1, page - PAGER_REACH), min(last, page + PAGER_REACH) + 1)
        links = "".join(
            f'<a href="{escape(self.list_address(leaf.cat_id, n, size))}">{n}</a>' for n in reach if n != page
        )
        body = (
            f'<p>전체 <span class="total">{shown_total}</span></p><ul class="list">{rows}</ul>'
            f'<div class="pager">{links}</div>'
        )
        return _page(" > ".join(leaf.path), body, data)

    def product(self, offer: Offer) -> str:
        """One offer's page."""
        item = self.item(offer) | {"mallMaker": offer["maker"]}
        data = {"props": {"pageProps": {"initialState": {"product": {"item": item}}}}, "page": "/product"}
        return _page(str(item["productTitle"]), f'<ul class="list">{self._row(item)}</ul>', data)

    def item(self, offer: Offer) -> dict[str, Any]:
        """An offer as the site's data has it."""
        mall = self._ids[offer["mall"]]
        leaf = self._market.taxonomy.leaves[self._leaf_index(offer["naver_category"])]
        path = [*leaf.path, "", "", ""][:4]
        return {
            "id": int(offer["number"]), "productTitle": offer["title"],
            "productUrl": f"{self._origins[mall]}/product/{mall}/{offer['id']}",
            "imageUrl": f"{self._origins[mall]}/pictures/{offer['image_link'].rpartition('/')[2]}",
            "price": int(offer["price_pc"]), "mallNo": mall, "mallName": self._names[offer["mall"]],
            "mallProductId": offer["id"], "mallBrand": offer["brand"], "categoryId": offer["naver_category"],
            **{f"mallCategory{level}": offer[f"category_name{level}"] for level in range(1, 5)},
            **{f"category{level}Name": name for level, name in enumerate(path, start=1)},
        }  # fmt: skip

    def _leaf_index(self, cat_id: str) -> int:
        return int(self._market.taxonomy.cat_ids.searchsorted(cat_id))

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


def _page(title: str, body: str, data: Mapping[str, Any] | None) -> str:
    embedded = ""
    if data is not None:
        # A name may hold '</script>'.
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        embedded = f'<script id="__NEXT_DATA__" type="application/json">{text}</script>'
    others = "".join(f'<a href="{path}">{path}</a>' for path in FORBIDDEN)
    return (
        f'<!doctype html><html lang="ko"><head><meta charset="{{charset}}"><title>{escape(title)}</title></head>'
        f"<body><nav>{others}</nav>{body}{embedded}</body></html>"
    )


def encoded(page: str, charset: str, *, new_layout: bool) -> bytes:
    """The page as it is sent."""
    if new_layout:
        for known, unknown in NEW_LAYOUT.items():
            page = page.replace(known, unknown)
    # What CP949 lacks is written as a character reference, as sites of its time do.
    return page.replace("{charset}", charset, 1).encode(charset, "xmlcharrefreplace")
