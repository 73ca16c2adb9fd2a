"""Shards shared by workers: each row once an epoch, whoever reads it, and as many steps for all."""

from pathlib import Path

import numpy as np
import pytest

from lib.artefact import Artefact
from lib.config import FeedSettings, ModelSettings
from lib.errors import UserError
from lib.model.architecture import Architecture
from lib.training.cluster import Cluster
from lib.training.shards_feed import ShardsFeed
from tests.training import month

BOTH = "train+validation"


def feed(shards: Artefact, worker: int, workers: int, batch_size: int = 12) -> ShardsFeed:
    cluster = Cluster(tuple(f"h:{port}" for port in range(1, workers + 1)) if workers > 1 else (), worker)
    architecture = Architecture.of_shards(shards.facts, ModelSettings())
    return ShardsFeed(shards, architecture, batch_size, 7, FeedSettings(), cluster)


def read(shards: Artefact, split: str, worker: int, workers: int, done: int = 0) -> list[np.ndarray]:
    """The name_ids of each batch."""
    batches = feed(shards, worker, workers).batches(split, 1, done)
    return [batch["name_ids"].numpy() for batch in batches]


def shared(tmp_path: Path, uneven: list[int] | None = None) -> Artefact:
    return month.artefacts(str(tmp_path), train=100, validation=21, files=5, train_files=uneven)


@pytest.mark.parametrize("uneven", [None, [70, 1, 3, 1, 25]])
@pytest.mark.parametrize("split", ["train", "validation", BOTH])
def test_each_row_comes_once_in_equally_many_steps(tmp_path: Path, split: str, uneven: list[int] | None) -> None:
    shards = shared(tmp_path, uneven)
    alone = np.concatenate(read(shards, split, 0, 1))
    for workers in (2, 3, 4):
        of_each = [read(shards, split, worker, workers) for worker in range(workers)]
        assert {len(batches) for batches in of_each} == {feed(shards, 0, workers).steps(split)}
        together = np.concatenate([batch for batches in of_each for batch in batches])
        assert sorted(map(tuple, together)) == sorted(map(tuple, alone))


@pytest.mark.parametrize("worker", [0, 1, 2])
def test_it_goes_on_where_it_was(tmp_path: Path, worker: int) -> None:
    shards = shared(tmp_path, [70, 1, 3, 1, 25])
    for split in ("train", BOTH):
        whole = read(shards, split, worker, 3)
        for done in range(len(whole) + 1):
            rest = read(shards, split, worker, 3, done)
            assert len(rest) == len(whole) - done
            for one, other in zip(rest, whole[done:], strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_split_of_fewer_files_than_workers_is_measured_all_the_same(tmp_path: Path) -> None:
    shards = month.artefacts(str(tmp_path), train=40, validation=5, files=4, validation_files=[5])
    of_each = [read(shards, "validation", worker, 2) for worker in range(2)]
    assert [[len(batch) for batch in batches] for batches in of_each] == [[5], [0]]


def test_a_file_that_goes_away_while_it_is_read_is_named(tmp_path: Path) -> None:
    shards = month.artefacts(str(tmp_path), train=4000, validation=0, files=40)
    batches = iter(feed(shards, 0, 1).batches("train", 1))
    next(batches)
    for path in (shards.folder / "train").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"a file of .*/train cannot be read any more \(.*No such file"):
        list(batches)


@pytest.mark.parametrize("split", ["train", BOTH])
def test_nothing_is_left_to_autotune(tmp_path: Path, split: str) -> None:
    # On one core its thread may sleep for a minute before an epoch can end.
    dataset = feed(shared(tmp_path), 0, 2)._dataset(split, 1, 0, [])
    assert dataset.options().autotune.enabled is False


def test_fewer_files_to_train_on_than_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has 5 files to train on, too few for 6 workers.*shards\.file_multiple"):
        feed(shared(tmp_path), 0, 6)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.batch_size 12 cannot be shared by 5 workers"):
        feed(shared(tmp_path), 0, 5)
