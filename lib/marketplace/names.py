"""Offer names as sellers write them, and the brand and maker fields.

A product's words (brand, line, features, kind, thing, unit, code) are the same at every mall; each mall adds its noise
(promotions, its own name, symbols, typos, missing spaces). What a product does not say is drawn per product, so the
copies of a product are equally hard.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from lib.marketplace import words
from lib.marketplace.brands import Words, coined
from lib.marketplace.chance import Integers
from lib.marketplace.offers import Listings, Market

Flags = npt.NDArray[np.bool_]

# Shares of products whose name holds each part; tuned together with the difficulty settings in conf.
BRAND_SHOWN, BRAND_LATIN, BRAND_TWICE = 0.62, 0.25, 0.08
LINE_SHOWN, FEATURE_SHOWN, SECOND_FEATURE, VARIETY_SHOWN = 0.45, 0.60, 0.30, 0.30
SYNONYM, SECOND_NOUN, GENERIC_NOUN = 0.35, 0.10, 0.5
OTHER_MODIFIER_WORD, GLUED = 0.40, 0.06
SEASON_SHOWN, NEW_WORD_SHOWN, NEW_NOUN = 0.10, 0.12, 0.08
UNIT_SHOWN, CODE_SHOWN = 0.65, 0.25
# Shares of listings with each kind of seller noise.
PROMOTION, BARE_PROMOTION, MALL_NAMED, TAIL_WORD, SYMBOL, TURNED, UNSPACED = (
    0.30,
    0.20,
    0.08,
    0.12,
    0.06,
    0.10,
    0.04,
)
# A leaf has so many favourite features, renewed one by one within a year, that its products show with this share.
FAVOURITES, FAVOURITE_MONTHS, FAVOURED = 5, 12, 0.65
# Sellers take up a new word for a thing twice a year; new words of a month are used for three.
NOUN_MONTHS, NEW_WORD_MONTHS = 6, 3
_NUMBERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 36, 40, 50, 60, 70, 80, 100, 120, 150, 180, 200, 250,
            300, 350, 400, 500, 600, 700, 850, 1000)  # fmt: skip
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


class Names:
    """Writes the names of a market's listings in one month."""

    def __init__(self, market: Market, month: str, listings: Listings) -> None:
        self.market = market
        self.chance = market.chance
        self.at = listings
        self.month = market.month_number(month)
        self.size = len(listings.slot)
        leaves = market.taxonomy.leaves
        self.thing = market.taxonomy.thing[listings.leaf]
        self.department = market.taxonomy.department[listings.leaf]
        kinds = list(words.UNITS)
        self.kind = np.array([kinds.index(leaf.thing.kind) for leaf in leaves])[listings.leaf]
        self.modifier = np.array([leaf.modifier for leaf in leaves])[listings.leaf]
        self.brand = market.brands.of(self.department, listings.birth, listings.item, listings.generation)

    def titles(self) -> list[str]:
        """One name a listing."""
        modifier, noun = self._modifier(), self._noun()
        modifier, noun = self._glued(modifier, noun)
        parts = [
            self._promotion(), self._mall_name(), self._brand(), self._line(), self._season(), self._feature(0),
            modifier, noun, self._second_noun(), self._stray(), self._feature(1), self._new_word(),
            self._variety(), self._unit(), self._code(), self._tail(),
        ]  # fmt: skip
        titles = [" ".join(filter(None, row)) for row in zip(*parts, strict=True)]
        for index in (index for index, title in enumerate(titles) if not title):
            titles[index] = str(self.market.brands.hangul(self.brand[index : index + 1])[0])
        return self._mistyped(self._unspaced(self._turned(titles)))

    def brand_column(self) -> Words:
        """The brand field: '' where the mall left it empty."""
        share = self.market.malls.brand_filled[self.at.mall]
        filled = self.chance.happens("brand filled", share, self.at.slot, self.at.generation)
        latin = self._item("brand field script") < BRAND_LATIN
        names = np.where(latin, self.market.brands.latin(self.brand), self.market.brands.hangul(self.brand))
        return np.where(filled, names, "")

    def maker_column(self) -> Words:
        """The maker field: filled for a third; some brands are made by a company of another form of the name."""
        filled = self._listing("maker filled") < 1 / 3
        form = self.chance.below("maker form", len(words.MAKER_FORMS), self.brand)
        makers = np.array(
            [words.MAKER_FORMS[f].format(n) for f, n in zip(form, self.market.brands.hangul(self.brand), strict=True)],
            dtype=object,
        )
        return np.where(filled, makers, "")

    def _item(self, stream: str) -> npt.NDArray[np.float64]:
        """A draw that all listings of a product share."""
        return self.chance.uniform(stream, self.at.item, self.at.generation)

    def _listing(self, stream: str) -> npt.NDArray[np.float64]:
        return self.chance.uniform(stream, self.at.slot, self.at.generation)

    def _choose(self, stream: str, table: Sequence[str] | Words) -> Words:
        """One of the words for each product."""
        choices = np.asarray(table, dtype=object)
        return np.asarray(choices[np.floor(self._item(stream) * len(choices)).astype(np.int64)])

    def _promotion(self) -> Words:
        """'[무료배송]' and the like; it changes every month."""
        at, chance = self.at, self.chance
        calendar = int(self.market.calendar_month(np.array([self.month]))[0])
        table = np.array([*words.PROMOTIONS, *words.SEASONS[calendar].split()], dtype=object)
        word = table[chance.below("promotion word", len(table), at.slot, at.generation, self.month)]
        bare = self._listing("bare promotion") < BARE_PROMOTION
        shown = chance.happens("promotion", PROMOTION, at.slot, at.generation, self.month)
        return np.where(shown, np.where(bare, word, "[" + word + "]"), "")

    def _mall_name(self) -> Words:
        names = self.market.malls.names[self.at.mall]
        return np.where(self._listing("mall named") < MALL_NAMED, "[" + names + "]", "")

    def _brand(self) -> Words:
        brands = self.market.brands
        hangul, latin = brands.hangul(self.brand), brands.latin(self.brand)
        drawn = self._item("brand script")
        one = np.where(drawn < BRAND_LATIN, latin, hangul)
        name = np.where(drawn > 1 - BRAND_TWICE, hangul + " " + latin, one)
        return np.where(self._item("brand shown") < BRAND_SHOWN, name, "")

    def _line(self) -> Words:
        group = self.thing // 4
        line = self.market.brands.line(self.brand, group, self.at.birth, self.at.item)
        return np.where(self._item("line shown") < LINE_SHOWN, line, "")

    def _season(self) -> Words:
        table = np.array([words.SEASONS[month].split() for month in range(1, 13)], dtype=object)
        chosen = np.floor(self._item("season word") * table.shape[1]).astype(np.int64)
        word = table[self.market.calendar_month(self.at.birth) - 1, chosen]
        return np.where(self._item("season shown") < SEASON_SHOWN, word, "")

    def _feature(self, place: int) -> Words:
        """A word of praise: a favourite of the leaf, or any."""
        which = np.floor(self._item(f"favourite {place}") * FAVOURITES).astype(np.int64)
        phase = self.chance.below("favourite phase", FAVOURITE_MONTHS, self.at.leaf, which)
        era = (self.at.birth + phase) // FAVOURITE_MONTHS
        favourite = self.chance.below("favourite word", len(words.FEATURES), self.at.leaf, which, era)
        any_ = np.floor(self._item(f"feature {place}") * len(words.FEATURES)).astype(np.int64)
        chosen = np.where(self._item(f"favoured {place}") < FAVOURED, favourite, any_)
        share = (FEATURE_SHOWN, SECOND_FEATURE)[place]
        return np.where(self._item(f"feature shown {place}") < share, _features()[chosen], "")

    def _modifier(self) -> Words:
        """Which kind of thing it is, in the seller's word for it."""
        shown = self._item("modifier shown") < self.market.settings.modifier_shown
        other = self._item("modifier word")
        synonym = np.where(other < OTHER_MODIFIER_WORD, 1 + (other * 2 / OTHER_MODIFIER_WORD).astype(np.int64), 0)
        word = _modifiers()[self.kind, self.modifier, synonym]
        return np.where(shown & (self.modifier >= 0), word, "")

    def _noun(self) -> Words:
        """What the thing is; some sellers use a word that came up lately, some say nothing or 'product'."""
        shown = self._item("noun shown") < self.market.settings.noun_shown
        era = (self.at.birth + self.chance.below("noun phase", NOUN_MONTHS, self.thing)) // NOUN_MONTHS
        noun = np.where(
            self._item("new noun") < NEW_NOUN,
            coined(self.chance, "new noun word", self.thing, era),
            _nouns()[self.thing, self._synonym("noun")],
        )
        generic = np.where(self._item("generic") < GENERIC_NOUN, self._choose("generic word", words.GENERIC), "")
        return np.where(shown, noun, generic)

    def _synonym(self, stream: str) -> Integers:
        drawn = self._item(stream)
        return np.where(drawn < SYNONYM, 1 + (drawn * 2 / SYNONYM).astype(np.int64), 0)

    def _second_noun(self) -> Words:
        shown = self._item("second noun") < SECOND_NOUN * self.market.settings.noun_shown
        return np.where(shown, _nouns()[self.thing, self._synonym("second noun word")], "")

    def _glued(self, modifier: Words, noun: Words) -> tuple[Words, Words]:
        """Sellers write some compounds as one word."""
        glue = (self._item("glued") < GLUED) & (modifier != "") & (noun != "")
        return np.where(glue, "", modifier), np.where(glue, modifier + noun, noun)

    def _stray(self) -> Words:
        """Words of another leaf of the department, written to be found more often."""
        taxonomy = self.market.taxonomy
        span = taxonomy.same_department
        start, length = span.start[self.at.leaf], span.length[self.at.leaf]
        other = start + np.floor(self._item("stray leaf") * length).astype(np.int64)
        modifiers = np.array([leaf.modifier for leaf in taxonomy.leaves])[other]
        noun = _nouns()[taxonomy.thing[other], 0]
        modifier = np.where(modifiers >= 0, _modifiers()[self.kind, modifiers, 0], noun)
        word = np.where(self._item("stray kind") < 0.5, noun, modifier)
        return np.where(self._item("stray") < self.market.settings.stray_words, word, "")

    def _new_word(self) -> Words:
        """A word made up within the last months; each is used in one department."""
        count = self.market.settings.new_words_per_month
        age = np.floor(self._item("new word age") * NEW_WORD_MONTHS).astype(np.int64)
        number = np.floor(self._item("new word number") * count).astype(np.int64)
        department = self.department % count
        word = coined(self.chance, "new word", self.at.birth - age, np.where(number % 2 == 0, department, number))
        return np.where(self._item("new word shown") < NEW_WORD_SHOWN, word, "")

    def _variety(self) -> Words:
        table, counts = _table(tuple(tuple(words.VARIETIES[kind]) for kind in words.UNITS))
        chosen = np.floor(self._item("variety") * counts[self.kind]).astype(np.int64)
        return np.where(self._item("variety shown") < VARIETY_SHOWN, table[self.kind, chosen], "")

    def _unit(self) -> Words:
        table, counts = _units()
        chosen = np.floor(self._item("unit") * counts[self.kind]).astype(np.int64)
        return np.where(self._item("unit shown") < UNIT_SHOWN, table[self.kind, chosen], "")

    def _code(self) -> Words:
        """A manufacturer's product code such as 'KX-204B'."""
        codes = np.full(self.size, "", dtype=object)
        shown = np.flatnonzero(self._item("code shown") < CODE_SHOWN)
        bits = self.chance.bits("code", self.at.item[shown], self.at.generation[shown])
        codes[shown] = [_code(number) for number in bits.tolist()]
        return codes

    def _tail(self) -> Words:
        """What a seller writes at the end: bare words of praise, a symbol, an emoji where the encoding has it."""
        table = np.array(words.TAIL_WORDS, dtype=object)
        tail = table[np.floor(self._listing("tail word") * len(table)).astype(np.int64)]
        pictures = np.array([*words.SYMBOLS, *words.EMOJI], dtype=object)
        allowed = np.where(self.market.malls.plain[self.at.mall], len(words.SYMBOLS), len(pictures))
        picture = pictures[np.floor(self._listing("picture") * allowed).astype(np.int64)]
        drawn = self._listing("tail")
        return np.where(drawn < TAIL_WORD, tail, np.where(drawn > 1 - SYMBOL, picture, ""))

    def _turned(self, titles: list[str]) -> list[str]:
        """Some sellers put the words in another order."""
        return self._changed(titles, "turned", TURNED, _turn)

    def _unspaced(self, titles: list[str]) -> list[str]:
        return self._changed(titles, "unspaced", UNSPACED, _drop_space)

    def _mistyped(self, titles: list[str]) -> list[str]:
        return self._changed(titles, "typo", self.market.settings.typos, _mistype)

    def _changed(self, titles: list[str], stream: str, share: float, change: Callable[[str, int], str]) -> list[str]:
        """Apply a change to that share of the listings, each with random bits of its own."""
        bits = self.chance.bits(f"{stream} how", self.at.slot, self.at.generation).tolist()
        for index in np.flatnonzero(self._listing(stream) < share).tolist():
            titles[index] = change(titles[index], bits[index])
        return titles


def _turn(title: str, bits: int) -> str:
    parts = title.split(" ")
    start = bits % len(parts)
    return " ".join(parts[start:] + parts[:start])


def _drop_space(title: str, bits: int) -> str:
    spaces = [index for index, letter in enumerate(title) if letter == " "]
    if not spaces:
        return title
    place = spaces[bits % len(spaces)]
    return title[:place] + title[place + 1 :]


def _mistype(title: str, bits: int) -> str:
    """Swap, drop or double a letter inside a word."""
    inner = [i for i in range(len(title) - 1) if title[i].isalpha() and title[i + 1].isalpha()]
    if not inner:
        return title
    place = inner[(bits >> 8) % len(inner)]
    first, second = title[place], title[place + 1]
    pair = (second + first, second, first + first + second)[bits % 3]
    return title[:place] + pair + title[place + 2 :]


def _code(bits: int) -> str:
    first, second, last = (_CODE_LETTERS[(bits >> shift) % len(_CODE_LETTERS)] for shift in (0, 8, 16))
    dash = "-" if bits >> 24 & 1 else ""
    return f"{first}{second}{dash}{100 + (bits >> 32) % 9900}{last if bits >> 25 & 1 else ''}"


@cache
def _features() -> Words:
    return np.array(words.FEATURES, dtype=object)


@cache
def _nouns() -> Words:
    """[things, 3]"""
    return np.array([thing.words for thing in words.THINGS], dtype=object)


@cache
def _modifiers() -> Words:
    """[kinds, modifiers, 3]"""
    return np.array([words.MODIFIERS[kind] for kind in words.UNITS], dtype=object)


@cache
def _units() -> tuple[Words, Integers]:
    return _table(tuple(tuple(unit.format(n) for unit in units for n in _NUMBERS) for units in words.UNITS.values()))


@cache
def _table(rows: tuple[tuple[str, ...], ...]) -> tuple[Words, Integers]:
    """Rows of unequal length as one array, with their lengths."""
    longest = max(len(row) for row in rows)
    padded = [[*row, *[""] * (longest - len(row))] for row in rows]
    return np.array(padded, dtype=object), np.array([len(row) for row in rows], dtype=np.int64)
