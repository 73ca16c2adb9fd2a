"""A month's offers as a site looks them up: by category in order, and by mall and number.

Only which slot lies where is held for all offers; names and prices are made when a page shows them, whole blocks at a
time while the market is small enough to keep what was made.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from lib.marketplace import feed
from lib.marketplace.chance import Integers
from lib.marketplace.offers import Market

BLOCK_SLOTS = 512
# Some 250,000 offers of about a kilobyte; a larger market makes each page's offers anew, in some milliseconds.
KEPT_BLOCKS = 512
FIRST_OWN_ID = 1001
FIRST_NUMBER = 10_000_000_000
GENERATIONS = 1000
Offer = dict[str, Any]


class Catalogue:
    """The offers of one month."""

    def __init__(self, market: Market, month: str) -> None:
        self.market, self.month = market, month
        self.size = market.settings.offers_per_month
        given = market.listings(month, np.arange(self.size)).given
        self._order = np.argsort(given, kind="stable")
        self._starts = np.searchsorted(given[self._order], np.arange(len(market.taxonomy) + 1))
        self._leaf_of = {cat_id: leaf for leaf, cat_id in enumerate(market.taxonomy.cat_ids.tolist())}
        self._mall_of = {mall: place for place, mall in enumerate(market.malls.ids.tolist())}
        self._small = self.size <= BLOCK_SLOTS * KEPT_BLOCKS
        self._block = lru_cache(KEPT_BLOCKS)(self._make_block)

    def leaf(self, cat_id: str) -> int | None:
        """Index of the leaf with that id."""
        return self._leaf_of.get(cat_id)

    def slots(self, leaf: int) -> Integers:
        """Slots of the offers that their malls file under the leaf, in the order of its list."""
        found: Integers = self._order[self._starts[leaf] : self._starts[leaf + 1]]
        return found

    def slots_of_mall(self, mall_id: str) -> Integers | None:
        """Slots of all offers of a mall; None where there is no such mall."""
        mall = self._mall_of.get(mall_id)
        if mall is None:
            return None
        return np.flatnonzero(self.market.listings(self.month, np.arange(self.size)).mall == mall)

    def offers(self, slots: Integers) -> list[Offer]:
        """Columns of the EP feed and `mall` (index), `number` (the platform's), one dict an offer."""
        if not self._small:
            return self._make(slots)
        return [self._block(slot // BLOCK_SLOTS)[slot % BLOCK_SLOTS] for slot in slots.tolist()]

    def prices(self, slots: Integers) -> Integers:
        """Won, without the names."""
        return feed.prices(self.market, self.month, self.market.listings(self.month, slots))

    def offer(self, mall_id: str, own_id: str) -> Offer | None:
        """The mall's offer of that number."""
        number = own_id.partition("-")[0]
        if mall_id not in self._mall_of or not (number.isascii() and number.isdigit() and len(number) < 12):
            return None
        first = 2 * (int(number) - FIRST_OWN_ID)
        slots = np.array([slot for slot in (first, first + 1) if 0 <= slot < self.size], dtype=np.int64)
        wanted = (self._mall_of[mall_id], own_id)
        return next((offer for offer in self.offers(slots) if (offer["mall"], offer["id"]) == wanted), None)

    def _make_block(self, block: int) -> list[Offer]:
        return self._make(np.arange(block * BLOCK_SLOTS, min(self.size, (block + 1) * BLOCK_SLOTS)))

    def _make(self, slots: Integers) -> list[Offer]:
        if not len(slots):
            return []
        made = feed.offers(self.market, self.month, slots)
        made["number"] = FIRST_NUMBER + slots * GENERATIONS + self.market.listings(self.month, slots).generation
        return [{str(name): value for name, value in row.items()} for row in made.to_dict("records")]
