"""Which categories fail, with which others they are confused, and which are too small to judge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Below this many rows an accuracy says little: at 10 rows its interval is still about 30 points wide to
# either side.
ENOUGH_ROWS = 10


@dataclass(frozen=True)
class CategoryResult:
    """One category: rows, accuracy, F1, and the label it is most often mistaken for (-1 if it never is)."""

    label: int
    rows: int
    accuracy: float
    f1: float
    mistaken_for: int
    mistaken_rows: int


@dataclass(frozen=True)
class SmallCategories:
    """The categories with under ENOUGH_ROWS rows taken together."""

    categories: int
    rows: int
    accuracy: float


@dataclass(frozen=True)
class Confusion:
    """How often one label was given and another said."""

    label: int
    predicted: int
    rows: int


def per_category(
    label: NDArray[np.int32], predicted: NDArray[np.int32], classes: int, enough: int = ENOUGH_ROWS
) -> list[CategoryResult]:
    """Every category with at least `enough` rows, worst accuracy first (then more rows first)."""
    known = label >= 0
    rows = np.bincount(label[known], minlength=classes)
    said = np.bincount(predicted, minlength=classes)
    hits = np.bincount(label[known & (label == predicted)], minlength=classes)
    rivals = _first_rivals(confusions(label, predicted, None))
    found = [
        CategoryResult(
            label=int(one),
            rows=int(rows[one]),
            accuracy=float(hits[one] / rows[one]),
            f1=float(2 * hits[one] / (rows[one] + said[one])),
            mistaken_for=rivals[int(one)].predicted if int(one) in rivals else -1,
            mistaken_rows=rivals[int(one)].rows if int(one) in rivals else 0,
        )
        for one in np.flatnonzero(rows >= enough)
    ]
    return sorted(found, key=lambda result: (result.accuracy, -result.rows, result.label))


def small_categories(
    label: NDArray[np.int32], predicted: NDArray[np.int32], classes: int, enough: int = ENOUGH_ROWS
) -> SmallCategories:
    """The categories with 1 to `enough` - 1 rows, pooled."""
    known = label >= 0
    rows = np.bincount(label[known], minlength=classes)
    small = (rows > 0) & (rows < enough)
    inside = known & small[np.maximum(label, 0)]
    count = int(inside.sum())
    return SmallCategories(int(small.sum()), count, float((label == predicted)[inside].mean()) if count else 0.0)


def confusions(label: NDArray[np.int32], predicted: NDArray[np.int32], limit: int | None = 20) -> list[Confusion]:
    """The most frequent (given, said) pairs that differ, most rows first; rows without a known label
    apart."""
    wrong = (label != predicted) & (label >= 0)
    pairs, counts = np.unique(np.stack([label[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:limit]
    return [Confusion(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order]


def _first_rivals(listed: list[Confusion]) -> dict[int, Confusion]:
    rivals: dict[int, Confusion] = {}
    for one in listed:
        rivals.setdefault(one.label, one)
    return rivals
