"""The search API of the site: /v1/search/shop.json with its parameters, its 14 fields and its errors."""

import os
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache
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
# What a query finds is kept for its further pages: 1,100 slots each.
KEPT_QUERIES = 256
Refusal = tuple[int, dict[str, str]]


def refusal(status: int, code: str, message: str) -> Refusal:
    """An error as the API words it."""
    return status, {"errorMessage": message, "errorCode": code}


def now_in_korea() -> datetime:
    """The time by which the API's days begin and end."""
    return datetime.now(KST)


class SearchApi:
    """Answers of one month, with a quota of requests for each day that the server lives."""

    def __init__(
        self, catalogue: Catalogue, pages: Pages, daily_quota: int, clock: Callable[[], datetime] = now_in_korea
    ) -> None:
        self._catalogue, self._pages, self._quota, self._clock = catalogue, pages, daily_quota, clock
        self._day, self._asked = date.min, 0
        self._ranked = lru_cache(KEPT_QUERIES)(self._rank)
        self._leaves_of: dict[str, set[int]] = {}
        for index, leaf in enumerate(catalogue.market.taxonomy.leaves):
            for word in (*leaf.path, *leaf.thing.words, *leaf.modifier_words):
                self._leaves_of.setdefault(word.lower(), set()).add(index)

    def answer(self, headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and JSON."""
        known = (os.environ.get("CATMATCH_SITE_CLIENT_ID", "site-id"),
                 os.environ.get("CATMATCH_SITE_CLIENT_SECRET", "site-secret"))  # fmt: skip
        if (headers.get("x-naver-client-id"), headers.get("x-naver-client-secret")) != known:
            return refusal(401, "024", "Not Exist Client ID : Authentication failed.")
        if not self._within_quota():
            return refusal(429, "010", "Query limit exceeded.")
        return self._page(query)

    def _within_quota(self) -> bool:
        today = self._clock().date()
        if today != self._day:
            self._day, self._asked = today, 0
        self._asked += 1
        return self._asked <= self._quota

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
        total, slots = self._ranked(wanted.lower(), sort)
        items = [self._item(offer, wanted) for offer in self._catalogue.offers(slots[start - 1 : start - 1 + display])]
        built = format_datetime(self._clock())
        return 200, {"lastBuildDate": built, "total": total, "start": start, "display": len(items), "items": items}

    def _rank(self, wanted: str, sort: str) -> tuple[int, Integers]:
        """How many offers are found, and the slots of the first that can be asked for."""
        leaves = self._leaves(wanted)
        slots = np.concatenate([self._catalogue.slots(leaf) for leaf in leaves]) if leaves else np.array([], np.int64)
        if sort == "date":
            slots = np.sort(slots)[::-1]
        elif sort != "sim" and len(slots):
            order = np.argsort(self._catalogue.prices(slots), kind="stable")
            slots = slots[order if sort == "asc" else order[::-1]]
        return len(slots), slots[: LAST_START + MOST_DISPLAY].copy()

    def _leaves(self, wanted: str) -> list[int]:
        """The categories that the query names as a whole, else by all its words that name any, else by one of them."""
        named = self._leaves_of.get(wanted)
        if named is not None:
            return sorted(named)
        by_word = [self._leaves_of[word] for word in wanted.split() if word in self._leaves_of]
        if not by_word:
            return []
        return sorted(set.intersection(*by_word) or set.union(*by_word))

    def _item(self, offer: Offer, wanted: str) -> dict[str, str]:
        item = self._pages.item(offer)
        return {
            "title": _marked(offer.title, wanted), "link": item["productUrl"], "image": item["imageUrl"],
            "lprice": str(offer.price), "hprice": "", "mallName": item["mallName"], "productId": str(offer.number),
            "productType": PRODUCT_TYPE, "brand": offer.brand, "maker": offer.maker,
            **{f"category{level}": item[f"category{level}Name"] for level in range(1, 5)},
        }  # fmt: skip


def _marked(title: str, wanted: str) -> str:
    """The title as HTML, with the query in bold."""
    parts = re.split(f"({re.escape(wanted)})", title, flags=re.IGNORECASE)
    return "".join(f"<b>{escape(part)}</b>" if place % 2 else escape(part) for place, part in enumerate(parts))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
