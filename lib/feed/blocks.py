"""One file after another through Petastorm's batch reader, each as a block of numpy arrays.

Petastorm 0.13.1 (frozen, pinned) reads ahead in threads and keeps the order of the list it is given. Two of its steps
cost more than the reading itself: it copies each row group through an index that changes nothing, and it stacks list
columns row by row. `BlockWorker` leaves the first out and `BlockResults` takes the arrays as Arrow holds them. Both
are hooks that its classes have; only the choice of the worker class is no argument of `make_batch_reader`.
"""

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from petastorm import reader as petastorm_reader
from petastorm.arrow_reader_worker import ArrowReaderWorker
from petastorm.workers_pool import EmptyResultError

from lib.config import FeedSettings
from lib.errors import UserError

Block = dict[str, np.ndarray[Any, Any]]
# Choosing the worker class replaces a name in Petastorm's module for a moment: one reader at a time.
_OPENING = threading.Lock()


class BlockResults:
    """Takes a table off Petastorm's queue and gives its columns as numpy arrays."""

    batched_output = True

    def read_next(self, pool: Any, schema: Any, ngram: Any) -> Block:  # noqa: ARG002 (Petastorm's signature)
        """The next file's columns.

        Raises:
            StopIteration: there is none.
        """
        try:
            return arrays(pool.get_results())
        except EmptyResultError:
            raise StopIteration from None


class BlockWorker(ArrowReaderWorker):  # type: ignore[misc]
    """Reads a row group as it is."""

    @staticmethod
    def new_results_queue_reader() -> BlockResults:
        """Petastorm's hook for what the consumer does with a result."""
        return BlockResults()

    def _read_with_shuffle_row_drop(
        self, piece: Any, pq_file: Any, column_names: set[str], part: Any
    ) -> pa.Table:
        return piece.read(columns=sorted(column_names), use_threads=False)


def blocks(
    paths: Sequence[Path], columns: Sequence[str], widths: Mapping[str, int], feed: FeedSettings
) -> Iterator[Block]:
    """Each file's rows in the order of the list: column -> array [rows] or [rows, width].

    Raises:
        UserError: a column did not arrive or has another length.
    """
    if not paths:
        return
    reader = _open(paths, columns, feed)
    try:
        for path, block in zip(paths, reader, strict=True):
            _check_block(block, columns, widths, path)
            yield block
    finally:
        # Not as a context manager, whose end prints 'Cache cleanup complete.' for a cache that nobody asked for.
        reader.stop()
        reader.join()


def arrays(table: pa.Table) -> Block:
    """Columns as numpy arrays; lists of one length as a matrix, without a copy.

    Raises:
        UserError: a column's lists differ in length.
    """
    return {name: _array(name, table.column(name)) for name in table.column_names}


def _array(name: str, column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    whole = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    if not pa.types.is_list(whole.type):
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    values, offsets = whole.flatten().to_numpy(zero_copy_only=False), whole.offsets.to_numpy()
    width = len(values) // len(whole) if len(whole) else 0
    if not np.array_equal(np.diff(offsets), np.full(len(whole), width)):
        raise UserError(f"lists of column {name!r} differ in length; make the shards again")
    return np.asarray(values.reshape(len(whole), width))


def _open(paths: Sequence[Path], columns: Sequence[str], feed: FeedSettings) -> Any:
    with (
        _OPENING,
        warnings.catch_warnings(),
        mock.patch.object(petastorm_reader, "ArrowReaderWorker", BlockWorker),
    ):
        warnings.simplefilter(
            "ignore"
        )  # Petastorm is written for a pyarrow of years ago and every call says so
        return petastorm_reader.make_batch_reader(
            [path.resolve().as_uri() for path in paths],
            schema_fields=[f"^{name}$" for name in columns],
            reader_pool_type="thread",
            workers_count=min(feed.threads, len(paths)),
            results_queue_size=feed.queue,
            shuffle_row_groups=False,
            num_epochs=1,
        )


def _check_block(block: Block, columns: Sequence[str], widths: Mapping[str, int], path: Path) -> None:
    for name in columns:
        shape = block[name].shape[1:] if name in block else None
        expected = (widths[name],) if name in widths else ()
        if shape != expected:
            found = "is missing" if shape is None else f"has rows of shape {shape}"
            raise UserError(
                f"{path}: column {name!r} {found} where {expected} was expected; make the shards again"
            )
