"""A shards artefact as batches for training: the one entrance of the feed."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.errors import UserError
from lib.feed import order
from lib.feed.blocks import Block, blocks
from lib.feed.columns import Expected, check_files, check_names, signature
from lib.feed.order import Cursor

Batch = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Listing:
    """A worker's files of one epoch, in the order they are read.

    Attributes:
        numbers: file numbers within the split.
        paths: where they lie, each checked to have its recorded size.
        rows: how many rows each has.
    """

    numbers: tuple[int, ...]
    paths: tuple[Path, ...]
    rows: tuple[int, ...]


def batches(
    artefact: Artefact,
    split: str,
    batch_size: int,
    *,
    columns: Sequence[str],
    seed: int,
    epoch: int,
    worker: int = 0,
    workers: int = 1,
    cursor: Cursor | None = None,
    feed: FeedSettings | None = None,
    mistakes: list[UserError] | None = None,
) -> tf.data.Dataset:
    """One worker's batches of one epoch: column -> tensor [batch] or [batch, length]; the last batch may be smaller.

    Train files and the rows within each come in an order that (seed, epoch) decides; validation and test in the order
    they are stored. With a cursor the dataset begins at the batch that would have come next.

    Args:
        mistakes: takes in what goes wrong while the batches are read, which TensorFlow hands on as an error of its own
            (`read_ahead`).

    Raises:
        UserError: the split has no rows, a file is missing or cut short, or a column is not what a row has.
        ValueError: the cursor is of another epoch, seed, batch size or set of files.
    """
    check_names(columns)
    settings = feed or FeedSettings()
    expected = Expected.of(columns, artefact.facts)
    listing = list_files(artefact, split, seed, epoch, worker, workers)
    check_files(listing.paths, listing.rows, expected)
    start = cursor or Cursor(epoch)
    if start.epoch != epoch:
        raise ValueError(f"{start} is not of epoch {epoch}")
    skip = order.rows_to_skip(listing.rows, batch_size, start)

    def read() -> Iterator[tuple[Block, npt.NDArray[np.int64], int]]:
        left = slice(start.files_done, None)
        made = blocks(listing.paths[left], listing.rows[left], expected, settings)
        for place, block in enumerate(_noted(made, mistakes), start.files_done):
            first = skip if place == start.files_done else 0
            rows = _row_order(listing.rows[place], split, seed, epoch, listing.numbers[place])[first:]
            yield block, rows, -(sum(listing.rows[:place]) + first) % batch_size

    cut = partial(_batches_of_block, batch_size=batch_size)
    kinds = (signature(columns, expected.widths), tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int64))
    made = tf.data.Dataset.from_generator(read, output_signature=kinds).flat_map(cut)
    # Joins the two parts of a batch that lies across two files; all others pass as they are.
    return made.rebatch(batch_size, drop_remainder=False).with_options(_without_autotune())


def _without_autotune() -> tf.data.Options:
    """There is nothing here to tune; and on a single core its thread now and then sleeps on when the epoch has ended.

    TensorFlow waits for that thread: seconds at first, and up to a minute after some epochs.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def read_ahead(dataset: Iterable[Batch], prefetch: int, mistakes: Sequence[UserError] = ()) -> Iterator[Batch]:
    """The dataset's batches, of which a thread makes the next `prefetch` in the meantime, the first from now on.

    tf.data's own prefetch does nothing of the kind where TensorFlow is to be deterministic: a pipeline with Python in
    it then makes each batch when it is asked for.

    Args:
        mistakes: those noted while the dataset is read; the first is raised in place of TensorFlow's error.

    Raises:
        UserError: a file went away or changed while it was read.
    """
    made, pool = _as_raised(iter(dataset), mistakes), ThreadPoolExecutor(1, "read_ahead")
    return _taken(made, deque(pool.submit(next, made, None) for _ in range(prefetch)), pool)


def _taken(made: Iterator[Batch], pending: deque[Future[Batch | None]], pool: Executor) -> Iterator[Batch]:
    try:
        while True:
            pending.append(pool.submit(next, made, None))
            batch = pending.popleft().result()
            if batch is None:
                return
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _as_raised(batches_left: Iterator[Batch], mistakes: Sequence[UserError]) -> Iterator[Batch]:
    try:
        yield from batches_left
    except tf.errors.OpError:
        if mistakes:
            raise mistakes[0] from None
        raise


def _noted(read: Iterator[Block], mistakes: list[UserError] | None) -> Iterator[Block]:
    try:
        yield from read
    except UserError as error:
        if mistakes is not None:
            mistakes.append(error)
        raise


def cursor_after(
    artefact: Artefact,
    split: str,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    batches_done: int,
    worker: int = 0,
    workers: int = 1,
) -> Cursor:
    """Where a worker is after that many batches of the epoch; what a checkpoint keeps."""
    numbers = _numbers(artefact, split, seed, epoch, worker, workers)
    rows = _rows_per_file(artefact, split)
    return order.cursor_after([rows[number] for number in numbers], batch_size, epoch, batches_done)


def rows_of_worker(artefact: Artefact, split: str, worker: int, workers: int) -> int:
    """Rows of a worker's files."""
    rows = _rows_per_file(artefact, split)
    return sum(rows[number] for number in order.files_of_worker(len(rows), worker, workers))


def steps_per_epoch(artefact: Artefact, split: str, batch_size: int, workers: int = 1) -> int:
    """Steps an epoch, the same for every worker, by the manifest alone; `batch_size` is one worker's."""
    return order.steps(_rows_per_file(artefact, split), batch_size, workers)


def list_files(artefact: Artefact, split: str, seed: int, epoch: int, worker: int, workers: int) -> Listing:
    """The worker's files of the epoch.

    Raises:
        UserError: the split has no files for the worker, or a listed file is missing or cut short.
    """
    numbers = _numbers(artefact, split, seed, epoch, worker, workers)
    if not numbers:
        raise UserError(
            f"split {split} of {artefact.folder} has no file for worker {worker} of {workers}; "
            "use fewer workers or a window with more rows"
        )
    rows = _rows_per_file(artefact, split)
    paths = tuple(artefact.path(f"{split}/{number:05d}.parquet") for number in numbers)
    return Listing(tuple(numbers), paths, tuple(rows[number] for number in numbers))


def _numbers(artefact: Artefact, split: str, seed: int, epoch: int, worker: int, workers: int) -> list[int]:
    numbers = order.files_of_worker(len(_rows_per_file(artefact, split)), worker, workers)
    return order.epoch_files(numbers, seed, epoch) if split == "train" else numbers


def _rows_per_file(artefact: Artefact, split: str) -> list[int]:
    splits = artefact.facts["splits"]
    if split not in splits:
        raise UserError(f"{artefact.folder} has no split {split!r}; it has {', '.join(splits)}")
    return [int(rows) for rows in splits[split]["rows_per_file"]]


def _row_order(rows: int, split: str, seed: int, epoch: int, number: int) -> npt.NDArray[np.int64]:
    return order.epoch_rows(rows, seed, epoch, number) if split == "train" else np.arange(rows, dtype=np.int64)


def _batches_of_block(block: Block, rows: tf.Tensor, lead: tf.Tensor, batch_size: int) -> tf.data.Dataset:
    """A block's rows in their order: first the `lead` rows that complete the last file's batch, then whole batches.

    The rows are picked here and not in the generator: TensorFlow copies them once, and without Python's lock.
    """
    total = tf.size(rows, out_type=tf.int64)
    count = 1 + tf.maximum(total - lead + batch_size - 1, 0) // batch_size

    def batch(number: tf.Tensor) -> dict[str, tf.Tensor]:
        end = lead + number * batch_size
        picked = rows[tf.maximum(end - batch_size, 0) : tf.minimum(end, total)]
        return {name: tf.gather(values, picked) for name, values in block.items()}

    return tf.data.Dataset.range(tf.where(lead > 0, tf.constant(0, tf.int64), 1), count).map(batch)
