"""A month's offers as a site looks them up: by category in order, and by mall and number.

Only which slot lies where is held for all offers, some 20 bytes each; names and prices are made when a page shows them,
a stretch of a category's list at a time, and the stretches used last are kept.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.marketplace import ep
from lib.marketplace.chance import Integers
from lib.marketplace.offers import Listings, Market

# Making one offer takes some 5 ms and 512 take 15: what is made for the first page of a list serves the next eleven.
STRETCH = 512
# Some 130,000 offers of half a kilobyte. Of a larger market a crawl walks through one category after the other.
KEPT_STRETCHES = 256
# Offers whose places are worked out at once, so that two million need no more memory while than after it.
RANGE = 100_000
FIRST_OWN_ID = 1001
# The platform numbers offers in a range of its own, as high as the real one's.
FIRST_NUMBER = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer as its mall lists it.

    Attributes:
        number: the platform's.
        mall, given: indexes of the mall and of the leaf that it says.
        own_id: the mall's.
        picture: number of its picture.
        categories: the mall's four levels, '' where absent.
    """

    number: int
    mall: int
    given: int
    own_id: str
    title: str
    price: int
    picture: int
    categories: tuple[str, str, str, str]
    brand: str
    maker: str


class Catalogue:
    """The offers of one month."""

    def __init__(self, market: Market, month: str) -> None:
        self.market, self.month = market, month
        self.size = market.settings.offers_per_month
        given, self._mall = self._where()
        self._order = np.argsort(given, kind="stable").astype(np.int32)
        self._starts = np.searchsorted(given[self._order], np.arange(len(market.taxonomy) + 1))
        self._place = np.empty(self.size, np.int32)
        self._place[self._order] = np.arange(self.size, dtype=np.int32)
        self._leaf_of = {cat_id: leaf for leaf, cat_id in enumerate(market.taxonomy.cat_ids.tolist())}
        self._mall_of = {mall: place for place, mall in enumerate(market.malls.ids.tolist())}
        self._stretches: OrderedDict[int, list[Offer]] = OrderedDict()

    def leaf(self, cat_id: str) -> int | None:
        """Index of the leaf with that id."""
        return self._leaf_of.get(cat_id)

    def length(self, leaf: int) -> int:
        """How many offers their malls file under the leaf."""
        return int(self._starts[leaf + 1] - self._starts[leaf])

    def slots(self, leaf: int) -> Integers:
        """Their slots, in the order of the leaf's list."""
        return self._order[self._starts[leaf] : self._starts[leaf + 1]].astype(np.int64)

    def listed(self, leaf: int, start: int, end: int) -> list[Offer]:
        """The offers at places start (from 0) to end of the leaf's list; fewer where it is shorter."""
        first = int(self._starts[leaf])
        return [self._at(place) for place in range(first + start, min(first + end, int(self._starts[leaf + 1])))]

    def offers(self, slots: Integers) -> list[Offer]:
        """The offers of the slots, in their order."""
        return [self._at(place) for place in self._place[slots].tolist()]

    def offer(self, mall_id: str, own_id: str) -> Offer | None:
        """The mall's offer of that number."""
        number = own_id.partition("-")[0]
        mall = self._mall_of.get(mall_id)
        if mall is None or not (number.isascii() and number.isdigit() and len(number) < 12):
            return None
        first = 2 * (int(number) - FIRST_OWN_ID)
        slots = [slot for slot in (first, first + 1) if 0 <= slot < self.size and self._mall[slot] == mall]
        return next((offer for offer in map(self._alone, slots) if offer.own_id == own_id), None)

    def feed(self, mall_id: str, rows: int) -> Iterator[dict[str, list[str]]] | None:
        """All offers of a mall as columns of its EP feed, so many rows at a time; None where there is no such mall."""
        mall = self._mall_of.get(mall_id)
        if mall is None:
            return None
        slots = np.flatnonzero(self._mall == mall)
        pieces = (self._listings(slots[start : start + rows]) for start in range(0, len(slots), rows))
        return (
            {name: list(map(str, column)) for name, column in ep.columns(self.market, self.month, at).items()}
            for at in pieces
        )

    def prices(self, slots: Integers) -> Integers:
        """Won, without the names."""
        return ep.prices(self.market, self.month, self._listings(slots))

    def has_picture(self, number: int) -> bool:
        """Whether a product with that picture is or was sold by the month."""
        item, generation = divmod(number, ep.GENERATIONS)
        slot = self.market.first_slot(item)
        if not 0 <= slot < self.size:
            return False
        return generation <= int(self._listings(np.array([slot])).generation[0])

    def _where(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16]]:
        """Index of the given leaf and of the mall of every slot."""
        given, mall = np.empty(self.size, np.int32), np.empty(self.size, np.int16)
        for start in range(0, self.size, RANGE):
            at = self._listings(np.arange(start, min(self.size, start + RANGE)))
            given[start : start + RANGE], mall[start : start + RANGE] = at.given, at.mall
        return given, mall

    def _at(self, place: int) -> Offer:
        """The offer at a place of all lists laid one behind the other."""
        number, within = divmod(place, STRETCH)
        kept = self._stretches.get(number)
        if kept is None:
            kept = self._made(self._order[number * STRETCH : (number + 1) * STRETCH].astype(np.int64))
            self._stretches[number] = kept
            if len(self._stretches) > KEPT_STRETCHES:
                self._stretches.popitem(last=False)
        else:
            self._stretches.move_to_end(number)
        return kept[within]

    def _alone(self, slot: int) -> Offer:
        """The offer of a slot, whose neighbours nobody may ask for if the market is large."""
        place = int(self._place[slot])
        if self.size <= STRETCH * KEPT_STRETCHES or place // STRETCH in self._stretches:
            return self._at(place)
        return self._made(np.array([slot]))[0]

    def _listings(self, slots: Integers) -> Listings:
        return self.market.listings(self.month, slots)

    def _made(self, slots: Integers) -> list[Offer]:
        at = self._listings(slots)
        made = ep.columns(self.market, self.month, at)
        levels = zip(*(made[f"category_name{level}"].tolist() for level in range(1, 5)), strict=True)
        numbers = (FIRST_NUMBER + slots * ep.GENERATIONS + at.generation).tolist()
        rows = zip(
            numbers, at.mall.tolist(), at.given.tolist(), made["id"], made["title"],
            made["price_pc"].astype(np.int64).tolist(), ep.picture_numbers(at).tolist(), levels,
            made["brand"].tolist(), made["maker"].tolist(), strict=True,
        )  # fmt: skip
        return [Offer(*row) for row in rows]
