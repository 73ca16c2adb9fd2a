"""A feed whose labels have been made wrong on purpose, for studies: which, and into what, follows from row_id alone.

Every epoch, every method and any number of workers see the same wrong labels. Train and validation rows have them, as
in a month of real noise; nothing else of the pipeline sees them, so test labels stay what they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.config.noise import InjectedNoise
from lib.errors import UserError
from lib.training.feed import FeedOver

TEST = "test"
# Of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
GOLDEN, FIRST, SECOND = (np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
# Bits of a double's fraction.
FRACTION = 53


@dataclass(frozen=True)
class WrongLabels:
    """Which label each row gets.

    Attributes:
        noise: kind, share and seed.
        parents: of each label the number of its parent [classes]; labels of one parent are siblings.
    """

    noise: InjectedNoise
    parents: NDArray[np.int64]

    def of(self, row_ids: NDArray[np.int64], labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """The labels [rows], of which the share is wrong; one without siblings stays under kind 'sibling'."""
        drawn, chosen = (_uniform(row_ids, 2 * self.noise.seed + stream) for stream in (0, 1))
        wrong = (drawn < self.noise.share) & (labels >= 0)
        order, place, first, size = self._groups
        own = np.maximum(labels, 0)
        # One of the others in the group, counted on from the label itself.
        step = 1 + (chosen * np.maximum(size[own] - 1, 1)).astype(np.int64)
        other = order[first[own] + (place[own] - first[own] + step) % size[own]]
        return np.where(wrong & (size[own] > 1), other, labels).astype(np.int32)

    @cached_property
    def _groups(self) -> tuple[NDArray[np.int64], ...]:
        """The labels group by group; of each label its place there, and its group's first place and size."""
        groups = self.parents if self.noise.kind == "sibling" else np.zeros_like(self.parents)
        order = np.argsort(groups, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return order, place, np.searchsorted(groups[order], groups), np.bincount(groups)[groups]


@dataclass(frozen=True)
class NoisyFeed(FeedOver):
    """Another feed's batches, which have a column row_id, with wrong labels but for the test split."""

    wrong: WrongLabels

    def whole(self) -> "NoisyFeed":
        """All rows of the other."""
        return NoisyFeed(self.feed.whole(), self.wrong)

    def batches(self, split: str, epoch: int, done: int = 0) -> Iterable[Mapping[str, Any]]:
        """The other's."""
        for batch in self.feed.batches(split, epoch, done):
            if split == TEST:
                yield batch
                continue
            given = np.asarray(batch["label"])
            yield {**batch, "label": tf.constant(self.wrong.of(np.asarray(batch["row_id"]), given))}


def parents_of(paths: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """The number of each path's parent node [classes]."""
    numbers: dict[tuple[str, ...], int] = {}
    return np.array([numbers.setdefault(tuple(path[:-1]), len(numbers)) for path in paths], np.int64)


def check_siblings(noise: InjectedNoise, paths: Sequence[Sequence[str]]) -> None:
    """Raise UserError where labels are to become siblings' and there is no tree, or nobody in it has a sibling."""
    parents = [tuple(path[:-1]) for path in paths]
    if noise.share and noise.kind == "sibling" and (not any(parents) or len(set(parents)) == len(parents)):
        raise UserError(
            "train.injected.kind is sibling, but no category of the month has a parent and a sibling; use symmetric"
        )


def _uniform(row_ids: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each row."""
    with np.errstate(over="ignore"):
        mixed = row_ids.astype(np.uint64) + GOLDEN * np.uint64(stream + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * FIRST
        mixed = (mixed + GOLDEN * np.uint64(stream + 1)) * SECOND
        mixed = (mixed ^ (mixed >> np.uint64(27))) * SECOND
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(64 - FRACTION)).astype(np.float64) / float(1 << FRACTION)
