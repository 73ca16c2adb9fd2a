"""Fixes that a person may take over into `categories.fixes`, for categories that the model is unsure of.

Malls and words are looked for in the month's sampled test names, which evaluation holds anyway. They are suggestions: a
few rows show them, and whoever knows the catalogue decides.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lib.evaluation.record import Predictions
from lib.evaluation.sample import Sample
from lib.evaluation.uncertain import MOST, UncertainCategory
from lib.sources.product_ids import mall_of

# A mall's rows of a category, or rows with a word, below which they are chance.
FEWEST_OF_MALL, FEWEST_WITH_WORD = 3, 2
# Words or malls that a fix names at most.
NAMED = 5


@dataclass(frozen=True)
class Suggester:
    """Looks for fixes in sampled names.

    Attributes:
        sample: the month's test names.
        seen: the model's answers on them.
        cat_ids: of each label.
        sure: confidence from which on an answer contradicts the label.
        from_month: the month that a fix would begin with.
    """

    sample: Sample
    seen: Predictions
    cat_ids: Sequence[str]
    sure: float
    from_month: str

    def fix(self, one: UncertainCategory) -> dict[str, Any] | None:
        """An entry of the file, but for who decided it; None where nothing in the sample tells the rows apart."""
        made = {"twins": self._merge, "polluted": self._mended, "broad": self._split}.get(one.kind)
        action = made(one) if made is not None else None
        return None if action is None else {"from_month": self.from_month, "why": _why(one), **action}

    def _merge(self, one: UncertainCategory) -> dict[str, Any]:
        """The smaller of twins goes into the larger one."""
        small, large = sorted((one.label, one.rivals[0].label), key=lambda label: self._rows(one, label))
        return {"merge": {"categories": [self.cat_ids[small]], "into": self.cat_ids[large]}}

    def _mended(self, one: UncertainCategory) -> dict[str, Any] | None:
        """Misfiled rows get the label that most of them are answered with, or are left out where there is none."""
        given = self.seen.label == one.label
        wrong = given & ~self.seen.correct & (self.seen.confidence >= np.float32(self.sure))
        malls = _malls(self.sample.product_ids[wrong], self.sample.product_ids[given])
        words = _telling_words(self._tokens(wrong), self._tokens(given & ~wrong))
        where: dict[str, Any] = {"malls": malls} if malls else {"words": words}
        if not malls and not words:
            return None
        chosen = {"category": self.cat_ids[one.label], **where}
        first = one.rivals[0]
        if first.rows >= MOST * one.mistaken:
            return {"relabel": {**chosen, "into": self.cat_ids[first.label]}}
        return {"exclude": chosen}

    def _split(self, one: UncertainCategory) -> dict[str, Any] | None:
        """Rows of a broad category go where names with their words are answered to belong."""
        stay = self._answered(one.label, one.label)
        rules = []
        for rival in one.rivals:
            words = _telling_words(self._tokens(self._answered(one.label, rival.label)), self._tokens(stay))
            if words:
                rules.append({"words": words, "into": self.cat_ids[rival.label]})
        return {"split": {"category": self.cat_ids[one.label], "rules": rules}} if rules else None

    def _tokens(self, chosen: NDArray[np.bool_]) -> list[list[str]]:
        """Of the chosen names."""
        tokens: list[list[str]] = self.sample.name_tokens.filter(pa.array(chosen)).to_pylist()
        return tokens

    def _answered(self, given: int, said: int) -> NDArray[np.bool_]:
        chosen: NDArray[np.bool_] = (self.seen.label == given) & (self.seen.predicted == said)
        return chosen

    @staticmethod
    def _rows(one: UncertainCategory, label: int) -> tuple[int, int]:
        """By size, then by label, so that both twins suggest the same."""
        return (one.rows if label == one.label else one.rivals[0].of, label)


def _why(one: UncertainCategory) -> str:
    if one.kind == "twins":
        first = one.rivals[0]
        return f"twins: {first.rows} of {one.rows} rows are answered with the other, {first.back} of {first.of} back"
    if one.kind == "polluted":
        return f"misfiled: {one.sure} of {one.rows} rows are surely answered with others, {one.sure_back} come back"
    return f"broad: {one.mistaken} of {one.rows} rows are answered with others, as with {one.answers:.1f} in all"


def _malls(wrong: Iterable[str], given: Iterable[str]) -> list[str]:
    """Malls most of whose rows are among the wrong ones, the most wrong rows first.

    Args:
        wrong, given: product_ids, '<mall_id>:<the mall's own id>'.
    """
    bad, all_of_them = (Counter(map(mall_of, ids)) for ids in (wrong, given))
    found = [
        mall for mall, rows in bad.items() if rows >= FEWEST_OF_MALL and rows >= MOST * all_of_them[mall]
    ]  # fmt: skip
    return sorted(found, key=lambda mall: (-bad[mall], mall))[:NAMED]


def _telling_words(theirs: Iterable[Iterable[str]], others: Iterable[Iterable[str]]) -> list[str]:
    """Words in several of their rows and in none of the others', the most frequent first; none without others.

    Args:
        theirs, others: tokens of each row's name.
    """
    counted = Counter(word for tokens in theirs for word in set(tokens))
    known = {word for tokens in others for word in tokens}
    found = [word for word, rows in counted.items() if known and rows >= FEWEST_WITH_WORD and word not in known]
    return sorted(found, key=lambda word: (-counted[word], word))[:NAMED]
