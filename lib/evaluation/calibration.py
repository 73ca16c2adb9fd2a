"""Whether a confidence means what it says, and what accepting only confident answers would give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Rows of similar confidence: how many, their mean confidence and their accuracy."""

    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Covered:
    """What accepting rows from a confidence up gives: the share accepted, how many, and their accuracy."""

    threshold: float
    rows: int
    coverage: float
    accuracy: float


def reliability(confidence: NDArray[np.float32], correct: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Bins of equal mass over the confidence [N] (Nguyen & O'Connor 2015); rows of equal confidence share a
    bin."""
    if len(confidence) == 0:
        return []
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, confidence, side="left")
    rows = np.bincount(place, minlength=len(edges) + 1)
    confident = np.bincount(place, weights=confidence, minlength=len(rows))
    right = np.bincount(place, weights=correct, minlength=len(rows))
    return [
        Bin(int(n), float(total / n), float(hits / n))
        for n, total, hits in zip(rows, confident, right, strict=True)
        if n
    ]


def calibration_error(confidence: NDArray[np.float32], correct: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error with equal-mass bins (Naeini et al. 2015, Guo et al. 2017), 0 to 1."""
    return binned_error(reliability(confidence, correct, bins))


def binned_error(bins: list[Bin]) -> float:
    """Mean distance between confidence and accuracy over bins, weighted by their rows."""
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.confidence - one.accuracy) for one in bins) / rows if rows else 0.0


def covered(confidence: NDArray[np.float32], correct: NDArray[np.bool_], thresholds: list[float]) -> list[Covered]:
    """Coverage and accuracy when rows with confidence >= threshold are accepted; accuracy 0 where none is."""
    order = np.argsort(confidence, kind="stable")
    hits_above = np.concatenate([np.cumsum(correct[order][::-1])[::-1], [0]])
    total = len(confidence)
    found = []
    for threshold in thresholds:
        first = int(np.searchsorted(confidence[order], np.float32(threshold), side="left"))
        rows = total - first
        found.append(
            Covered(
                threshold,
                rows,
                rows / total if total else 0.0,
                int(hits_above[first]) / rows if rows else 0.0,
            )
        )
    return found


def coverage_curve(confidence: NDArray[np.float32], correct: NDArray[np.bool_], points: int = 50) -> list[Covered]:
    """Accuracy of the most confident 1/points, 2/points, … of the rows (a risk-coverage curve, Geifman
    2017)."""
    total = len(confidence)
    if total == 0:
        return []
    order = np.argsort(-confidence, kind="stable")
    hits = np.cumsum(correct[order])
    counts = np.unique(np.ceil(np.linspace(0, 1, points + 1)[1:] * total).astype(np.int64))
    return [Covered(float(confidence[order[n - 1]]), int(n), float(n / total), float(hits[n - 1] / n)) for n in counts]


def coverage_at(confidence: NDArray[np.float32], correct: NDArray[np.bool_], accuracy: float) -> Covered:
    """The largest share of rows that can be accepted with at least that accuracy; none: 0 rows, threshold
    above 1.

    Only whole groups of equal confidence are accepted, as a threshold would.
    """
    total = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    reached = np.cumsum(correct[order]) / np.arange(1, total + 1)
    closes = np.append(ranked[1:] != ranked[:-1], True) if total else np.zeros(0, np.bool_)
    enough = np.flatnonzero((reached >= accuracy) & closes)
    if len(enough) == 0:
        return Covered(float(np.nextafter(np.float32(1), np.float32(2))), 0, 0.0, 0.0)
    last = int(enough[-1])
    return Covered(float(ranked[last]), last + 1, (last + 1) / total, float(reached[last]))
