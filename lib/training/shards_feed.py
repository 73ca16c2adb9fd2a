"""Feeds the loop from a shards artefact."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.feed.reader import batches
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

    def batches(self, split: str, epoch: int) -> Any:
        """Joined splits are mixed batch by batch in proportion to their rows."""
        parts = [part for part in split.split("+") if self.rows(part)]
        read = [
            batches(
                self.shards, part, self.batch_size, columns=COLUMNS, seed=self.seed, epoch=epoch, feed=self.feed
            )
            for part in parts
        ]  # fmt: skip
        return mixed(read, [self.rows(part) for part in parts], self.seed + epoch)


def mixed(parts: list[Any], rows: list[int], seed: int) -> Any:
    """One dataset of all batches of all parts, interleaved at random in proportion to their rows."""
    if len(parts) == 1:
        return parts[0]
    shares = [count / sum(rows) for count in rows]
    return tf.data.Dataset.sample_from_datasets(parts, shares, seed=seed, stop_on_empty_dataset=False)
