"""A training that is killed and begun again takes the steps it would have taken, to the bit."""

import json
import os
import random
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.training import loop
from lib.training.checkpoint import CheckpointFolder
from lib.training.cluster import VARIABLE, Cluster
from tests.training import month, toy

ROOT = Path(__file__).resolve().parents[2]
DROPOUT = {"gram_dropout": 0.3, "fcl_dropout": 0.3, "embedding_dropout": 0.2}
SETTINGS: dict[str, Any] = {"epochs": 4, "average": 0.9, "optimizer": "adam", "patience": 4, "batch_size": 8}
ROWS = 400  # 50 steps an epoch: checkpoints fall within epochs too


class DiedError(Exception):
    """Stands for whatever ends a process."""


class Until(toy.Told):
    """Interrupts a training at a step."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def steps(self, first: int, losses: np.ndarray) -> None:
        super().steps(first, losses)
        if first + len(losses) > self.last:
            raise DiedError


def trained(folder: Path | None, told: toy.Told, **settings: Any) -> tuple[list[loop.Epoch], list[np.ndarray]]:
    training = toy.training(model=DROPOUT, train_rows=ROWS, **{**SETTINGS, **settings})
    saving = None if folder is None else loop.Saving(CheckpointFolder(folder, 2), 0.0)
    history = loop.fit(training, toy.feed(train=ROWS, batch_size=8), [told], saving)
    return history, toy.weights(training)


def without_times(history: list[loop.Epoch]) -> list[dict[str, Any]]:
    return [
        {
            name: value
            for name, value in epoch.to_json().items()
            if name not in ("seconds", "input_wait", "rows_per_second")
        }
        for epoch in history
    ]


def test_interrupted_anywhere_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    whole = toy.Told()
    history, weights = trained(None, whole)
    told = toy.Told()
    for last in (9, 75, 150):
        until = Until(last)
        with pytest.raises(DiedError):
            trained(tmp_path, until)
        told.losses |= until.losses
        assert all(whole.losses[step] == loss for step, loss in until.losses.items())
    again, resumed = trained(tmp_path, told)
    assert told.losses == whole.losses
    assert min(told.losses) == 1
    assert without_times(again) == without_times(history)
    assert all(np.array_equal(one, two) for one, two in zip(weights, resumed, strict=True))
    # Begun once more, it has ended: the same weights, and no step.
    after = toy.Told()
    ended, kept = trained(tmp_path, after)
    assert after.losses == {}
    assert without_times(ended) == without_times(history)
    assert all(np.array_equal(one, two) for one, two in zip(weights, kept, strict=True))


# A fit and a refit on shards; the chief says what a fresh network measures, each step's loss, and the weights' hash.
TRAINING = """
import hashlib, json, os, sys
from dataclasses import asdict
from pathlib import Path
import numpy as np
from lib import artefact
from lib.config import CheckpointSettings
from lib.model.architecture import Architecture
from lib.training import agreement, cluster, members
from lib.training.loop import measure
from lib.training.shards_feed import ShardsFeed
from lib.training.strategy import make_strategy
from tests.training import month

place = cluster.of_environment()

class Spoken(members.Work):
    def listeners(self, name):
        class Told:
            def steps(self, first, losses):
                for step, loss in enumerate(losses.tolist(), first):
                    print(json.dumps([name, step, loss]), flush=True)
            def epoch(self, epoch):
                pass
        return [Told()] if place.chief else []

folder, checkpoints = Path(sys.argv[1]), Path(sys.argv[2])
dropout = {"gram_dropout": 0.3, "fcl_dropout": 0.3}
config = month.config(folder, batch_size=8, refit=True)
config = config.model_copy(update={"model": config.model.model_copy(update=dropout)})
shards = artefact.load(folder / "warehouse" / "artefacts" / "shards" / month.MONTH / "s")
work = Spoken(
    config.train,
    Architecture.of_shards(shards.facts, config.model),
    lambda seed: ShardsFeed(shards, config.train.batch_size, seed, config.feed, place),
    checkpoints=checkpoints,
    saving=CheckpointSettings(seconds=0, kept=2),
    cluster=place,
)
fresh = measure(work.start(0, 25), work.feed(0), "validation")
if place.chief:
    print(json.dumps(["fresh", 0, asdict(fresh)]), flush=True)
trained = members.train(work)
digest = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in trained.model.weights)).hexdigest()
if place.chief:
    print(json.dumps(["end", digest, trained.temperature]), flush=True)
agreement.wait_for_all(make_strategy(1, place), place)
os._exit(0)
"""
# Of both fits together: two epochs of 25 steps, and one of 30 at least.
ALL_STEPS = 80


def said(folder: Path, checkpoints: Path, *, workers: int = 1, killed_after: int | None = None) -> list[list[Any]]:
    """What the chief says until the training's end, or until all its processes are killed with -9."""
    lines: list[list[Any]] = []
    with ExitStack() as stack:
        processes = [stack.enter_context(begun(folder, checkpoints, place)) for place in places(workers)]
        assert processes[0].stdout is not None
        for line in processes[0].stdout:
            lines.append(json.loads(line))
            if killed_after is not None and len(lines) > killed_after:
                for process in processes:
                    process.kill()
                break
    assert killed_after is not None or [process.returncode for process in processes] == [0] * workers
    return lines


def begun(folder: Path, checkpoints: Path, place: Cluster) -> "subprocess.Popen[str]":
    """One of a training's processes."""
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(folder), str(checkpoints)],
        cwd=ROOT,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3",
            VARIABLE: place.tf_config if place.workers > 1 else "",
        },
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def places(workers: int) -> list[Cluster]:
    """Workers on free ports of this host."""
    if workers == 1:
        return [Cluster()]
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        addresses = tuple(f"127.0.0.1:{probe.getsockname()[1]}" for probe in sockets)
    return [Cluster(addresses, worker) for worker in range(workers)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    # Uneven on purpose: with two workers one has nothing left for the last steps.
    month.artefacts(str(folder / "warehouse"), train=200, validation=41, files=4, train_files=[60, 40, 60, 40])
    return folder


@pytest.fixture(scope="module")
def undisturbed(shards: Path) -> dict[int, list[list[Any]]]:
    """Workers -> what their chief says when nobody disturbs them."""
    return {workers: said(shards, shards / f"checkpoints-{workers}", workers=workers) for workers in (1, 2)}


def test_two_workers_measure_what_one_measures(undisturbed: dict[int, list[list[Any]]]) -> None:
    one, two = (undisturbed[workers][0] for workers in (1, 2))
    assert (one[0], two[0]) == ("fresh", "fresh")
    # Shares of the same 41 rows: equal only if the counts are.
    assert one[2]["rows"] == two[2]["rows"] == 41
    assert one[2]["accuracy"] == two[2]["accuracy"]
    assert two[2]["loss"] == pytest.approx(one[2]["loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("workers", "deaths", "seed"),
    [
        (1, 3, 1),
        (2, 1, 1),
        *(pytest.param(workers, 3, seed, marks=pytest.mark.soak) for workers in (1, 2) for seed in range(2, 22)),
    ],
)
def test_killed_the_losses_and_weights_are_those_of_an_undisturbed_training(
    shards: Path, undisturbed: dict[int, list[list[Any]]], tmp_path: Path, workers: int, deaths: int, seed: int
) -> None:
    print(f"seed {seed}")  # noqa: T201 so that a failure can be had again
    chance, lines = random.Random(seed), []
    for death in range(deaths):
        killed_after = chance.randint(1, ALL_STEPS // 3) if death else 10
        lines += said(shards, tmp_path, workers=workers, killed_after=killed_after)
    lines += said(shards, tmp_path, workers=workers)
    expected = undisturbed[workers]
    assert lines[-1] == expected[-1]
    found = {(name, step): loss for name, step, loss in lines[:-1]}
    assert found == {(name, step): loss for name, step, loss in expected[:-1]}
    # Steps done twice gave the same twice, too.
    assert all(found[name, step] == loss for name, step, loss in lines[:-1])


def test_another_number_of_workers_goes_on_at_the_epochs_edge(
    shards: Path, undisturbed: dict[int, list[list[Any]]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = 25
    # A kill among the lines after step 41, where the losses of 26 to 41 were told and then a checkpoint was written.
    first = said(shards, tmp_path, killed_after=steps + 18)[1:]
    rest = said(shards, tmp_path, workers=2)
    fit = [step for name, step, *_ in rest if name.startswith("fit")]
    assert first[:steps] == undisturbed[1][1 : 1 + steps]
    assert fit[0] == steps + 1
    assert "now there are 2, so it goes on at the epoch's edge" in capfd.readouterr().err
