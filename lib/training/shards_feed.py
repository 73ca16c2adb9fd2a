"""Feeds the loop from a shards artefact: to each worker its own files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.errors import UserError
from lib.feed import columns, order, reader
from lib.images.pixels import pixels
from lib.model.architecture import Architecture
from lib.shards.row import IMAGE_COLUMNS, SPLITS, lengths
from lib.training.cluster import Cluster
from lib.training.feed import TARGETS, TRAIN
from lib.training.noisy_labels import Ranges


@dataclass(frozen=True)
class ShardsFeed:
    """Reads a worker's part of a shards artefact.

    Attributes:
        shards: the artefact.
        architecture: of the model, whose inputs are read.
        batch_size: rows a step, over all workers.
        seed: of the order of files and rows.
        feed: how much is read ahead.
        cluster: who reads which files.
        row_ids: whether batches have a column row_id.

    Raises:
        UserError: the batch cannot be shared evenly, or there is a worker without a file to train on.
    """

    shards: Artefact
    architecture: Architecture
    batch_size: int
    seed: int
    feed: FeedSettings
    cluster: Cluster = field(default_factory=Cluster)
    row_ids: bool = False

    def __post_init__(self) -> None:
        workers = self.cluster.workers
        if self.batch_size % workers:
            raise UserError(
                f"train.batch_size {self.batch_size} cannot be shared by {workers} workers; make it a multiple"
            )
        files = int(self.shards.facts["splits"][TRAIN]["files"])
        if files < workers:
            raise UserError(
                f"{self.shards.folder} has {files} files to train on, too few for {workers} workers; use {files} "
                f"workers at most, or set shards.file_multiple to {workers} and make the shards again"
            )

    def rows(self, split: str) -> int:
        """From the artefact's facts."""
        return sum(int(self.shards.facts["splits"][part]["rows"]) for part in split.split("+"))

    def steps(self, split: str) -> int:
        """From the artefact's facts too, so that no worker needs to ask another."""
        return sum(self._steps_of_each(split))

    def whole(self) -> "ShardsFeed":
        """All rows, whoever reads them."""
        return replace(self, cluster=Cluster())

    def ranges(self, split: str) -> list[Ranges]:
        """From the artefact's facts, as its rows are numbered file after file, split after split."""
        first, firsts = 0, {}
        for part in SPLITS:
            for number, rows in enumerate(self.shards.facts["splits"][part]["rows_per_file"]):
                firsts[part, number] = (first, int(rows))
                first += int(rows)
        workers = self.cluster.workers
        return [
            [
                firsts[part, number]
                for part in self._parts(split)
                for number in order.files_of_worker(self.shards.facts["splits"][part]["files"], worker, workers)
            ]
            for worker in range(workers)
        ]

    def batches(self, split: str, epoch: int, done: int = 0) -> Iterator[dict[str, Any]]:
        """Batches of joined splits come in a random order of the splits, each batch from one of them.

        Raises:
            UserError: a file is missing or is not what the manifest says, or goes away while it is read.
        """
        mistakes: list[UserError] = []
        read = self._decoded(self._dataset(split, epoch, done, mistakes))
        return reader.read_ahead(read, self.feed.prefetch, mistakes)

    def _decoded(self, batches: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        """With pixels in place of JPEGs."""
        column, picture = IMAGE_COLUMNS["raw"], self.architecture.picture
        if column not in self._columns or picture is None:
            return batches
        size = picture.size
        return ({**batch, column: pixels(batch[column], size)} for batch in batches)

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*self.architecture.columns, *TARGETS, *(["row_id"] if self.row_ids else []))

    def _dataset(self, split: str, epoch: int, done: int, mistakes: list[UserError]) -> Any:
        source = order.mixed_splits(self._steps_of_each(split), self.seed, epoch)
        parts = self._parts(split)
        taken = np.bincount(source[:done], minlength=len(parts))
        read = [self._of_split(part, epoch, int(number), mistakes) for part, number in zip(parts, taken, strict=True)]
        if len(read) == 1:
            return read[0]
        chosen = tf.data.Dataset.from_tensor_slices(source[done:])
        return tf.data.Dataset.choose_from_datasets(read, chosen, stop_on_empty_dataset=False)

    def _parts(self, split: str) -> list[str]:
        return [part for part in split.split("+") if self.rows(part)]

    def _steps_of_each(self, split: str) -> list[int]:
        return [
            reader.steps_per_epoch(self.shards, part, self._own_batch, self.cluster.workers)
            for part in self._parts(split)
        ]

    @property
    def _own_batch(self) -> int:
        return self.batch_size // self.cluster.workers

    def _of_split(self, split: str, epoch: int, done: int, mistakes: list[UserError]) -> Any:
        """This worker's batches, and empty ones up to the number of steps."""
        at = {"seed": self.seed, "epoch": epoch, "worker": self.cluster.worker, "workers": self.cluster.workers}
        rows = reader.rows_of_worker(self.shards, split, self.cluster.worker, self.cluster.workers)
        own = order.batch_count(rows, self._own_batch)
        missing = reader.steps_per_epoch(self.shards, split, self._own_batch, self.cluster.workers) - max(own, done)
        if not rows:
            return self._empty().repeat(missing)
        cursor = reader.cursor_after(self.shards, split, self._own_batch, batches_done=min(done, own), **at)
        read = reader.batches(
            self.shards, split, self._own_batch, columns=self._columns, cursor=cursor, feed=self.feed,
            mistakes=mistakes, **at,
        )  # fmt: skip
        return read.concatenate(self._empty().repeat(missing)) if missing else read

    def _empty(self) -> Any:
        """One batch without rows."""
        kinds = columns.signature(self._columns, lengths(self.shards.facts))
        return tf.data.Dataset.from_tensors(
            {name: tf.zeros([0, *kind.shape[1:]], kind.dtype) for name, kind in kinds.items()}
        )
