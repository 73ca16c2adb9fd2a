"""One file after another through Petastorm's batch reader, each as a block of numpy arrays.

Petastorm 0.13.1 (frozen, pinned) reads ahead in threads. Three things it does not do well enough, and the hooks of its
own classes let us do otherwise (only the choice of the worker class is no argument of `make_batch_reader`):
- When the consumer is faster than the thread that hands out files, blocks come out of order, or the last ones not at
  all. So each block carries its path, and `blocks` puts them in order and waits for all.
- It copies each row group through an index that changes nothing: `BlockWorker` leaves that out.
- It stacks list columns row by row: `arrays` takes them as Arrow holds them.
"""

import threading
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from lib.feed.columns import Expected

Block = dict[str, np.ndarray[Any, Any]]
PATH_KEY = b"path"
# Choosing the worker class replaces a name in Petastorm's module for a moment: one reader at a time.
_OPENING = threading.Lock()


class BlockResults:
    """Takes tables off Petastorm's queue."""

    batched_output = True

    def read_next(self, pool: Any, schema: Any, ngram: Any) -> pa.Table:  # noqa: ARG002 (Petastorm's signature)
        """The next table that is ready.

        Raises:
            StopIteration: all have been taken.
        """
        while True:
            try:
                return pool.get_results()
            except EmptyResultError:
                # Petastorm looks for unfinished work first and whether all was handed out second; in between more may
                # have been. By now all was, so that a second look tells.
                if pool.all_workers_done():
                    raise StopIteration from None


class BlockWorker(ArrowReaderWorker):  # type: ignore[misc]
    """Reads a row group as it is, and says where from."""

    @staticmethod
    def new_results_queue_reader() -> BlockResults:
        """Petastorm's hook for what the consumer does with a result."""
        return BlockResults()

    def _read_with_shuffle_row_drop(self, piece: Any, _file: Any, column_names: set[str], _part: Any) -> pa.Table:
        table = piece.read(columns=sorted(column_names), use_threads=False)
        return table.replace_schema_metadata({PATH_KEY: str(piece.path).encode()})


def blocks(paths: Sequence[Path], rows: Sequence[int], expected: Expected, feed: FeedSettings) -> Iterator[Block]:
    """Each file's rows in the order of the list: column -> array [rows] or [rows, width].

    Args:
        paths: a file may come more than once.
        rows: of each.

    Raises:
        UserError: a file or a column did not arrive, or does not hold what is expected.
    """
    if not paths:
        return
    with _readable(paths[0].parent):
        reader = _open(paths, expected.columns, feed)
    try:
        for count, (path, table) in zip(rows, _in_order(paths, reader), strict=True):
            block = arrays(table)
            _check_block(block, expected, count, path)
            yield block
    finally:
        # Not as a context manager, whose end prints 'Cache cleanup complete.' for a cache that nobody asked for.
        reader.stop()
        reader.join()


def _in_order(paths: Sequence[Path], reader: Iterator[pa.Table]) -> Iterator[tuple[Path, pa.Table]]:
    """The tables in the order of their paths; one that comes early waits, and threads x 4 at most are under way."""
    early: dict[bytes, deque[pa.Table]] = defaultdict(deque)
    for path in paths:
        wanted = str(path.resolve()).encode()
        while not early[wanted]:
            table = _next(reader, path)
            if table is None:
                raise UserError(f"{path} was listed but not read; make the shards again")
            early[table.schema.metadata[PATH_KEY]].append(table)
        yield path, early[wanted].popleft()


def _next(reader: Iterator[pa.Table], path: Path) -> pa.Table | None:
    """The next table of any file; None when there are no more."""
    # Read ahead, so it may be a file that comes after the wanted one.
    with _readable(path.parent):
        return next(reader, None)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"a file of {folder} cannot be read any more ({' '.join(str(error).split())[:300]}); put it back, or "
            "make the shards again, and run this stage again: it goes on from its last checkpoint"
        ) from None


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
        warnings.simplefilter("ignore")  # Petastorm is written for a pyarrow of years ago and every call says so
        return petastorm_reader.make_batch_reader(
            [path.resolve().as_uri() for path in paths],
            schema_fields=[f"^{name}$" for name in columns],
            reader_pool_type="thread",
            workers_count=min(feed.threads, len(paths)),
            results_queue_size=feed.queue,
            shuffle_row_groups=False,
            num_epochs=1,
        )


def _check_block(block: Block, expected: Expected, rows: int, path: Path) -> None:
    for name in expected.columns:
        shape = block[name].shape if name in block else None
        wanted = (rows, expected.widths[name]) if name in expected.widths else (rows,)
        if shape != wanted:
            found = "is missing" if shape is None else f"has the shape {shape}"
            raise UserError(f"{path}: column {name!r} {found} where {wanted} was expected; make the shards again")
        if name in expected.limits and rows:
            _check_values(block[name], *expected.limits[name], f"{path}: column {name!r}")


def _check_values(values: np.ndarray[Any, Any], low: float, high: float, place: str) -> None:
    """An id beyond its table would end TensorFlow in a stack; a weight that is no number would spoil all figures."""
    smallest, largest = values.min(), values.max()
    # Written so that what is no number fails, too.
    if not (low <= smallest and largest <= high):
        wrong = largest if low <= smallest else smallest
        raise UserError(f"{place} holds {wrong} where {low:g} to {high:g} was expected; make the shards again")
