"""Which offers a month has: what is sold, where, under which id, with which label.

A month is a row of slots 0 … offers_per_month - 1. Slots come in blocks; each block holds a few products, some sold at
one mall and some at several. A product lives for some months and then another takes its place, so a listing, its id
and its words persist while its product lives. Everything follows from (seed, slot, generation).
"""

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.config import MarketSettings
from lib.errors import UserError
from lib.marketplace.brands import Brands
from lib.marketplace.chance import Chance, Floats, Integers
from lib.marketplace.malls import Malls
from lib.marketplace.taxonomy import Taxonomy

# Sizes of the products of a block, in listings: 4 of 7 are sold once, one at four malls.
_COPIES = (1, 2, 1, 4, 1, 2, 1)
_PRODUCT_OF = np.repeat(np.arange(len(_COPIES)), _COPIES)
BLOCK = len(_PRODUCT_OF)
# Products live 2 to 12 months, about a sixth of a catalogue is new each month.
SHORTEST_LIFE, LONGEST_LIFE = 2, 12
# A leaf sells up to so much more (less) in its best (worst) month.
SEASON = 0.7
# Wrong labels: siblings of the thing, else anything of the department, else anywhere.
WRONG_SIBLING, WRONG_DEPARTMENT = 0.60, 0.25


@dataclass(frozen=True)
class Listings:
    """Some slots of a month, column by column, each of shape [n].

    Attributes:
        slot, generation: name the listing: which slot, and which of its successive products.
        item: names the product; with `generation` it is the same for all listings of the product.
        birth: month in which the product appeared (0 is the market's first month, earlier ones are negative).
        leaf: index of the true leaf.
        given: index of the leaf that the mall says, wrong for some.
        mall: index of the mall.
    """

    slot: Integers
    generation: Integers
    item: Integers
    birth: Integers
    leaf: Integers
    given: Integers
    mall: Integers


class Market:
    """Everything that does not change from offer to offer."""

    def __init__(self, settings: MarketSettings) -> None:
        self.settings = settings
        self.chance = Chance(settings.seed)
        self.taxonomy = Taxonomy(settings.leaves)
        self.brands = Brands(self.chance, self.taxonomy.departments, settings.brands, settings.new_brands_per_month)
        self.malls = Malls(self.chance, settings.malls, self.taxonomy, settings.brand_filled)
        self._popularity = self._popularities()
        self._peak = self.chance.uniform("peak", np.arange(settings.leaves)) * 12

    def month_number(self, month: str) -> int:
        """Months since the market's first.

        Raises:
            UserError: the month lies before it.
        """
        number = _months(month) - _months(self.settings.first_month)
        if number < 0:
            raise UserError(
                f"month {month} lies before the market's first, {self.settings.first_month}; "
                "ask for a later one or set market.first_month"
            )
        return number

    def calendar_month(self, number: Integers) -> Integers:
        """1 to 12."""
        return (_months(self.settings.first_month) + number) % 12 + 1

    def listings(self, month: str, slots: Integers) -> Listings:
        """The month's listings in the given slots."""
        number = self.month_number(month)
        item = slots // BLOCK * len(_COPIES) + _PRODUCT_OF[slots % BLOCK]
        life = SHORTEST_LIFE + self.chance.below("life", LONGEST_LIFE - SHORTEST_LIFE + 1, item)
        phase = self.chance.below("phase", life, item)
        generation = (number + phase) // life
        birth = generation * life - phase
        leaf = self.leaf_of(birth, item, generation)
        given = self._given(leaf, slots, generation)
        return Listings(slots, generation, item, birth, leaf, given, self.malls.of(slots, generation))

    def first_slot(self, item: int) -> int:
        """The first of the slots in which a product is sold."""
        block, product = divmod(item, len(_COPIES))
        return block * BLOCK + sum(_COPIES[:product])

    def product_ids(self, listings: Listings) -> list[str]:
        """'<mall_id>:<the mall's own id>'."""
        own = self.malls.own_ids(listings.slot, listings.generation)
        return [f"{mall}:{number}" for mall, number in zip(self.malls.ids[listings.mall], own, strict=True)]

    def leaf_shares(self, birth: int) -> Floats:
        """Share of each leaf among products that appear in a month; long-tailed, shifted by the season."""
        calendar = int(self.calendar_month(np.array([birth]))[0])
        season = 1 + SEASON * np.cos((calendar - self._peak) * (2 * np.pi / 12))
        weights = self._popularity * season
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def _popularities(self) -> Floats:
        """Zipf weights over the leaves, in an order of their own."""
        order = np.argsort(self.chance.uniform("popularity", np.arange(self.settings.leaves)), kind="stable")
        weights = np.empty(self.settings.leaves)
        weights[order] = np.arange(1, self.settings.leaves + 1) ** -self.settings.tail
        return weights

    def leaf_of(self, birth: Integers, item: Integers, generation: Integers) -> Integers:
        """The true leaf of each product."""
        drawn = self.chance.uniform("leaf", item, generation)
        leaf = np.zeros(len(item), dtype=np.int64)
        for month in np.unique(birth).tolist():
            here = birth == month
            leaf[here] = np.searchsorted(np.cumsum(self.leaf_shares(month)), drawn[here], side="right")
        return np.minimum(leaf, self.settings.leaves - 1)

    def _given(self, leaf: Integers, slot: Integers, generation: Integers) -> Integers:
        """The label as the mall gives it: wrong for `label_noise` of the listings, for as long as they live."""
        wrong = self.chance.happens("wrong", self.settings.label_noise, slot, generation)
        how = self.chance.uniform("how wrong", slot, generation)
        siblings, department = self.taxonomy.same_thing, self.taxonomy.same_department
        near = (how < WRONG_SIBLING) & (siblings.length[leaf] > 1)
        nearby = ~near & (how < WRONG_SIBLING + WRONG_DEPARTMENT) & (department.length[leaf] > 1)
        start = np.where(near, siblings.start[leaf], np.where(nearby, department.start[leaf], 0))
        everywhere = np.full(len(leaf), self.settings.leaves)
        length = np.where(near, siblings.length[leaf], np.where(nearby, department.length[leaf], everywhere))
        step = 1 + self.chance.below("which wrong", length - 1, slot, generation)
        return np.where(wrong, start + (leaf - start + step) % length, leaf)


def settings_text(settings: MarketSettings) -> str:
    """The settings as one string, which Spark can hand to its workers."""
    return json.dumps(settings.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=4)
def market_of(text: str) -> Market:
    """The market of `settings_text`, built once in each process."""
    return Market(MarketSettings.model_validate_json(text))


def _months(month: str) -> int:
    year, number = (int(part) for part in month.split("-"))
    return year * 12 + number - 1
