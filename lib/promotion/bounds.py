"""Bounds and tests of the difference of two accuracies on the same rows.

Two models on the same rows differ only where one is right and the other wrong. The score method (Tango: Equivalence
test and confidence interval for the difference in proportions for the paired-sample design, Statistics in Medicine 17,
1998) holds its level also where they hardly differ, where the textbook interval (mean +- z * deviation) has no width:
seven rows without a difference would show two models to be equal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]
# Halvings of an interval of length 2: the bound is exact to 1e-12.
HALVINGS = 41
TINY = 1e-300


@dataclass(frozen=True)
class Pairs:
    """How often two models differ on the same rows; of many categories, or of all rows (arrays of one).

    Attributes:
        rows: float64 [N], rows.
        gains: float64 [N], of them those that the candidate alone has right.
        losses: float64 [N], those that the champion alone has right.
    """

    rows: Floats
    gains: Floats
    losses: Floats

    @property
    def total(self) -> "Pairs":
        """All of them as one."""
        return Pairs(*(np.array([column.sum()]) for column in (self.rows, self.gains, self.losses)))

    @property
    def difference(self) -> Floats:
        """float64 [N], accuracy gained; 0 where there are no rows."""
        found: Floats = (self.gains - self.losses) / np.maximum(self.rows, 1)
        return found

    def thinned(self, effect: float) -> "Pairs":
        """As many rows fewer, in the same shares.

        Args:
            effect: how many rows tell as much as one that is independent of the others.
        """
        return Pairs(self.rows / effect, self.gains / effect, self.losses / effect)

    def __len__(self) -> int:
        return len(self.rows)


def loss_score(pairs: Pairs, margin: ArrayLike) -> Floats:
    """Tango's statistic [N] of the hypothesis that the accuracy lost is `margin` [N]: about normal(0, 1) if it is,
    larger if more is lost."""
    rows, gains, losses, lost = pairs.rows, pairs.gains, pairs.losses, np.asarray(margin, np.float64)
    # The most likely share of gains if the loss is `margin`: the larger root of 2 n q^2 + b q + c = 0.
    b = lost * (2 * rows - losses + gains) - losses - gains
    c = -gains * lost * (1 - lost)
    share = (np.sqrt(np.maximum(b * b - 8 * rows * c, 0)) - b) / np.maximum(4 * rows, TINY)
    variance = rows * (2 * share + lost * (1 - lost))
    found: Floats = (losses - gains - rows * lost) / np.sqrt(np.maximum(variance, TINY))
    return found


def lower_bound(pairs: Pairs, level: float) -> Floats:
    """One-sided lower bound [N] of the accuracy gained; -1 where there are no rows.

    Args:
        level: how sure the bound is, for instance 0.95.
    """
    limit = -norm.ppf(level)
    low, high = np.full(len(pairs), -1.0), np.ones(len(pairs))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # A loss so large that the rows speak against it.
        excluded = loss_score(pairs, middle) <= limit
        low, high = np.where(excluded, low, middle), np.where(excluded, middle, high)
    return np.where(pairs.rows > 0, -high, -1.0)


def loses_more(pairs: Pairs, margin: float) -> Floats:
    """Chance [N] of such rows, or of worse ones, where no more than `margin` is lost (one-sided)."""
    found: Floats = norm.sf(loss_score(pairs, margin))
    return np.where(pairs.rows > 0, found, 1.0)


def holm(chances: Floats) -> Floats:
    """Chances [N] of several tests made comparable with one level for all (Holm 1979)."""
    order = np.argsort(chances, kind="stable")
    left = len(chances) - np.arange(len(chances))
    adjusted = np.empty(len(chances))
    adjusted[order] = np.minimum(np.maximum.accumulate(chances[order] * left), 1.0)
    return adjusted


@dataclass(frozen=True)
class Groups:
    """Rows that may be right and wrong together, as sums over the groups.

    Attributes:
        sizes: of squared numbers of rows.
        differences: of squared differences, gains - losses.
        products: of numbers of rows times differences.
    """

    sizes: float
    differences: float
    products: float


def design_effect(total: Pairs, groups: Groups) -> float:
    """How much larger the variance of the difference is than of so many independent rows, and 1 at least (Kish: Survey
    Sampling, 1965): offers of one name, from many malls, are right or wrong together.

    Args:
        total: all rows as one.
    """
    rows, gains, losses = (float(column[0]) for column in (total.rows, total.gains, total.losses))
    if not rows:
        return 1.0
    mean = (gains - losses) / rows
    independent = gains + losses - rows * mean**2
    if not independent:
        return groups.sizes / rows
    together = groups.differences - 2 * mean * groups.products + mean**2 * groups.sizes
    return max(together / independent, 1.0)


def weighted(gained: ArrayLike, weight: ArrayLike) -> Pairs:
    """A weighted sample as the simple one that tells as much: as many rows as Kish's effective sample size (Survey
    Sampling, 1965), gains and losses in their weighted shares.

    Args:
        gained: [rows], 1 where the candidate alone is right, -1 where the champion alone is, 0 otherwise.
        weight: [rows], above 0.
    """
    sign, heavy = np.asarray(gained), np.asarray(weight, np.float64)
    total = heavy.sum()
    rows = total**2 / (heavy**2).sum() if len(heavy) else 0.0
    shares = [heavy[sign == wanted].sum() / total if total else 0.0 for wanted in (1, -1)]
    return Pairs(*(np.array([value]) for value in (rows, rows * shares[0], rows * shares[1])))
