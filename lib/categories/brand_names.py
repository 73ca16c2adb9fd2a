"""What a written brand stands for, and which brands stand in a name: one dictionary for training and for scoring.

Names are searched for all forms at once by an automaton (Aho, Corasick: Efficient string matching, CACM 1975), so that
the time depends on the length of the name and not on the number of brands.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import ahocorasick
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lib.text.split import BRACKETED
from lib.text.vocabulary import PAD, RESERVED, UNKNOWN, read_columns

# The dictionary's file in its artefact, and beside a model that reads brands.
BRANDS_FILE = "brands.parquet"
BRANDS_SCHEMA = pa.schema(
    [
        pa.field("form", pa.string(), False),
        pa.field("brand", pa.string(), False),
        pa.field("searched", pa.bool_(), False),
        pa.field("rows", pa.int64(), False),
        pa.field("malls", pa.int64(), False),
        pa.field("found", pa.int64(), False),
        pa.field("agreed", pa.int64(), False),
    ]
)
# What lookups need of it.
LOOKED_UP = ("form", "brand", "searched")
# What companies add to their names, and shops to the name of what they sell.
COMPANY_WORDS = frozenset({
    "주식회사", "유한회사", "유한책임회사", "코리아", "공식", "공식몰", "공식스토어", "본사", "직영", "직영점",
    "스토어", "쇼핑몰",
    "inc", "co", "ltd", "corp", "corporation", "company", "llc", "gmbh", "korea", "official", "store", "shop", "mall",
})  # fmt: skip
COMPANY_ENDS = ("코리아", "공식몰", "스토어", "주식회사")
# What malls write where there is no brand.
PLACEHOLDERS = frozenset({
    "없음", "기타", "해당없음", "미상", "자체제작", "자체브랜드", "알수없음", "브랜드없음", "상세설명참조",
    "상세페이지참조", "상품상세참조", "상세참조", "상품상세설명참조", "none", "na", "null", "unknown", "etc", "nobrand",
})  # fmt: skip
BRACKETS = re.compile(BRACKETED)
WORDS = re.compile(r"[^\W_]+")
HANGUL = re.compile(r"[가-힣ㄱ-ㅎㅏ-ㅣ]")
# A form of fewer characters is part of too many words; of Hangul forms from this length on a word may begin with one
# ('나이키운동화').
SHORTEST, BEGINS_A_WORD = 2, 3
# Written forms a worker remembers the key of: malls repeat theirs.
REMEMBERED = 100_000


def brand_key(form: str) -> str:
    """What forms of one brand have in common: letters and digits outside brackets, without a company's additions.

    Args:
        form: normalised (lib/text/normalize.py).

    Returns:
        '' for what stands where there is no brand.
    """
    words = WORDS.findall(BRACKETS.sub(" ", form)) or WORDS.findall(form)
    key = "".join([word for word in words if word not in COMPANY_WORDS] or words)
    for end in COMPANY_ENDS:
        if key.endswith(end) and len(key) >= len(end) + SHORTEST:
            key = key.removesuffix(end)
    return "" if key in PLACEHOLDERS else key


def mall_form(name: str) -> str:
    """A mall's normalised name as its offers would write it: without what shops add to it."""
    words = [word for word in BRACKETS.sub(" ", name).split() if word not in COMPANY_WORDS]
    return " ".join(words)


@dataclass(frozen=True)
class BrandDictionary:
    """The brands that have an id: from RESERVED up, in the order of the file; PAD is none, UNKNOWN any other.

    Attributes:
        brands: of each id from RESERVED on.
        ids: key of each form -> id.
        forms: each form that names are searched for -> id.
    """

    brands: tuple[str, ...]
    ids: Mapping[str, int]
    forms: Mapping[str, int]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, bool]]) -> "BrandDictionary":
        """A dictionary of (form, brand, searched)."""
        numbers: dict[str, int] = {}
        ids: dict[str, int] = {}
        forms: dict[str, int] = {}
        for form, brand, searched in rows:
            number = numbers.setdefault(brand, RESERVED + len(numbers))
            ids.setdefault(brand_key(form), number)
            if searched:
                forms[form] = number
        ids.pop("", None)
        return cls(tuple(numbers), ids, forms)

    @classmethod
    def of_table(cls, table: pa.Table) -> "BrandDictionary":
        """A dictionary of BRANDS_SCHEMA, or of its columns LOOKED_UP."""
        return cls.of(zip(*(table.column(name).to_pylist() for name in LOOKED_UP), strict=True))

    @classmethod
    def read(cls, path: Path | str) -> "BrandDictionary":
        """Read brands.parquet (BRANDS_SCHEMA).

        Raises:
            UserError: it is no such file, or a form is there twice.
        """
        return cls.of_table(read_columns(Path(path), BRANDS_SCHEMA, "form", "dictionary of brands", "jobs/brands.py"))

    @property
    def size(self) -> int:
        """Number of ids, the reserved ones included."""
        return len(self.brands) + RESERVED

    def is_brand(self, number: int) -> bool:
        """Whether an id is a brand's."""
        return number >= RESERVED

    def given(self, fields: Iterable[str | None]) -> int:
        """The id of the first of the written forms that is known; UNKNOWN where there are others, PAD where none is."""
        keys = [key for key in (_remembered_key(form) for form in fields if form) if key]
        return next((self.ids[key] for key in keys if key in self.ids), UNKNOWN if keys else PAD)

    def found(self, name: str) -> list[int]:
        """The ids of the brands that stand in a normalised name, each once, from left to right."""
        return list(dict.fromkeys(self.forms[form] for form in self.found_forms(name)))

    def found_forms(self, name: str) -> list[str]:
        """The forms that stand in a name, from left to right; of those that overlap the longest of the first."""
        if not self.forms:
            return []
        matches = sorted(self._matches(name), key=lambda match: (match[0], -len(match[1])))
        chosen, end = [], 0
        for start, form in matches:
            if start >= end:
                chosen.append(form)
                end = start + len(form)
        return chosen

    def vector(self, fields: Iterable[str | None], name: str, length: int) -> list[int]:
        """The given brand's id and those found in the name, zero padded at the end or cut to exactly `length`."""
        ids = [self.given(fields), *self.found(name)][:length]
        return ids + [PAD] * (length - len(ids))

    def matrix(self, fields: pa.StructArray, names: Sequence[str], length: int) -> NDArray[np.int32]:
        """`vector` of many rows at once, [rows, length].

        Args:
            fields: as `tokens` has them in brand_fields.
        """
        rows = zip(brands_of(fields), names, strict=True)
        return np.array([self.vector(given, name, length) for given, name in rows], np.int32).reshape(-1, length)

    def _matches(self, name: str) -> Iterator[tuple[int, str]]:
        """Where a form stands as a word, or as the beginning of one."""
        for last, form in self._automaton.iter(name):
            start = last + 1 - len(form)
            if _begins(name, start) and _ends(name, last + 1, len(form)):
                yield start, form

    @cached_property
    def _automaton(self) -> Any:
        made = ahocorasick.Automaton()
        for form in self.forms:
            made.add_word(form, form)
        made.make_automaton()
        return made


def brands_of(fields: pa.StructArray) -> list[list[str]]:
    """Of each row's `brand_fields` those that are given, in order."""
    return [[form for form in row.values() if form] for row in fields.to_pylist()]


_remembered_key = lru_cache(maxsize=REMEMBERED)(brand_key)


def _kind(character: str) -> str:
    if character.isdigit():
        return "digit"
    if HANGUL.match(character):
        return "hangul"
    return "letter" if character.isalpha() else ""


def _begins(name: str, start: int) -> bool:
    return start == 0 or _is_edge(name[start - 1], name[start])


def _ends(name: str, end: int, length: int) -> bool:
    if end == len(name) or _is_edge(name[end], name[end - 1]):
        return True
    return _kind(name[end]) == "hangul" and length >= BEGINS_A_WORD


def _is_edge(outside: str, inside: str) -> bool:
    """Whether a word may end between the two: at spaces and signs, and where the script changes ('nike운동화')."""
    return not _kind(outside) or _kind(outside) != _kind(inside)
