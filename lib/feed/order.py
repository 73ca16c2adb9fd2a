"""Which rows come when: pure functions of the manifest, the seed and the epoch, with no state to lose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Streams from one (seed, epoch): the order of files, of rows within each, and of batches of splits read together.
FILES, ROWS, SPLITS = 0, 1, 2


@dataclass(frozen=True)
class Cursor:
    """How far an epoch has come on one worker, so that it can be gone on with from there.

    Attributes:
        epoch: the epoch, from 0.
        files_done: files whose rows have all been in batches.
        batches_done: batches taken.
    """

    epoch: int
    files_done: int = 0
    batches_done: int = 0


def files_of_worker(files: int, worker: int, workers: int) -> list[int]:
    """The files of one worker for the whole training: file f belongs to worker f mod workers."""
    if not 0 <= worker < workers:
        raise ValueError(f"worker {worker} of {workers}: must be from 0 to {workers - 1}")
    return list(range(worker, files, workers))


def epoch_files(files: Sequence[int], seed: int, epoch: int) -> list[int]:
    """The worker's files in the order of an epoch."""
    return [files[place] for place in _generator(seed, epoch, FILES, *files[:1]).permutation(len(files))]


def epoch_rows(rows: int, seed: int, epoch: int, file: int) -> npt.NDArray[np.int64]:
    """The order of a file's rows in an epoch [rows]."""
    return _generator(seed, epoch, ROWS, file).permutation(rows)


def mixed_splits(batches: Sequence[int], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Which split each batch of an epoch comes from, where several are read together [sum of batches].

    Args:
        batches: of each split.
    """
    split = np.repeat(np.arange(len(batches)), batches)
    return _generator(seed, epoch, SPLITS).permutation(split)


def batch_count(rows: int, batch_size: int) -> int:
    """Batches that hold that many rows, the last one smaller."""
    return -(-rows // batch_size)


def steps(rows_per_file: Sequence[int], batch_size: int, workers: int) -> int:
    """Steps of an epoch, the same for every worker: the most batches any of them has. Others end with empty ones.

    Args:
        batch_size: of one worker.
    """
    shares = [files_of_worker(len(rows_per_file), worker, workers) for worker in range(workers)]
    return max(batch_count(sum(rows_per_file[file] for file in share), batch_size) for share in shares)


def cursor_after(rows_in_order: Sequence[int], batch_size: int, epoch: int, batches: int) -> Cursor:
    """The cursor after some batches.

    Args:
        rows_in_order: rows of the worker's files in the order of the epoch.
    """
    taken = min(batches * batch_size, sum(rows_in_order))
    ends = np.cumsum(np.asarray(rows_in_order, dtype=np.int64))
    return Cursor(epoch, int(np.searchsorted(ends, taken, side="right")), batches)


def rows_to_skip(rows_in_order: Sequence[int], batch_size: int, cursor: Cursor) -> int:
    """Rows of the file after `files_done` that have been in batches already.

    Raises:
        ValueError: the cursor is of other files, another epoch's order or another batch size.
    """
    expected = cursor_after(rows_in_order, batch_size, cursor.epoch, cursor.batches_done)
    if cursor != expected:
        raise ValueError(f"{cursor} cannot be: after {cursor.batches_done} batches of {batch_size} it is {expected}")
    taken = min(cursor.batches_done * batch_size, sum(rows_in_order))
    return taken - sum(rows_in_order[: cursor.files_done])


def _generator(*key: int) -> np.random.Generator:
    # Philox by name: numpy may one day change what default_rng means, and a resume must not notice.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
