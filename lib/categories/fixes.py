"""The catalogue team's corrections of the categories (`categories.fixes`): which hold for a month, and what they mean.

A merge says that a category is no more. That is a matter of the taxonomy: the category gets a `replaced_by` and is
followed wherever replaced categories are, on every split and in the answers of older models; a test row of a category
that nobody tells apart any more could only count as an error. The other kinds become rules for train rows
(lib/categories/fixed_rows.py). People's answers about single offers beat both (lib/categories/answers.py).
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lib.categories.fixed_rows import Rule
from lib.categories.taxonomy import Leaf, replaced_ones
from lib.config.category_fixes import MOST_FIXES, CategoryFix, Rows
from lib.config.reading import read_mapping, sentence
from lib.errors import UserError
from lib.text.normalize import normalize

LOG = logging.getLogger(__name__)
EXAMPLE = "conf/category_fixes.yaml"
# Who decided it and why change nothing of what it does.
NO_ACTION = {"from_month", "by", "why"}
LONGEST_WORD = 100


def read_fixes(place: Path) -> dict[int, CategoryFix]:
    """Number in the file, from 1 -> fix.

    Raises:
        UserError: the file cannot be read, or a fix is not as it should be or is there twice.
    """
    record = read_mapping(place, "category fixes", EXAMPLE)
    unknown = [key for key in record if key != "fixes"]
    if unknown:
        raise UserError(f"{place}: {unknown[0]!r} is not a known key; the file has one, fixes, a list")
    listed = record.get("fixes")
    if not isinstance(listed, list) or len(listed) > MOST_FIXES:
        raise UserError(f"{place}: fixes must be a list of at most {MOST_FIXES} ([] for none), as in {EXAMPLE}")
    fixes = {number: _fix(place, number, entry) for number, entry in enumerate(listed, 1)}
    first: dict[str, int] = {}
    for number, fix in fixes.items():
        if (same := first.setdefault(_action(fix), number)) != number:
            raise UserError(f"{place}, fix {number}: it does what fix {same} does; keep one of them")
    return fixes


@dataclass(frozen=True)
class MonthFixes:
    """The fixes that hold for a month.

    Attributes:
        place: their file, for what is said of them.
        month: whose normalisation applies them.
        fixes: number in the file -> fix, in the file's order.
    """

    place: str
    month: str
    fixes: Mapping[int, CategoryFix]

    @classmethod
    def of(cls, place: str | None, month: str) -> "MonthFixes":
        """Those of the file that begin with the month or before; none without a file.

        Raises:
            UserError: as `read_fixes`.
        """
        found = {} if place is None else read_fixes(Path(place))
        return cls(str(place), month, {number: fix for number, fix in found.items() if fix.from_month <= month})

    def fingerprints(self) -> dict[str, str]:
        """Content for a stage's inputs; nothing where no fix holds, so that one of a later month redoes nothing."""
        if not self.fixes:
            return {}
        listed = [fix.model_dump(mode="json") for fix in self.fixes.values()]
        text = json.dumps(listed, sort_keys=True, ensure_ascii=False)
        return {"fixes": hashlib.sha256(text.encode()).hexdigest()[:32]}

    def merged(self, leaves: Sequence[Leaf]) -> list[Leaf]:
        """The month's leaves in cat_id order, merged ones replaced.

        Raises:
            UserError: a fix names a category that is not there, merges one twice, into itself or in a circle, or goes
                into one that had been merged away when it began.
        """
        by_id = {leaf.cat_id: leaf for leaf in leaves}
        self._check_known(by_id)
        merged_by: dict[str, int] = {}
        for number, cat_id, into in self._merges():
            self._check_merge(number, by_id[cat_id], into, merged_by)
            by_id[cat_id] = replace(by_id[cat_id], replaced_by=into)
            merged_by[cat_id] = number
            self._check_circle(number, cat_id, by_id)
        self._check_targets(merged_by, by_id)
        return [by_id[cat_id] for cat_id in sorted(by_id)]

    def rules(self, leaves: Sequence[Leaf]) -> list[Rule]:
        """What the fixes change in train rows, in the file's order.

        Args:
            leaves: as `merged` gives them.

        Raises:
            UserError: what should be a word is none.
        """
        replaced = replaced_ones(leaves)
        return [
            rule
            for place, (number, fix) in enumerate(self.fixes.items(), 1)
            if fix.merge is None
            for rule in self._rules_of(place, number, fix, replaced[fix.sources[0]])
        ]

    def facts(self, tokens: DataFrame, leaves: Sequence[Leaf]) -> list[dict[str, Any]]:
        """Each fix with its categories' paths and the rows that it moved or left out; of a merge rows of all splits.

        Args:
            tokens: the window's rows with the fixes applied.
            leaves: the month's.
        """
        if not self.fixes:
            return []
        paths, rows = {leaf.cat_id: list(leaf.path) for leaf in leaves}, self._counted(tokens)
        for place, number in enumerate(self.fixes, 1):
            if not rows[place]:
                LOG.warning("%s, fix %d: no row of %s's window is as it says", self.place, number, self.month)
        return [
            {
                "number": number,
                "kind": fix.kind,
                **fix.model_dump(mode="json", exclude_none=True),
                "categories": {cat_id: paths[cat_id] for cat_id in dict.fromkeys([*fix.sources, *fix.targets])},
                "rows": rows[place],
            }
            for place, (number, fix) in enumerate(self.fixes.items(), 1)
        ]

    def _counted(self, tokens: DataFrame) -> Counter[int]:
        """Rows by the fix's place."""
        places = {number: place for place, number in enumerate(self.fixes, 1)}
        merged = {cat_id: places[number] for number, cat_id, _ in self._merges()}
        label = F.when(F.col("fix").isNull() & F.col("cat_id").isin(list(merged)), F.col("cat_id"))
        named = tokens.select("fix", label.alias("merged")).where("fix IS NOT NULL OR merged IS NOT NULL")
        rows: Counter[int] = Counter()
        for row in named.groupBy("fix", "merged").count().collect():
            rows[row["fix"] or merged[row["merged"]]] += int(row["count"])
        return rows

    def _rules_of(self, place: int, number: int, fix: CategoryFix, labels: list[str]) -> Iterator[Rule]:
        if fix.split is not None:
            for rule in fix.split.rules:
                yield Rule(place, labels, rule.into, words=self._words(number, rule.words))
        chosen: Rows | None = fix.exclude or fix.relabel
        if chosen is not None:
            words, mall_category_words = (
                None if given is None else self._words(number, given)
                for given in (chosen.words, chosen.mall_category_words)
            )
            into = None if fix.relabel is None else fix.relabel.into
            yield Rule(place, labels, into, chosen.malls, words, mall_category_words)

    def _words(self, number: int, words: Sequence[str]) -> list[str]:
        """As names have them: tokens are cut from normalised names."""
        for word in words:
            if len(word) > LONGEST_WORD:
                self._refuse(number, f"{word[:20] + '…'!r} is longer than {LONGEST_WORD} characters; give a word")
        found = [normalize(word, LONGEST_WORD) for word in words]
        for word, given in zip(found, words, strict=True):
            if not word or " " in word:
                self._refuse(number, f"{given!r} is no single word; give words as names are cut into them")
        return found

    def _merges(self) -> Iterator[tuple[int, str, str]]:
        """Number of the fix, the category, and what it is merged into."""
        for number, fix in self.fixes.items():
            if fix.merge is not None:
                for cat_id in fix.merge.categories:
                    yield number, cat_id, fix.merge.into

    def _check_known(self, by_id: Mapping[str, Leaf]) -> None:
        for number, fix in self.fixes.items():
            for cat_id in (*fix.sources, *fix.targets):
                if cat_id not in by_id:
                    self._refuse(
                        number, f"the taxonomy of {self.month} has no category {cat_id!r}; correct it or drop the fix"
                    )
            if fix.merge is None and set(fix.sources) & set(fix.targets):
                self._refuse(number, f"category {fix.sources[0]!r} would go into itself; name another")
            for cat_id in fix.targets if fix.merge is None else ():
                if (into := by_id[cat_id].replaced_by) is not None:
                    self._refuse(number, f"category {cat_id!r} is replaced by {into!r} in the taxonomy; name that one")
            for cat_id in fix.sources if fix.merge is None else ():
                if by_id[cat_id].replaced_by in fix.targets:
                    into = by_id[cat_id].replaced_by
                    self._refuse(number, f"category {cat_id!r} is replaced by {into!r} in the taxonomy; drop the fix")

    def _check_merge(self, number: int, leaf: Leaf, into: str, merged_by: Mapping[str, int]) -> None:
        if leaf.cat_id == into:
            self._refuse(number, f"category {into!r} would be merged into itself; take it out of `categories`")
        if leaf.cat_id in merged_by:
            self._refuse(number, f"category {leaf.cat_id!r} is merged by fix {merged_by[leaf.cat_id]} too; keep one")
        if leaf.replaced_by not in (None, into):
            self._refuse(
                number, f"category {leaf.cat_id!r} is replaced by {leaf.replaced_by!r} in the taxonomy; take it out"
            )

    def _check_circle(self, number: int, cat_id: str, by_id: Mapping[str, Leaf]) -> None:
        """Whether following the replacement that was just made comes back to where it began."""
        seen = [cat_id]
        while (following := by_id[seen[-1]].replaced_by) is not None and following in by_id:
            seen.append(following)
            if following == cat_id:
                self._refuse(number, f"merges go round in a circle ({' -> '.join(seen)}); let one of them live")

    def _check_targets(self, merged_by: Mapping[str, int], by_id: Mapping[str, Leaf]) -> None:
        """A target may be merged away later on: its rows are followed. Whoever writes a fix should know of it."""
        for number, fix in self.fixes.items():
            for into in fix.targets:
                merge = merged_by.get(into)
                if merge is not None and self.fixes[merge].from_month <= fix.from_month:
                    self._refuse(
                        number,
                        f"category {into!r} is merged into {by_id[into].replaced_by!r} by fix {merge}; name that",
                    )

    def _refuse(self, number: int, words: str) -> NoReturn:
        raise UserError(f"{self.place}, fix {number}: {words}")


def _fix(place: Path, number: int, entry: Any) -> CategoryFix:
    where = f"{place}, fix {number}"
    if not isinstance(entry, dict):
        raise UserError(f"{where}: {entry!r} is no mapping; write it as in {EXAMPLE}")
    try:
        return CategoryFix.model_validate(entry)
    except ValidationError as error:
        said = sentence(error, CategoryFix, "a fix")
        raise UserError(f"{where}: {said}; write it as in {EXAMPLE}, ids and words in quotes") from None


def _action(fix: CategoryFix) -> str:
    return json.dumps(fix.model_dump(mode="json", exclude=NO_ACTION), sort_keys=True)
