"""What people's fixes of the categories change in the rows that are learnt from.

Only train rows: a fix says that labels of the malls are wrong or better not learnt from, and whether that helps is
asked on validation and test rows as they were delivered; if they were mended too, every fix would look good. A merge
is no such rule but a part of the taxonomy, for all splits (lib/categories/fixes.py).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lib.categories.answers import ON_TRAIN_SIDE
from lib.sources.product_ids import mall_column

# As an artefact lists them.
RULES = "fixes.json"


@dataclass(frozen=True)
class Rule:
    """Train rows of some labels, what else has to hold of them, and the label that they get.

    Attributes:
        fix: place of the fix among those of the month, from 1.
        labels: cat_ids as rows may have them.
        into: the label they get; None: they are left out.
        malls: ids, any of which has to be the row's; None: whichever.
        words: tokens, any of which has to be in the name; None: whichever.
        mall_category_words: likewise of the mall's own category.
    """

    fix: int
    labels: list[str]
    into: str | None = None
    malls: list[str] | None = None
    words: list[str] | None = None
    mall_category_words: list[str] | None = None

    def holds(self) -> Column:
        """Whether it holds of a row of `tokens`; null counts as not."""
        found = F.col("cat_id").isin(self.labels)
        if self.malls is not None:
            found &= mall_column().isin(self.malls)
        if self.words is not None:
            found &= _any_of("name_tokens", self.words)
        if self.mall_category_words is not None:
            found &= _any_of("category_tokens", self.mall_category_words)
        return found


def with_fixes(tokens: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """Adds `fix`, the fix whose rule holds of a train row (the first in order), and gives the row the rule's label.

    A row that is left out has a fix and no label. No rule sees what another one did.

    Args:
        tokens: product_id, split, cat_id, name_tokens, category_tokens and whatever else.
    """
    if not rules:
        return tokens.withColumn("fix", F.lit(None).cast("int"))
    # Places in two lists, where nested conditions would grow as deep as there are rules.
    first = F.coalesce(*(F.when(rule.holds(), F.lit(place)) for place, rule in enumerate(rules, 1)))
    fixes = F.array(*(F.lit(rule.fix) for rule in rules))
    labels = F.array(*(F.lit(rule.into).cast("string") for rule in rules))
    placed, rule = tokens.withColumn("rule", F.when(F.expr(ON_TRAIN_SIDE), first)), F.col("rule")
    # Without the condition Spark 4.0 gives an element of an array of constants for a place that is null, too.
    fix = F.when(rule.isNotNull(), F.element_at(fixes, rule))
    label = F.when(rule.isNotNull(), F.element_at(labels, rule)).otherwise(F.col("cat_id"))
    return placed.withColumns({"fix": fix, "cat_id": label}).drop("rule")


def write_rules(rules: Sequence[Rule], place: Path) -> None:
    """Keep them for `read_rules`."""
    place.write_text(json.dumps([asdict(rule) for rule in rules], ensure_ascii=False, indent=1), encoding="utf-8")


def read_rules(place: Path) -> list[Rule]:
    """As they were written."""
    return [Rule(**record) for record in json.loads(place.read_text(encoding="utf-8"))]


def _any_of(tokens: str, words: Sequence[str]) -> Column:
    return F.arrays_overlap(tokens, F.array(*(F.lit(word) for word in words)))
