"""The tokens of a training window: the month and those before it, each month's latest row per product.

Train rows carry the labels that people gave them: to single offers (lib/categories/answers.py), else by fixes of
categories (lib/categories/fixed_rows.py).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lib import months, tables
from lib.categories.answers import Corrections
from lib.categories.fixed_rows import Rule, with_fixes
from lib.errors import UserError
from lib.sources.latest import latest_products
from schemas.tokens import TOKENS

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivered:
    """The tokens of a month and of those before it, as they were delivered.

    Attributes:
        months: those that have tokens, in order; the last is the month asked for.
        tokens: their rows, one per month and product.
        fingerprints: their content, for a stage's inputs.
    """

    months: tuple[str, ...]
    tokens: DataFrame
    fingerprints: dict[str, str]


@dataclass(frozen=True)
class TokenWindow:
    """Tokens of some months.

    Attributes:
        months: those of the window that have tokens, in order; the last is the month asked for.
        delivered: their rows, one per month and product, before people's work is applied.
        fingerprints: content of these rows and of people's answers, for a stage's inputs.
        corrections: people's answers.
    """

    months: tuple[str, ...]
    delivered: DataFrame
    fingerprints: dict[str, str]
    corrections: Corrections

    def tokens(self, rules: Sequence[Rule]) -> DataFrame:
        """The rows as training takes them, with a column `fix` (None: no fix says anything of the row).

        Args:
            rules: of the fixes that hold for the month. Whoever reads a window after `normalize` takes them from the
                distribution that it made, so that all learn from the same rows.
        """
        return self.corrections.applied(with_fixes(self.delivered, rules))

    def facts(self) -> dict[str, Any]:
        """What people's answers changed; empty where there was none."""
        return self.corrections.facts(self.delivered)


def delivered_tokens(spark: SparkSession, warehouse: str, month: str, count: int) -> Delivered:
    """Of the `count` months that end with `month`; earlier ones that were never delivered are left out.

    Raises:
        UserError: the month itself has no tokens.
    """
    found = {m: tables.fingerprint(spark, warehouse, TOKENS, month=m) for m in months.window(month, count)}
    if not found[month].rows:
        raise UserError(f"table tokens has no rows of {month}; run jobs/tokenize.py --month {month} first")
    present = tuple(m for m, seen in found.items() if seen.rows)
    tokens = latest_products(tables.read(spark, warehouse, TOKENS, month=present))
    return Delivered(present, tokens, {f"tokens {m}": str(found[m]) for m in present})


def token_window(spark: SparkSession, warehouse: str, month: str, count: int) -> TokenWindow:
    """The window of `count` months that ends with `month`; earlier months that were never delivered are left out.

    Raises:
        UserError: the month itself has no tokens.
    """
    found = delivered_tokens(spark, warehouse, month, count)
    if len(found.months) < count:
        LOG.info("window of %s: %d of %d months have tokens", month, len(found.months), count)
    corrections = Corrections.of(spark, warehouse, month)
    return TokenWindow(found.months, found.tokens, found.fingerprints | corrections.fingerprints(), corrections)


def check_tokenizer(window: TokenWindow) -> str:
    """The window's one tokenizer_key.

    Raises:
        UserError: months were tokenized differently; names the commands that mend it.
    """
    keys = {
        (row.month, row.tokenizer_key) for row in window.delivered.select("month", "tokenizer_key").distinct().collect()
    }
    wanted = {key for month, key in keys if month == window.months[-1]}
    if len(wanted) == 1 and len({key for _, key in keys}) == 1:
        return str(next(iter(wanted)))
    # A month of two keys was tokenized half by one dictionary and half by another: do that one again too.
    stale = sorted({month for month, key in keys if len(wanted) > 1 or key not in wanted})
    commands = "; ".join(f"jobs/tokenize.py --month {month} --force" for month in stale)
    raise UserError(
        f"the window of {window.months[-1]} has tokens of {len({key for _, key in keys})} tokenizers or dictionaries; "
        f"tokenize again with the present one: {commands}"
    )
