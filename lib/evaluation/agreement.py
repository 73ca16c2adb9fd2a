"""Whether differences between two judges are chance, and how far several judges agree."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class McNemar:
    """Rows of which only one of two judges is right.

    Attributes:
        first_only, second_only: how many.
        p_value: probability of so uneven a division, or a more uneven one, if both are right equally often.
    """

    first_only: int
    second_only: int
    p_value: float


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """The exact two-sided test of McNemar (1947) on paired results: binomial over the rows in which they differ.

    Args:
        first, second: bool [rows], who was right where.

    Raises:
        ValueError: the two are not about the same rows.
    """
    ours, others = np.asarray(first, bool), np.asarray(second, bool)
    if ours.shape != others.shape:
        raise ValueError(f"paired results must be of the same rows, got {ours.shape} and {others.shape}")
    only, other = int((ours & ~others).sum()), int((others & ~ours).sum())
    p_value = float(stats.binomtest(only, only + other).pvalue) if only + other else 1.0
    return McNemar(only, other, p_value)


@dataclass(frozen=True)
class Agreement:
    """How far several judges agree.

    Attributes:
        rows: those that at least two judged.
        pairwise: mean share of pairs of judges of a row that said the same.
        kappa: Fleiss' kappa, pairwise agreement beyond chance; None where all said one thing throughout.
    """

    rows: int
    pairwise: float
    kappa: float | None


def agreement(judged: Sequence[Sequence[Hashable]]) -> Agreement | None:
    """Fleiss' kappa (1971), for rows of unequal numbers of judges as in Fleiss, Levin and Paik (2003), 18.3.

    Of a row with n judges, of whom n_j said j, the agreeing pairs are sum n_j (n_j - 1) / (n (n - 1)); chance is
    sum p_j ** 2 over the shares p_j of all that was said.

    Args:
        judged: what was said of each row; rows that fewer than two judged are left out.

    Returns:
        None where no row is left.
    """
    rows = [Counter(said) for said in judged if len(said) > 1]
    if not rows:
        return None
    pairs = [sum(n * (n - 1) for n in row.values()) / (row.total() * (row.total() - 1)) for row in rows]
    pairwise = float(np.mean(pairs))
    whole = sum(rows, Counter())
    chance = sum((n / whole.total()) ** 2 for n in whole.values())
    return Agreement(len(rows), pairwise, (pairwise - chance) / (1 - chance) if len(whole) > 1 else None)
