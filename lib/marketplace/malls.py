"""Malls: who sells what, and under which category words of their own.

A mall's category only hints at the platform's leaf: most name the thing or less, a few name the leaf, and a share
of each mall's offers is filed under a word that says nothing.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lib.config import Mall
from lib.marketplace.brands import Words
from lib.marketplace.chance import Chance, Floats, Integers
from lib.marketplace.taxonomy import Taxonomy
from lib.marketplace.words import BROAD_CATEGORIES, CATEGORY_ENDINGS

LEVELS = 4
# Of the platform's leaves, a mall has its own category for so many, for the thing of so many, for the group of so
# many; for the rest only the department. R1: the published system got .59 from the mall's category alone.
NAMES_LEAF, NAMES_THING, NAMES_GROUP = 0.15, 0.45, 0.25
# Malls differ this much to both sides in how often they fill the brand column.
BRAND_SPREAD = 0.3


class Malls:
    """The malls of one market. Those at even and odd places each sell half of the offers."""

    def __init__(self, chance: Chance, malls: Sequence[Mall], taxonomy: Taxonomy, brand_filled: float) -> None:
        self.chance = chance
        self.malls = list(malls)
        self.ids = np.array([mall.id for mall in malls], dtype=object)
        self.names = np.array([mall.name for mall in malls], dtype=object)
        self.broad = np.array([mall.broad for mall in malls])
        self.plain = np.array([mall.encoding == "cp949" for mall in malls])
        sizes = np.array([mall.size for mall in malls])
        self._bounds = [np.cumsum(sizes[half::2]) / sizes[half::2].sum() for half in (0, 1)]
        self.brand_filled = self._brand_shares(sizes, brand_filled)
        self._categories = _category_words(chance, len(self.malls), taxonomy)

    def of(self, slot: Integers, generation: Integers) -> Integers:
        """The mall of each listing; neighbouring slots have different malls."""
        drawn = self.chance.uniform("mall", slot, generation)
        even = 2 * np.searchsorted(self._bounds[0], drawn, side="right")
        odd = 2 * np.searchsorted(self._bounds[1], drawn, side="right") + 1
        return np.where(slot % 2 == 0, even, odd).astype(np.int64)

    def own_ids(self, slot: Integers, generation: Integers) -> list[str]:
        """The malls' own product ids.

        Two listings of one mall never share an id: they differ in slot // 2 or in generation. Listings of different
        malls do, as in real life.
        """
        numbers = (1001 + slot // 2).tolist()
        return [f"{n}-{g + 1}" if g else str(n) for n, g in zip(numbers, generation.tolist(), strict=True)]

    def categories(self, mall: Integers, leaf: Integers, slot: Integers, generation: Integers) -> list[Words]:
        """The mall's category words of each listing, four levels, '' where a level is absent."""
        levels = [self._categories[level][mall, leaf] for level in range(LEVELS)]
        broad = self.chance.happens("broad", self.broad[mall], slot, generation)
        words = np.array(BROAD_CATEGORIES, dtype=object)
        levels[0] = np.where(broad, words[self.chance.below("broad word", len(words), slot, generation)], levels[0])
        return [levels[0], *(np.where(broad, "", level) for level in levels[1:])]

    def _brand_shares(self, sizes: npt.NDArray[np.float64], mean: float) -> Floats:
        """Share of filled brands by mall; over all offers it is `mean`."""
        weights = np.zeros(len(sizes))
        for half in (0, 1):
            weights[half::2] = sizes[half::2] / sizes[half::2].sum() / 2
        spread = min(BRAND_SPREAD, mean, 1 - mean) / 2
        offsets = (self.chance.uniform("brand habit", np.arange(len(sizes))) * 2 - 1) * spread
        return mean + offsets - float((weights * offsets).sum())


def _category_words(chance: Chance, malls: int, taxonomy: Taxonomy) -> list[Words]:
    """Four arrays [malls, leaves] of category words."""
    mall = np.arange(malls)[:, None]
    leaf = np.arange(len(taxonomy))[None, :]
    thing, department = taxonomy.thing[None, :], taxonomy.department[None, :]
    top = _pick(chance, "mall department", [x.thing.department_words for x in taxonomy.leaves], mall, department)
    group = np.broadcast_to(np.array([x.thing.group for x in taxonomy.leaves], dtype=object), top.shape)
    name = _pick(chance, "mall thing", [x.thing.words for x in taxonomy.leaves], mall, thing)
    kind = _pick(chance, "mall kind", [x.modifier_words or ("",) for x in taxonomy.leaves], mall, leaf)
    endings = np.array(CATEGORY_ENDINGS, dtype=object)
    name = name + endings[chance.below("ending", len(endings), mall, thing)]
    return _as_deep_as_known(chance, mall, thing, leaf, [top, group, name, kind])


def _pick(chance: Chance, stream: str, choices: list[tuple[str, ...]], mall: Integers, key: Integers) -> Words:
    """[malls, leaves]: for each leaf one of its words, the same for leaves that share the key."""
    longest = max(len(words) for words in choices)
    table = np.array([[*words, *[""] * (longest - len(words))] for words in choices], dtype=object)
    counts = np.array([len(words) for words in choices])
    return np.asarray(table[np.arange(len(choices))[None, :], chance.below(stream, counts[None, :], mall, key)])


def _as_deep_as_known(
    chance: Chance, mall: Integers, thing: Integers, leaf: Integers, levels: list[Words]
) -> list[Words]:
    """Blank what a mall does not distinguish; malls without departments file things at the top."""
    drawn = chance.uniform("category depth", mall, thing)
    exact = chance.happens("names leaf", NAMES_LEAF, mall, leaf)
    named = exact | (drawn < NAMES_THING + NAMES_LEAF)
    grouped = named | (drawn < NAMES_THING + NAMES_LEAF + NAMES_GROUP)
    top, group, name, kind = levels
    group, name, kind = np.where(grouped, group, ""), np.where(named, name, ""), np.where(exact, kind, "")
    flat = (chance.below("flat mall", 4, mall) == 0) & named
    blank = np.full_like(top, "")
    return [
        np.where(flat, name, top),
        np.where(flat, kind, group),
        np.where(flat, blank, name),
        np.where(flat, blank, kind),
    ]
