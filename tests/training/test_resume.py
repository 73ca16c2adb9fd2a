"""A training that is killed and begun again takes the steps it would have taken, to the bit."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.training import loop
from lib.training.checkpoint import CheckpointFolder
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


# A fit and a refit on shards; says each step's loss, and in the end the weights' hash.
TRAINING = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from lib import artefact
from lib.config import CheckpointSettings
from lib.model.architecture import Architecture
from lib.training import candidate
from lib.training.shards_feed import ShardsFeed
from tests.training import month

class Spoken(candidate.Work):
    def listeners(self, name):
        class Told:
            def steps(self, first, losses):
                for step, loss in enumerate(losses.tolist(), first):
                    print(json.dumps([name, step, loss]), flush=True)
            def epoch(self, epoch):
                pass
        return [Told()]

folder, checkpoints = Path(sys.argv[1]), Path(sys.argv[2])
dropout = {"gram_dropout": 0.3, "fcl_dropout": 0.3}
config = month.config(folder, batch_size=8, refit=True)
config = config.model_copy(update={"model": config.model.model_copy(update=dropout)})
shards = artefact.load(folder / "warehouse" / "artefacts" / "shards" / month.MONTH / "s")
work = Spoken(
    config.train,
    Architecture.of_shards(shards.facts, config.model),
    lambda seed: ShardsFeed(shards, config.train.batch_size, seed, config.feed),
    checkpoints=checkpoints,
    saving=CheckpointSettings(seconds=0, kept=2),
)
trained = candidate.train(work)
digest = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in trained.model.weights)).hexdigest()
print(json.dumps(["end", digest, trained.temperature]), flush=True)
"""
DEATHS = 3
# Of both fits together: two epochs of 25 steps, and one of 30 at least.
ALL_STEPS = 80


def said(folder: Path, checkpoints: Path, *, killed_after: int | None = None) -> list[list[Any]]:
    """What a training process says until its end, or until it is killed with -9 after so many lines."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(folder), str(checkpoints)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[list[Any]] = []
    assert process.stdout is not None
    with process, process.stdout as output:
        for line in output:
            lines.append(json.loads(line))
            if killed_after is not None and len(lines) > killed_after:
                process.kill()
                break
    assert killed_after is not None or process.returncode == 0
    return lines


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[Any]]]:
    folder = tmp_path_factory.mktemp("resume")
    month.artefacts(str(folder / "warehouse"), train=200, validation=40, files=4)
    return folder, said(folder, folder / "checkpoints")


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 22))])
def test_killed_three_times_the_losses_and_weights_are_those_of_an_undisturbed_training(
    undisturbed: tuple[Path, list[list[Any]]], tmp_path: Path, seed: int
) -> None:
    print(f"seed {seed}")  # noqa: T201 so that a failure can be had again
    folder, expected = undisturbed
    chance, lines = random.Random(seed), []
    for death in range(DEATHS):
        lines += said(folder, tmp_path, killed_after=chance.randint(1, ALL_STEPS // DEATHS) if death else 10)
    lines += said(folder, tmp_path)
    assert lines[-1] == expected[-1]
    found = {(name, step): loss for name, step, loss in lines}
    assert found == {(name, step): loss for name, step, loss in expected}
    # Steps done twice gave the same twice, too.
    assert all(found[name, step] == loss for name, step, loss in lines)
