"""A training that is killed and begun again takes the steps it would have taken, to the bit."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.workers import said
from lib.config import Config
from lib.training import loop
from lib.training.checkpoint import CheckpointFolder
from tests.training import month, toy

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


# Of a fit and a refit together: two epochs of 25 steps, and one of 30 at least.
ALL_STEPS = 80


SELFIE = {"noise": {"method": "selfie", "rate": 0.2, "warmup_epochs": 1, "history": 1}, "epochs": 3}


def watched(folder: Path, checkpoints: Path, **train: Any) -> list[str]:
    """The command of a worker that says all it does, with a checkpoint as often as there can be one."""
    config = month.config(folder, **{"batch_size": 8, "refit": True, **train})
    settings = config.model_dump()
    settings["model"] |= {"gram_dropout": 0.3, "fcl_dropout": 0.3}
    settings["checkpoint"] = {"seconds": 0, "kept": 2}
    configuration = checkpoints.with_suffix(".json")
    configuration.write_text(Config.model_validate(settings).model_dump_json())
    shards = folder / "warehouse" / "artefacts" / "shards" / month.MONTH / "s"
    return ["-m", "benchmarks.watched", str(configuration), str(shards), str(checkpoints)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    # Uneven on purpose: with two workers one has nothing left for the last steps.
    month.artefacts(str(folder / "warehouse"), train=200, validation=41, files=4, train_files=[60, 40, 60, 40])
    return folder


@pytest.fixture(scope="module")
def undisturbed(shards: Path) -> dict[int, list[list[Any]]]:
    """Workers -> what their chief says when nobody disturbs them."""
    return {workers: said(watched(shards, shards / f"checkpoints-{workers}"), workers) for workers in (1, 2)}


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
        # One death of one worker in `make test`, the others in `make soak`: a process takes ten seconds to start.
        (1, 1, 1),
        pytest.param(2, 1, 1, marks=pytest.mark.soak),
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
        lines += said(watched(shards, tmp_path), workers, killed_after=killed_after)
    lines += said(watched(shards, tmp_path), workers)
    expected = undisturbed[workers]
    assert lines[-1] == expected[-1]
    found = {(name, step): loss for name, step, loss in lines[:-1]}
    assert found == {(name, step): loss for name, step, loss in expected[:-1]}
    # Steps done twice gave the same twice, too.
    assert all(found[name, step] == loss for name, step, loss in lines[:-1])


@pytest.mark.soak
def test_another_number_of_workers_goes_on_at_the_epochs_edge(
    shards: Path, undisturbed: dict[int, list[list[Any]]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = 25
    # A kill among the lines after step 41, where the losses of 26 to 41 were told and then a checkpoint was written.
    first = said(watched(shards, tmp_path), 1, killed_after=steps + 18)[1:]
    rest = said(watched(shards, tmp_path), 2)
    fit = [step for name, step, *_ in rest if name.startswith("fit")]
    assert first[:steps] == undisturbed[1][1 : 1 + steps]
    assert fit[0] == steps + 1
    assert "now there are 2, so it goes on at the epoch's edge" in capfd.readouterr().err


@pytest.mark.soak
@pytest.mark.parametrize("workers", [2, 1])
def test_refurbished_labels_outlive_a_kill_and_a_lost_worker(
    shards: Path, tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    # Of an epoch with two workers: one of them has files of 120 rows, four a step.
    steps = 30
    calm = said(watched(shards, tmp_path / "calm", **SELFIE), 2)
    # Killed in the second epoch, whose steps learn from refurbished labels.
    first = said(watched(shards, tmp_path / "killed", **SELFIE), 2, killed_after=steps + 18)
    rest = said(watched(shards, tmp_path / "killed", **SELFIE), workers)
    assert first[1 : 1 + steps] == calm[1 : 1 + steps]
    if workers == 2:
        assert rest[-1] == calm[-1]
        assert all(line in calm for line in [*first, *rest[1:]])
    else:
        assert next(step for name, step, *_ in rest if name.startswith("fit")) == steps + 1
        assert "now there are 1, so it goes on at the epoch's edge" in capfd.readouterr().err
        assert rest[-1][0] == "end"
