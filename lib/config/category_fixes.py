"""What the catalogue team may correct in the categories: the entries of `categories.fixes`, such as
conf/category_fixes.yaml.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from lib.config.base import Month, Settings, Text

# Bounds of a file that people write by hand. Each rule is a condition on every row: 200 are compiled in some seconds.
MOST_FIXES, MOST_RULES, MOST_NAMED = 200, 200, 1000
Named = Annotated[list[Text], Field(min_length=1, max_length=MOST_NAMED)]
Kind = Literal["merge", "split", "exclude", "relabel"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Merge(Settings):
    """Categories that are no more: all their rows are of another one."""

    categories: Named
    into: Text


class SplitRule(Settings):
    """Train rows whose name has any of the words go into another category."""

    words: Named
    into: Text


class Split(Settings):
    """A category whose train rows go by what their names say; the first rule that holds counts."""

    category: Text
    rules: list[SplitRule] = Field(min_length=1, max_length=MOST_RULES)


class Rows(Settings):
    """Train rows of a category; all that is given of these has to hold."""

    category: Text
    malls: Named | None = Field(None, description="ids of malls, as product_id begins with them")
    words: Named | None = Field(None, description="any of these is in the name")
    mall_category_words: Named | None = Field(None, description="any of these is in the mall's own category")

    @model_validator(mode="after")
    def _matches_something(self) -> "Rows":
        if self.malls is None and self.words is None and self.mall_category_words is None:
            raise ValueError(
                f"of category {self.category!r} neither malls nor words nor mall_category_words say which rows; name "
                "some (all rows of a category are what `merge` is for)"
            )
        return self


class Exclude(Rows):
    """They are left out."""


class Relabel(Rows):
    """They get another category."""

    into: Text


class CategoryFix(Settings):
    """One correction: who decided it and why, from when on it holds, and one of the four kinds."""

    from_month: Month = Field(description="first month whose normalisation applies it")
    by: Text
    why: Text
    merge: Merge | None = None
    split: Split | None = None
    exclude: Exclude | None = None
    relabel: Relabel | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "CategoryFix":
        if len(self._given) != 1:
            raise ValueError(
                f"it has {' and '.join(self._given) or 'no correction'}; give one of merge, split, exclude and relabel"
            )
        return self

    @property
    def kind(self) -> Kind:
        """Which of the four it is."""
        return self._given[0]

    @property
    def _given(self) -> list[Kind]:
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    @property
    def sources(self) -> list[str]:
        """Categories whose rows it changes."""
        if self.merge is not None:
            return self.merge.categories
        one = self.split or self.exclude or self.relabel
        assert one is not None
        return [one.category]

    @property
    def targets(self) -> list[str]:
        """Categories that rows go into; none where they are left out."""
        if self.split is not None:
            return [rule.into for rule in self.split.rules]
        one = self.merge or self.relabel
        return [] if one is None else [one.into]
