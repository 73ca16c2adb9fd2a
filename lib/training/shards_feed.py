"""Feeds the loop from a shards artefact."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.feed import order, reader
from lib.training.feed import COLUMNS


@dataclass(frozen=True)
class ShardsFeed:
    """Reads a shards artefact.

    Attributes:
        shards: the artefact.
        batch_size: rows a batch, over all replicas.
        seed: of the order of files and rows.
        feed: how much is read ahead.
    """

    shards: Artefact
    batch_size: int
    seed: int
    feed: FeedSettings

    def rows(self, split: str) -> int:
        """From the artefact's facts."""
        return sum(int(self.shards.facts["splits"][part]["rows"]) for part in split.split("+"))

    def batches(self, split: str, epoch: int, done: int = 0) -> Any:
        """Batches of joined splits come in a random order of the splits, each batch from one of them."""
        parts = [part for part in split.split("+") if self.rows(part)]
        counts = [order.batch_count(self.rows(part), self.batch_size) for part in parts]
        source = order.mixed_splits(counts, self.seed, epoch)
        taken = np.bincount(source[:done], minlength=len(parts))
        read = [self._of_split(part, epoch, int(number)) for part, number in zip(parts, taken, strict=True)]
        if len(read) == 1:
            return read[0]
        chosen = tf.data.Dataset.from_tensor_slices(source[done:])
        return tf.data.Dataset.choose_from_datasets(read, chosen, stop_on_empty_dataset=False)

    def _of_split(self, split: str, epoch: int, done: int) -> Any:
        at = {"seed": self.seed, "epoch": epoch}
        cursor = reader.cursor_after(self.shards, split, self.batch_size, batches_done=done, **at)
        return reader.batches(
            self.shards, split, self.batch_size, columns=COLUMNS, cursor=cursor, feed=self.feed, **at
        )  # fmt: skip
