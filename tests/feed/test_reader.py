"""Shards -> batches: all rows once, resumed anywhere, and no broken file passes unnoticed."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from petastorm.workers_pool import EmptyResultError
from petastorm.workers_pool.thread_pool import ThreadPool

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.errors import UserError
from lib.feed.blocks import BlockResults, arrays
from lib.feed.order import Cursor
from lib.feed.reader import batches, cursor_after, read_ahead, steps_per_epoch

MakeArtefact = Callable[..., Artefact]
COLUMNS = ("name_ids", "gram_weights", "label", "row_id", "product_id")


def row_ids(artefact: Artefact, split: str = "train", batch_size: int = 4, **options: object) -> list[list[int]]:
    given = {"columns": ("row_id",), "seed": 1, "epoch": 0, **options}
    return [batch["row_id"].numpy().tolist() for batch in batches(artefact, split, batch_size, **given)]  # type: ignore[arg-type]


def test_every_row_comes_once_with_its_own_values(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([4, 3, 4])
    found = list(batches(artefact, "train", 4, columns=COLUMNS, seed=1, epoch=0))
    assert [len(batch["label"]) for batch in found] == [4, 4, 3]
    row_id = np.concatenate([batch["row_id"].numpy() for batch in found])
    assert sorted(row_id.tolist()) == list(range(11))
    names = np.concatenate([batch["name_ids"].numpy() for batch in found])
    assert names.dtype == np.int32
    np.testing.assert_array_equal(names, row_id[:, None] * 10 + np.arange(5))
    weights = np.concatenate([batch["gram_weights"].numpy() for batch in found])
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, row_id[:, None] * 10 + np.arange(4))
    assert found[0]["product_id"].numpy()[0].decode() == f"mall:상품{row_id[0]}"


def test_train_is_shuffled_by_seed_and_epoch_and_the_rest_is_not(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([8, 8, 8])
    first = row_ids(artefact)
    assert first == row_ids(artefact)
    assert first != row_ids(artefact, epoch=1)
    assert first != row_ids(artefact, seed=2)
    assert row_ids(artefact, "validation") == [[24, 25, 26, 27], [28, 29, 30, 31], [32]]


def test_threads_do_not_change_the_order(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([5] * 9)
    one = row_ids(artefact, feed=FeedSettings(threads=1, queue=1))
    assert one == row_ids(artefact, feed=FeedSettings(threads=4, queue=8))


@pytest.mark.parametrize("prefetch", [0, 3])
def test_batches_are_made_before_they_are_asked_for(prefetch: int) -> None:
    made: list[int] = []

    def batches() -> Iterator[Any]:
        for number in range(7):
            made.append(number)
            yield number

    read: Iterator[Any] = read_ahead(batches(), prefetch)
    assert eventually(lambda: len(made) == prefetch)
    assert next(read) == 0
    assert eventually(lambda: len(made) == prefetch + 1)
    time.sleep(0.1)
    assert len(made) == prefetch + 1, "no more than it was told"
    assert list(read) == [1, 2, 3, 4, 5, 6]


BAD = {
    "label": (7, "label' holds 7 where -1 to 6 was"),
    "gram_ids": (-1, "gram_ids' holds -1 where 0 to 999 was"),
    "name_ids": (500, "name_ids' holds 500 where 0 to 499 was"),
    "weight": (-1.0, "weight' holds -1.0 where 0 to"),
    "gram_weights": (float("nan"), "gram_weights' holds nan where 0 to"),
}


@pytest.mark.parametrize("column", BAD)
def test_values_that_no_row_can_have_are_refused(make_artefact: MakeArtefact, column: str) -> None:
    value, said = BAD[column]

    def spoiled(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        values = table.column(place).to_pylist()
        values[-1] = [*values[-1][:-1], value] if isinstance(values[-1], list) else value
        return table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))

    artefact = make_artefact([4, 3], spoiled)
    artefact.facts.update(words=500, grams=1000, classes=7)
    mistakes: list[UserError] = []
    made = batches(artefact, "train", 4, columns=(column,), seed=1, epoch=0, mistakes=mistakes)
    with pytest.raises(UserError, match=f"train/0000.*{said}"):
        list(read_ahead(made, 2, mistakes))


@pytest.mark.parametrize("rows", [2, 6])
def test_another_file_in_a_files_place_is_noticed(make_artefact: MakeArtefact, rows: int) -> None:
    artefact = make_artefact([4, rows, 4, 4])
    mistakes: list[UserError] = []
    made = batches(artefact, "train", 4, columns=("label",), seed=1, epoch=0, mistakes=mistakes)
    paths = [artefact.path(f"train/{number:05d}.parquet") for number in range(4)]
    for path in (paths[0], *paths[2:]):
        path.write_bytes(paths[1].read_bytes())
    with pytest.raises(UserError, match=rf"column 'label' has the shape \({rows},\) where \(4,\) was expected"):
        list(read_ahead(made, 2, mistakes))


def test_files_that_go_away_before_they_are_opened_are_named(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([4, 4])
    mistakes: list[UserError] = []
    made = batches(artefact, "train", 4, columns=("label",), seed=1, epoch=0, mistakes=mistakes)
    for number in range(2):
        artefact.path(f"train/{number:05d}.parquet").unlink()
    with pytest.raises(UserError, match=r"a file of .* cannot be read any more .*; put it back"):
        list(read_ahead(made, 2, mistakes))


def test_what_nobody_takes_is_given_up() -> None:
    before = set(threading.enumerate())
    numbers: Iterator[Any] = count()
    read = read_ahead(numbers, 2)
    assert next(read) == 0  # type: ignore[comparison-overlap]
    (reading,) = set(threading.enumerate()) - before
    read.close()  # type: ignore[attr-defined]
    assert eventually(lambda: not reading.is_alive())
    assert next(numbers) <= 4


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds within five seconds."""
    until = time.monotonic() + 5
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_slow_hand_out_neither_loses_nor_reorders_files(
    make_artefact: MakeArtefact, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Petastorm's pool takes a worker that was given nothing yet for done, and stops or goes on to the next."""
    artefact = make_artefact([5] * 9)
    expected = row_ids(artefact)
    ventilate, waits = ThreadPool.ventilate, iter([0.05, 0.2, 0.0, 0.1, 0.0, 0.0, 0.2, 0.0, 0.1])

    def slow(pool: ThreadPool, *arguments: object, **options: object) -> None:
        time.sleep(next(waits))
        ventilate(pool, *arguments, **options)

    monkeypatch.setattr(ThreadPool, "ventilate", slow)
    assert row_ids(artefact, feed=FeedSettings(threads=threads, queue=1)) == expected


def test_work_handed_out_at_the_last_moment_is_waited_for() -> None:
    """`get_results` says 'empty' although a worker is busy: the last file was handed out between its two looks."""

    class Pool:
        results = [EmptyResultError(), "late", EmptyResultError()]  # noqa: RUF012
        done = iter([False, True])

        def get_results(self) -> object:
            result = self.results.pop(0)
            if isinstance(result, EmptyResultError):
                raise result
            return result

        def all_workers_done(self) -> bool:
            return next(self.done)

    reader, pool = BlockResults(), Pool()
    assert reader.read_next(pool, None, None) == "late"
    with pytest.raises(StopIteration):
        reader.read_next(pool, None, None)


def test_workers_share_the_files(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([3, 3, 3, 3])
    shares = [list(chain.from_iterable(row_ids(artefact, worker=worker, workers=2))) for worker in (0, 1)]
    assert sorted(shares[0]) == [0, 1, 2, 6, 7, 8]
    assert sorted(shares[1]) == [3, 4, 5, 9, 10, 11]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_resume_from_every_cursor(make_artefact: MakeArtefact, split: str) -> None:
    artefact = make_artefact([5, 4, 5])
    whole = row_ids(artefact, split, 3, epoch=2)
    for done in range(len(whole) + 1):
        cursor = cursor_after(artefact, split, 3, seed=1, epoch=2, batches_done=done)
        assert row_ids(artefact, split, 3, epoch=2, cursor=cursor) == whole[done:]


def test_a_cursor_of_another_epoch_is_refused(make_artefact: MakeArtefact) -> None:
    with pytest.raises(ValueError, match="not of epoch 1"):
        row_ids(make_artefact([4]), epoch=1, cursor=Cursor(epoch=0))


def test_steps_are_counted_from_the_manifest(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([5, 4, 5])
    assert steps_per_epoch(artefact, "train", 3) == len(row_ids(artefact, batch_size=3)) == 5


def test_petastorm_prints_nothing(make_artefact: MakeArtefact, capfd: pytest.CaptureFixture[str]) -> None:
    row_ids(make_artefact([4]))
    assert "Cache cleanup" not in capfd.readouterr().out


def test_a_missing_column_is_an_error(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([4], lambda table: table.drop_columns(["row_id"]))
    with pytest.raises(UserError, match="'row_id' is missing"):
        row_ids(artefact)


def test_a_fixed_size_list_column_is_an_error(make_artefact: MakeArtefact) -> None:
    def fixed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("name_ids")
        return table.set_column(place, "name_ids", table["name_ids"].cast(pa.list_(pa.int32(), 5)))

    with pytest.raises(UserError, match="'name_ids' is fixed_size_list"):
        row_ids(make_artefact([4], fixed), columns=("name_ids",))


def test_lists_of_another_length_are_an_error(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([4])
    manifest = artefact.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name_length": 5', '"name_length": 6'))
    from lib.artefact import load

    with pytest.raises(UserError, match="5 values on average where the manifest says 6"):
        row_ids(load(artefact.folder), columns=("name_ids",))


def test_lists_of_uneven_length_are_an_error() -> None:
    with pytest.raises(UserError, match="'x' differ in length"):
        arrays(pa.table({"x": [[1, 2], [3], [4, 5, 6]]}))


def test_lists_behind_a_slice_keep_their_rows() -> None:
    table = pa.table({"x": [[1, 2], [3, 4], [5, 6]]}).slice(1, 2)
    assert arrays(table)["x"].tolist() == [[3, 4], [5, 6]]


def test_an_unknown_column_or_split_is_an_error(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([4])
    with pytest.raises(UserError, match="no column 'colour'"):
        row_ids(artefact, columns=("colour",))
    with pytest.raises(UserError, match="no split 'dev'"):
        row_ids(artefact, "dev")
    with pytest.raises(UserError, match=r"split test .* has no file"):
        row_ids(artefact, "test")


def test_a_missing_or_cut_file_is_an_error(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([4, 4])
    file = artefact.path("train/00001.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    with pytest.raises(UserError, match="where its manifest says"):
        row_ids(artefact)
    file.write_bytes(whole[:-8] + b"\0" * 8)
    with pytest.raises(UserError, match="is no Parquet file"):
        row_ids(artefact)
    file.unlink()
    with pytest.raises(UserError, match="has None bytes"):
        row_ids(artefact)


def test_a_file_with_other_rows_than_listed_is_an_error(make_artefact: MakeArtefact) -> None:
    artefact = make_artefact([4, 4])
    artefact.facts["splits"]["train"]["rows_per_file"][1] = 5
    with pytest.raises(UserError, match="manifest says 5 in one"):
        row_ids(artefact)


def test_an_unfinished_artefact_is_never_read(make_artefact: MakeArtefact) -> None:
    from lib.artefact import load

    folder: Path = make_artefact([4]).folder
    assert json.loads((folder / "manifest.json").read_text())["kind"] == "shards"
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="unfinished"):
        load(folder)
