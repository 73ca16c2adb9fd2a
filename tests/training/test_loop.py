"""The whole loop on a toy task."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from lib.errors import UserError
from lib.training import loop
from lib.training.checkpoint import CheckpointFolder
from lib.training.feed import MemoryFeed
from lib.training.progress import TrainingProgress, figures
from tests.training import toy

ROOT = Path(__file__).resolve().parents[2]


def test_a_separable_task_is_learnt_and_told() -> None:
    training, told = toy.training(learning_rate=0.01, epochs=15, patience=15), toy.Told()
    history = loop.fit(training, toy.feed(), [told])
    assert told.epochs == history
    assert list(told.losses) == list(range(1, 15 * 7 + 1))
    assert history[-1].loss < history[0].loss
    found = history[-1].validation
    assert found.rows == 60
    assert min(found.accuracy.values()) > 0.9
    assert loop.measure(training, toy.feed(), "validation").accuracy["output"] > 0.9
    assert "validation accuracy" in history[-1].sentence()


def test_the_same_seed_gives_the_same_weights() -> None:
    dropout = {"gram_dropout": 0.3, "fcl_dropout": 0.3}
    made = []
    for _ in range(2):
        training = toy.training(model=dropout, epochs=1, seed=1)
        loop.fit(training, toy.feed())
        made.append(toy.weights(training))
    assert all(np.array_equal(one, two) for one, two in zip(*made, strict=True))


def test_another_seed_starts_elsewhere() -> None:
    # Margins start at zero under every seed.
    one, two = (toy.weights(toy.training(model={"margin": False}, seed=seed)) for seed in (1, 2))
    assert not any(np.array_equal(a, b) for a, b in zip(one, two, strict=True) if a.ndim > 1)


@pytest.mark.parametrize(
    "model", [{"margin": False}, {"text_branch": "textcnn"}, {"text_branch": "grams_and_words", "margin": False}]
)
def test_models_of_one_bag_and_of_none_learn(model: dict[str, object]) -> None:
    training = toy.training(model=model)
    batch = next(iter(toy.feed().batches("train", 1)))
    losses = [training.steps.train(batch).numpy()[0] for _ in range(6)]
    assert losses[-1] < losses[0]


def test_early_stopping_keeps_the_best_epoch() -> None:
    training = toy.training(
        learning_rate=1.5, schedule="constant", optimizer="sgd", epochs=8, patience=1, clip_norm=30.0
    )
    history = loop.fit(training, toy.feed())
    scores = [epoch.score for epoch in history]
    assert loop.measure(training, toy.feed(), "validation").accuracy["output"] == max(scores)
    assert len(history) == 8 or loop.best_epoch(history) == len(history) - 1


def test_a_row_without_label_changes_nothing() -> None:
    spoiled = toy.rows(20, 3)
    spoiled["label"][:] = -1
    known = toy.rows(12, 1)
    both = {name: np.concatenate([known[name], spoiled[name]]) for name in known}
    made = []
    for rows in (known, both):
        settings = {"optimizer": "sgd", "gram_optimizer": None, "epochs": 1, "warmup": 0.0}
        training = toy.training(train_rows=len(rows["label"]), **settings)
        loop.refit(training, MemoryFeed({"train": rows}, 32), "train", 1)
        made.append(toy.weights(training))
    for one, two in zip(*made, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-7)


def test_a_row_without_category_leaves_the_category_head_alone() -> None:
    rows = toy.rows(32, 1)
    rows["cat_ids"][:] = 0
    training = toy.training(optimizer="sgd", epochs=1, train_rows=32)
    before = [weight.numpy() for weight in training.model.get_layer("text_cat_output").weights]
    loop.refit(training, MemoryFeed({"train": rows}, 32), "train", 1)
    after = [weight.numpy() for weight in training.model.get_layer("text_cat_output").weights]
    assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
    assert (
        loop.measure(training, MemoryFeed({"validation": rows}, 32), "validation").accuracy["text_cat_output"] is None
    )


def test_a_loss_that_is_no_number_names_the_step() -> None:
    rows = toy.rows(96, 1)
    rows["weight"][:] = np.float32(3e38)
    with pytest.raises(UserError, match=r"at step 1 \(epoch 1, batch 1\); lower train.learning_rate"):
        loop.fit(toy.training(train_rows=96), MemoryFeed({"train": rows}, 32))


class Spoilt(MemoryFeed):
    """Has a batch, the fifth of the second epoch, whose weights are no numbers."""

    def batches(self, split: str, epoch: int, done: int = 0) -> Iterator[dict[str, Any]]:
        for number, batch in enumerate(super().batches(split, epoch, done), done + 1):
            spoilt = epoch == 2 and number == 5
            yield {**batch, "weight": batch["weight"] * float("nan")} if spoilt else batch


def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    saving = loop.Saving(CheckpointFolder(tmp_path, 2), 0.0)
    rows = {"train": toy.rows(1600, 1), "validation": toy.rows(60, 2)}
    settings = {"epochs": 3, "train_rows": 1600}
    # 50 steps an epoch, looked at in blocks of 16: the newest checkpoint is that of the first epoch's edge.
    with pytest.raises(UserError, match=r"the loss became nan at step 55 \(epoch 2, batch 5\); lower"):
        loop.fit(toy.training(**settings), Spoilt(rows, 32), saving=saving)
    kept = saving.folder.latest()
    assert kept is not None
    assert (kept.step, kept.edge) == (50, True)
    assert all(np.isfinite(value).all() for name, value in kept.arrays.items() if name.startswith("model/"))
    # With the rows mended it goes on from there.
    again = loop.fit(toy.training(**settings), MemoryFeed(rows, 32), saving=saving)
    assert [epoch.number for epoch in again] == [1, 2, 3]


def test_damaged_checkpoints_of_later_steps_do_not_outlive_new_ones(tmp_path: Path) -> None:
    saving = loop.Saving(CheckpointFolder(tmp_path, 1), 0.0)
    (tmp_path / f"{10**6:012d}").mkdir()
    training = toy.training(epochs=1)
    loop.fit(training, toy.feed(), saving=saving)
    found = saving.folder.latest()
    assert found is not None
    assert found.step == training.done
    assert [place.name for place in tmp_path.iterdir()] == [found.name]


def test_rows_that_are_not_those_of_the_split_are_no_epoch() -> None:
    feed = toy.feed()
    object.__setattr__(feed, "rows", lambda split: 201)
    with pytest.raises(UserError, match="epoch 1 trained on 200 rows of train, which has 201"):
        loop.fit(toy.training(epochs=1), feed)


def test_an_empty_train_split_is_refused() -> None:
    empty = {name: values[:0] for name, values in toy.rows(3, 0).items()}
    with pytest.raises(UserError, match="no rows to train on"):
        loop.fit(toy.training(), MemoryFeed({"train": empty}, 32))


def test_without_validation_the_last_epoch_is_kept() -> None:
    training = toy.training(epochs=2)
    history = loop.fit(training, MemoryFeed({"train": toy.rows(64, 1)}, 32))
    assert [epoch.score for epoch in history] == [None, None]
    assert loop.best_epoch(history) == 2


def test_progress_says_share_figures_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), TrainingProgress(200, "train") as progress:
        progress.advance(50, "")
        line = progress.line(figures(0.5, 0.25, 1234.0, 0.1))
    assert line.startswith("25%, loss 0.5000, accuracy 0.2500, 1,234 rows/s, input wait 10%")
    assert line.endswith("s left")


REPLICAS = """
import json
import numpy as np
from lib.training import loop, state
from lib.training.cluster import Cluster
from lib.training.strategy import make_strategy
from tests.training import toy
make_strategy(2, Cluster())
drawing = toy.training(model={"gram_dropout": 0.3, "fcl_dropout": 0.3}, replicas=2)
strategy = drawing.steps.strategy
for _ in range(2):
    seeds = [one.value for one in drawing.model.variables if one.name == state.RANDOM]
    drawn = [[part.numpy().tolist() for part in strategy.experimental_local_results(seed)] for seed in seeds]
    print(json.dumps(drawn))
    # As a training that goes on: the first replica's values are in the checkpoint.
    variables = drawing.variables
    state.restore(variables, state.captured(variables), None)
    state.separate_streams(strategy, drawing.model)
stepped = toy.training(replicas=2)
# Two steps: the first one's rate is zero, as rates warm up.
for batch in list(toy.feed().batches("train", 1))[:2]:
    stepped.steps.train(batch)
    stepped.done += 1
def compared(variable):
    # The rows in which the replicas' copies differ, and the copies.
    copies = [np.asarray(part) for part in strategy.experimental_local_results(variable)]
    return [np.flatnonzero((copies[0] != copies[1]).any(axis=1)).tolist(), [copy.tolist() for copy in copies]]
table_and_slot = stepped.optimizer.owned[:2]
apart = [compared(one) for one in table_and_slot]
stepped.bring_together()
print(json.dumps({"apart": apart, "together": [compared(one) for one in table_and_slot]}))
for replicas in (1, 2):
    training = toy.training(replicas=replicas, clip_norm=0.5, average=0.9, epochs=2)
    history = loop.fit(training, toy.feed(train=65))
    print(json.dumps({
        "loss": [epoch.loss for epoch in history],
        "validation": [history[-1].validation.loss[head] for head in ("output", "text_cat_output")],
        "weights": [float(np.abs(weight).sum()) for weight in toy.weights(training)],
    }))
"""


def test_two_replicas_train_as_one() -> None:
    """In a fresh process, as devices are set before TensorFlow starts; the last batch has one row, one replica none."""
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    fresh, resumed, shared, one, two = (json.loads(line) for line in done.stdout.splitlines()[-5:])
    assert fresh == resumed
    assert len(fresh) == 2
    assert all(first[0] != second[0] and first[1] == second[1] for first, second in fresh)
    for (rows, copies), (left, (first, second)) in zip(shared["apart"], shared["together"], strict=True):
        # Each row that the step touched was moved by its owner alone, until the owners gave theirs to all.
        assert {row % 2 for row in rows} == {0, 1}
        assert left == []
        assert first == second == [copies[row % 2][row] for row in range(toy.GRAMS)]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert two["validation"] == pytest.approx(one["validation"], rel=1e-4)
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-4)


def test_more_replicas_than_devices_are_refused() -> None:
    tf.config.list_logical_devices()  # TensorFlow starts, with as many as it was told by now
    with pytest.raises(UserError, match=r"train.replicas is 7"):
        toy.training(replicas=7)
