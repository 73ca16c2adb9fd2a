"""Where the loop gets its batches, and a feed of arrays in memory."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.feed import order
from lib.training.noisy_labels import Ranges

# What a step reads of a training row beside the model's inputs.
TARGETS = ("label", "weight")
TRAIN, VALIDATION = "train", "validation"
# So many steps before its end an epoch's last rows have been read (feed.prefetch of them wait), and the next can be.
AHEAD_STEPS = 4


class Feed(Protocol):
    """Batches of splits; a split may be several joined with '+', such as train+validation."""

    def rows(self, split: str) -> int:
        """Rows of an epoch, over all workers."""

    def steps(self, split: str) -> int:
        """Batches of an epoch: as many for each worker."""

    def whole(self) -> "Feed":
        """A feed of all rows, whichever worker reads them."""

    def ranges(self, split: str) -> list[Ranges]:
        """Of each worker, the row_ids it reads: of each of its files the first, and how many follow."""

    def batches(self, split: str, epoch: int, done: int = 0) -> Iterable[Mapping[str, Any]]:
        """Dicts of tensors [batch, …], the model's columns and TARGETS; this worker's rows, each once.

        The last batch may be smaller, and where another worker has more rows the last ones may be empty.

        Args:
            epoch: decides the order of a train split.
            done: batches that were taken before; the next one comes first.
        """


class Epochs:
    """One epoch's batches after another's; the next begins to be read before the last steps of this are taken.

    Args:
        epochs: number of the last one, after which nothing is read ahead.
    """

    def __init__(self, feed: Feed, split: str, epochs: int) -> None:
        self.feed, self.split, self.epochs = feed, split, epochs
        self._ahead: dict[int, Iterator[Mapping[str, Any]]] = {}

    def batches(self, epoch: int, done: int = 0) -> Iterator[Mapping[str, Any]]:
        """The batches of an epoch that come after the first `done`."""
        begun = self._ahead.pop(epoch, None)
        ahead = max(self.feed.steps(self.split) - AHEAD_STEPS, done + 1)
        for number, batch in enumerate(begun or iter(self.feed.batches(self.split, epoch, done)), done + 1):
            if number == ahead and epoch < self.epochs:
                self._ahead[epoch + 1] = iter(self.feed.batches(self.split, epoch + 1))
            yield batch


@dataclass(frozen=True)
class FeedOver:
    """Another feed, for those that change its batches."""

    feed: Feed

    def rows(self, split: str) -> int:
        """As the other's."""
        return self.feed.rows(split)

    def steps(self, split: str) -> int:
        """As the other's."""
        return self.feed.steps(split)

    def ranges(self, split: str) -> list[Ranges]:
        """As the other's."""
        return self.feed.ranges(split)


@dataclass(frozen=True)
class MemoryFeed:
    """Serves arrays: split -> column -> values [rows, …]; train splits are shuffled each epoch."""

    splits: Mapping[str, Mapping[str, NDArray[Any]]]
    batch_size: int
    seed: int = 0

    def rows(self, split: str) -> int:
        """Length of the arrays."""
        return sum(len(self.splits[part]["label"]) if part in self.splits else 0 for part in split.split("+"))

    def steps(self, split: str) -> int:
        """All rows, batch by batch."""
        return order.batch_count(self.rows(split), self.batch_size)

    def whole(self) -> "MemoryFeed":
        """It is: nobody shares it."""
        return self

    def ranges(self, split: str) -> list[Ranges]:
        """By the first value of column row_id, which others follow."""
        parts = [self.splits[part]["row_id"] for part in split.split("+")]
        return [[(int(ids[0]), len(ids)) for ids in parts]]

    def batches(self, split: str, epoch: int, done: int = 0) -> Any:
        """Rows in a new order each epoch where training reads them, in order elsewhere."""
        parts = [self.splits[part] for part in split.split("+")]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows = len(joined["label"])
        chosen_order = (
            np.random.default_rng([self.seed, epoch]).permutation(rows) if TRAIN in split else np.arange(rows)
        )
        numbers = tf.data.Dataset.from_tensor_slices(chosen_order[done * self.batch_size :]).batch(self.batch_size)
        held = {name: tf.constant(values) for name, values in joined.items()}
        return numbers.map(lambda chosen: {name: tf.gather(values, chosen) for name, values in held.items()}).prefetch(
            2
        )
