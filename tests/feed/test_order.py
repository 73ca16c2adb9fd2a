"""The order of rows is a function of its arguments, loses no row and can be entered anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.feed.order import (
    Cursor,
    batch_count,
    cursor_after,
    epoch_files,
    epoch_rows,
    files_of_worker,
    rows_to_skip,
    steps,
)

SEEDS = st.integers(0, 2**40)


@given(st.integers(0, 200), st.integers(1, 9))
def test_every_file_belongs_to_exactly_one_worker(files: int, workers: int) -> None:
    shares = [files_of_worker(files, worker, workers) for worker in range(workers)]
    assert sorted(file for share in shares for file in share) == list(range(files))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_worker_outside_the_count_is_refused() -> None:
    with pytest.raises(ValueError, match="worker 2 of 2"):
        files_of_worker(4, 2, 2)


@given(st.lists(st.integers(0, 999), unique=True, max_size=40), SEEDS, st.integers(0, 50))
def test_epoch_files_is_a_permutation_that_repeats(files: list[int], seed: int, epoch: int) -> None:
    assert sorted(epoch_files(files, seed, epoch)) == sorted(files)
    assert epoch_files(files, seed, epoch) == epoch_files(list(files), seed, epoch)


def test_the_order_of_files_and_rows_changes_with_seed_epoch_and_file() -> None:
    files = list(range(0, 80, 2))
    assert len({tuple(epoch_files(files, seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    keys = [(seed, epoch, file) for seed in range(2) for epoch in range(2) for file in range(2)]
    assert len({tuple(epoch_rows(50, *key)) for key in keys}) == 8


def test_the_order_is_the_same_in_every_version() -> None:
    """Literal values: a resume after an upgrade must see the batches it would have seen."""
    assert epoch_files([0, 1, 2, 3, 4, 5], seed=7, epoch=3) == [4, 3, 0, 1, 5, 2]
    assert epoch_rows(8, seed=7, epoch=3, file=2).tolist() == [6, 5, 3, 7, 4, 0, 1, 2]


@given(st.integers(0, 300), SEEDS, st.integers(0, 50), st.integers(0, 99))
def test_epoch_rows_is_a_permutation(rows: int, seed: int, epoch: int, file: int) -> None:
    assert sorted(epoch_rows(rows, seed, epoch, file).tolist()) == list(range(rows))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 50))
def test_files_done_and_rows_to_skip_are_the_rows_taken(rows: list[int], batch_size: int) -> None:
    for batches in range(batch_count(sum(rows), batch_size) + 1):
        cursor = cursor_after(rows, batch_size, 0, batches)
        skip = rows_to_skip(rows, batch_size, cursor)
        assert sum(rows[: cursor.files_done]) + skip == min(sum(rows), batches * batch_size)
        assert skip < ([*rows, 1][cursor.files_done])


def test_a_cursor_of_other_files_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        rows_to_skip([10, 10], 4, Cursor(epoch=0, files_done=2, batches_done=1))


def test_workers_take_the_same_number_of_steps() -> None:
    # Worker 0 has files of 5 + 5 rows, worker 1 of 4 + 4: batches of 4 are 3 and 2.
    # Two steps would drop a row.
    assert steps([5, 4, 5, 4], batch_size=4, workers=2) == 3
    assert steps([5, 4, 5, 4], batch_size=4, workers=1) == 5
