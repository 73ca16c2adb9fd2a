"""The search API of the site: /v1/search/shop.json with its parameters, its 14 fields and its errors."""

import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from html import escape
from typing import Any

import numpy as np

from lib.marketplace.chance import Integers
from lib.marketplace.site.catalogue import Catalogue, Offer
from lib.marketplace.site.pages import Pages

MOST_DISPLAY, LAST_START = 100, 1000
SORTS = ("sim", "date", "asc", "dsc")
KST = timezone(timedelta(hours=9))
# A price comparison's own number; the embedded market has single offers only (reference: productType 2).
PRODUCT_TYPE = "2"
Refusal = tuple[int, dict[str, str]]


def refusal(status: int, code: str, message: str) -> Refusal:
    """An error as the API words it."""
    return status, {"errorMessage": message, "errorCode": code}


class SearchApi:
    """Answers of one month, with a quota for as long as the server lives."""

    def __init__(self, catalogue: Catalogue, pages: Pages, daily_quota: int) -> None:
        self._catalogue, self._pages, self._left = catalogue, pages, daily_quota
        leaves = catalogue.market.taxonomy.leaves
        self._leaves_of: dict[str, list[int]] = {}
        for index, leaf in enumerate(leaves):
            for word in dict.fromkeys([leaf.path[-1], *leaf.thing.words, *leaf.path]):
                self._leaves_of.setdefault(word.lower(), []).append(index)

    def answer(self, headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and JSON."""
        known = (os.environ.get("CATMATCH_SITE_CLIENT_ID", "site-id"),
                 os.environ.get("CATMATCH_SITE_CLIENT_SECRET", "site-secret"))  # fmt: skip
        if (headers.get("x-naver-client-id"), headers.get("x-naver-client-secret")) != known:
            return refusal(401, "024", "Not Exist Client ID : Authentication failed.")
        if self._left <= 0:
            return refusal(429, "010", "Query limit exceeded.")
        self._left -= 1
        return self._page(query)

    def _page(self, query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        wanted = query.get("query", "").strip()
        display, start = _number(query.get("display", "10")), _number(query.get("start", "1"))
        sort = query.get("sort", "sim")
        if not wanted:
            return refusal(400, "SE01", "Incorrect query request (잘못된 쿼리요청입니다.)")
        if display is None or not 1 <= display <= MOST_DISPLAY:
            return refusal(400, "SE02", "Invalid display value (부적절한 display 값입니다.)")
        if start is None or not 1 <= start <= LAST_START:
            return refusal(400, "SE03", "Invalid start value (부적절한 start 값입니다.)")
        if sort not in SORTS:
            return refusal(400, "SE04", "Invalid sort value (부적절한 sort 값입니다.)")
        slots = self._sorted(self._found(wanted), sort)
        items = [self._item(offer, wanted) for offer in self._catalogue.offers(slots[start - 1 : start - 1 + display])]
        now = datetime.now(KST).strftime("%a, %d %b %Y %H:%M:%S +0900")
        return 200, {"lastBuildDate": now, "total": len(slots), "start": start, "display": len(items), "items": items}

    def _found(self, wanted: str) -> Integers:
        """Slots of the categories that the query names, as a whole or by one of its words."""
        leaves = self._leaves_of.get(wanted.lower())
        if leaves is None:
            leaves = sorted({leaf for word in wanted.lower().split() for leaf in self._leaves_of.get(word, [])})
        found = [self._catalogue.slots(leaf) for leaf in leaves]
        return np.concatenate(found) if found else np.array([], dtype=np.int64)

    def _sorted(self, slots: Integers, sort: str) -> Integers:
        if sort == "sim" or not len(slots):
            return slots
        if sort == "date":
            return np.sort(slots)[::-1]
        order = np.argsort(self._catalogue.prices(slots), kind="stable")
        return slots[order if sort == "asc" else order[::-1]]

    def _item(self, offer: Offer, wanted: str) -> dict[str, str]:
        item = self._pages.item(offer)
        title = escape(str(item["productTitle"]), quote=False)
        marked = re.sub(f"({re.escape(escape(wanted, quote=False))})", r"<b>\1</b>", title)
        return {
            "title": marked, "link": str(item["productUrl"]), "image": str(item["imageUrl"]),
            "lprice": str(item["price"]), "hprice": "", "mallName": str(item["mallName"]),
            "productId": str(item["id"]), "productType": PRODUCT_TYPE, "brand": str(item["mallBrand"]),
            "maker": str(offer["maker"]),
            **{f"category{level}": str(item[f"category{level}Name"]) for level in range(1, 5)},
        }  # fmt: skip


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
