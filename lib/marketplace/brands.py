"""Made-up words: brands, product lines and the new words of a month, in Hangul and in Latin letters.

All are three syllables of words.SYLLABLES. Brands take the first half of the possible words and all else the second,
so a product line never has a brand's name.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from lib.marketplace.chance import Chance, Integers
from lib.marketplace.words import SYLLABLES

Words = npt.NDArray[np.object_]

_WORDS = len(SYLLABLES) ** 3
_HALF = _WORDS // 2
# Odd and no multiple of 5, as 40^3 = 2^9 * 5^3: steps of this size visit every word once.
_STRIDE = 37_413
# Products favour the brands that came first: the share of a department's first tenth of brands is 0.1^(1/1.7) = 26 %.
FAVOUR = 1.7
# A brand renews its product lines twice a year.
LINE_MONTHS = 6
LINES_AT_ONCE = 2


class Brands:
    """Brands of one market: brand i serves department i mod departments; later months have more of them."""

    def __init__(self, chance: Chance, departments: int, first: int, new_per_month: int) -> None:
        self.chance = chance
        self.departments = departments
        self.first = first
        self.new_per_month = new_per_month
        self.offset = int(chance.below("brand names", _HALF, 0)[0])

    def known(self, month: Integers) -> Integers:
        """How many brands exist in a month (0 is the market's first)."""
        return self.first + self.new_per_month * np.maximum(month, 0)

    def of(self, department: Integers, birth: Integers, item: Integers, generation: Integers) -> Integers:
        """The brand of each product, among those of its department that existed when it appeared."""
        known = self.known(birth)
        here = np.maximum((known - department + self.departments - 1) // self.departments, 1)
        rank = np.floor(here * self.chance.uniform("brand", item, generation) ** FAVOUR).astype(np.int64)
        return np.mod(department + self.departments * rank, known, dtype=np.int64)

    def hangul(self, brand: Integers) -> Words:
        return self._names(brand, 0)

    def latin(self, brand: Integers) -> Words:
        return self._names(brand, 1)

    def _names(self, brand: Integers, script: int) -> Words:
        """A brand's name; brands past the last word get a second one behind it."""
        table = _table(script)
        names = table[_first_half(brand % _HALF, self.offset)]
        beyond = brand // _HALF
        if beyond.any():
            second = np.where(beyond > 0, table[_first_half(beyond, self.offset + 1)], "")
            names = names + second
        return names

    def line(self, brand: Integers, group: Integers, birth: Integers, item: Integers) -> Words:
        """The product line's name: a brand has a few for each group of things, and drops them for new ones."""
        era = (birth + self.chance.below("line phase", LINE_MONTHS, brand)) // LINE_MONTHS
        which = self.chance.below("which line", LINES_AT_ONCE, item)
        return coined(self.chance, "line", brand, group, era, which)


def coined(chance: Chance, stream: str, *keys: Integers | int) -> Words:
    """A made-up Hangul word that is no brand, the same for the same keys."""
    return _table(0)[_second_half(chance.below(stream, _HALF, *keys))]


def _first_half(number: Integers, offset: int) -> Integers:
    return 2 * ((number * _STRIDE + offset) % _HALF)


def _second_half(number: Integers) -> Integers:
    return 2 * number + 1


@cache
def _table(script: int) -> Words:
    """All words of three syllables."""
    parts = np.array([pair[script] for pair in SYLLABLES], dtype=object)
    return np.asarray(parts[:, None, None] + parts[None, :, None] + parts[None, None, :]).reshape(-1)
