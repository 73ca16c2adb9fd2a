"""A shards artefact as batches for training: the one entrance of the feed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.errors import UserError
from lib.feed import order
from lib.feed.blocks import Block, blocks
from lib.feed.columns import check_files, check_names, signature
from lib.feed.order import Cursor
from lib.shards.row import lengths


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
) -> tf.data.Dataset:
    """One worker's batches of one epoch: column -> tensor [batch] or [batch, length]; the last batch may be smaller.

    Train files and the rows within each come in an order that (seed, epoch) decides; validation and test in the order
    they are stored. With a cursor the dataset begins at the batch that would have come next.

    Raises:
        UserError: the split has no rows, a file is missing or cut short, or a column is not what a row has.
        ValueError: the cursor is of another epoch, seed, batch size or set of files.
    """
    check_names(columns)
    settings = feed or FeedSettings()
    widths = {name: width for name, width in lengths(artefact.facts).items() if name in columns}
    listing = list_files(artefact, split, seed, epoch, worker, workers)
    check_files(listing.paths, listing.rows, columns, widths)
    start = cursor or Cursor(epoch)
    if start.epoch != epoch:
        raise ValueError(f"{start} is not of epoch {epoch}")
    skip = order.rows_to_skip(listing.rows, batch_size, start)

    def read() -> Iterator[Block]:
        todo = slice(start.files_done, None)
        numbers, paths = listing.numbers[todo], listing.paths[todo]
        if not paths:
            return
        for place, (number, block) in enumerate(
            zip(numbers, blocks(paths, columns, widths, settings), strict=True)
        ):
            yield _ordered(block, split, seed, epoch, number, skip if place == 0 else 0)

    made = tf.data.Dataset.from_generator(read, output_signature=signature(columns, widths))
    made = made.rebatch(batch_size, drop_remainder=False)
    return made.prefetch(settings.prefetch) if settings.prefetch else made


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


def steps_per_epoch(artefact: Artefact, split: str, batch_size: int, workers: int = 1) -> int:
    """Steps an epoch, the same for every worker, by the manifest alone."""
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


def _ordered(block: Block, split: str, seed: int, epoch: int, number: int, skip: int) -> Block:
    """The block's rows as the epoch orders them, less those that have been in batches."""
    if split != "train":
        return {name: values[skip:] for name, values in block.items()}
    rows = order.epoch_rows(len(next(iter(block.values()))), seed, epoch, number)[skip:]
    return {name: values[rows] for name, values in block.items()}
