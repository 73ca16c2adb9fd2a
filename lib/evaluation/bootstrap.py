"""95 % intervals by resampling rows (Efron 1979), without touching rows again.

Every figure here depends on rows only through how often each distinct kind of row (a cell) occurs. Drawing N
rows with replacement makes those counts multinomial, so a thousand resamples of a million rows are one
multinomial draw over a handful of cells: the same distribution as drawing rows, exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

ROUNDS = 1000
SEED = 20260101
LOW, HIGH = 2.5, 97.5
# A draw over many cells (confusions of thousands of categories) is cut into pieces of about this many
# numbers.
PIECE_CELLS = 4_000_000
# Bounds the work for macro F1, whose cells grow with the confusions: fewer rounds, never fewer than
# MIN_ROUNDS.
MAX_DRAWS = 40_000_000
MIN_ROUNDS = 200


@dataclass(frozen=True)
class Interval:
    """A figure and the ends of its 95 % percentile interval."""

    value: float
    low: float
    high: float


Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def resampled(counts: NDArray[np.int64], statistic: Statistic, rounds: int = ROUNDS, seed: int = SEED) -> Interval:
    """Interval of a statistic of cell counts.

    Args:
        counts: int [cells], how many rows are in each cell.
        statistic: float [k, cells] -> [k], the figure for k vectors of counts.

    The interval is widened to hold the figure itself, which a resampled macro F1 tends to stay below.
    """
    total = int(counts.sum())
    if total == 0:
        return Interval(0.0, 0.0, 0.0)
    value = float(statistic(counts[None, :].astype(np.float64))[0])
    generator = np.random.default_rng(seed)
    piece = max(1, PIECE_CELLS // len(counts))
    drawn = [
        statistic(generator.multinomial(total, counts / total, size=min(piece, rounds - start)).astype(np.float64))
        for start in range(0, rounds, piece)
    ]
    low, high = np.percentile(np.concatenate(drawn), [LOW, HIGH])
    return Interval(value, min(float(low), value), max(float(high), value))


def mean(values: ArrayLike, rounds: int = ROUNDS, seed: int = SEED) -> Interval:
    """Interval of a mean over rows [N], such as an accuracy (booleans)."""
    distinct, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    return resampled(counts, lambda drawn: drawn @ distinct / drawn.sum(axis=1), rounds, seed)


def ratio(numerator: ArrayLike, denominator: ArrayLike, rounds: int = ROUNDS, seed: int = SEED) -> Interval:
    """Interval of sum(numerator) / sum(denominator) over rows [N]; 0 where the denominator sums to 0."""
    pairs = np.stack([np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)], axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)

    def statistic(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return divided(drawn @ distinct[:, 0], drawn @ distinct[:, 1])

    return resampled(counts, statistic, rounds, seed)


def paired_difference(ours: ArrayLike, peer: ArrayLike, rounds: int = ROUNDS, seed: int = SEED) -> Interval:
    """Interval of mean(ours) - mean(peer) on the same rows, resampled together.

    Args:
        ours, peer: [N] row results (booleans), or [seeds, N]: then a row's result is its mean over the seeds.

    Raises:
        ValueError: the two are not about the same rows.
    """
    first, second = (np.atleast_2d(np.asarray(values, np.float64)).mean(axis=0) for values in (ours, peer))
    if first.shape != second.shape:
        raise ValueError(f"paired results must be of the same rows, got {first.shape} and {second.shape}")
    return mean(np.round(first - second, 12), rounds, seed)


def macro_f1(label: NDArray[np.int32], predicted: NDArray[np.int32], classes: int, rounds: int = ROUNDS) -> Interval:
    """Interval of the unweighted mean F1 over the categories that occur as labels.

    Rows labelled -1 count as false positives of what was predicted. A category that a resample lacks counts
    as 0 where something was predicted to be it, and is left out where not.
    """
    pairs, counts = np.unique(np.stack([label, predicted], axis=1), axis=0, return_counts=True)
    if len(pairs) == 0:
        return Interval(0.0, 0.0, 0.0)
    cells = np.arange(len(pairs))
    given = _members(cells[pairs[:, 0] >= 0], pairs[pairs[:, 0] >= 0, 0], len(pairs), classes)
    said = _members(cells, pairs[:, 1], len(pairs), classes)
    hit = cells[pairs[:, 0] == pairs[:, 1]]
    both = _members(hit, pairs[hit, 0], len(pairs), classes)
    occurring = np.unique(pairs[pairs[:, 0] >= 0, 0])

    def statistic(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        supported = (drawn @ given)[:, occurring] + (drawn @ said)[:, occurring]
        scores = divided(2 * (drawn @ both)[:, occurring], supported)
        return divided(scores.sum(axis=1), (supported > 0).sum(axis=1).astype(np.float64))

    affordable = max(MIN_ROUNDS, MAX_DRAWS // (len(pairs) + 3 * len(occurring)))
    return resampled(counts, statistic, min(rounds, affordable))


def divided(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """numerator / denominator, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def _members(cells: NDArray[np.int64], categories: NDArray[np.int32], rows: int, classes: int) -> sparse.csr_array:
    """Sparse 0/1 [cells, classes]: which category a cell's rows count for."""
    return sparse.csr_array((np.ones(len(cells)), (cells, categories)), shape=(rows, classes))
