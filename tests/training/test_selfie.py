"""SELFIE: what is clean, what is refurbished, what is left out; and that a killed training goes on with the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from lib.config import TrainSettings
from lib.config.noise import InjectedNoise, NoiseSettings
from lib.errors import UserError
from lib.feed import order
from lib.model.build import networks
from lib.training import loop
from lib.training.checkpoint import CheckpointFolder
from lib.training.feed import MemoryFeed
from lib.training.injected_noise import NoisyFeed, WrongLabels, check_siblings
from lib.training.loop import Training
from lib.training.noisy_labels import GeneralizedCrossEntropy, estimated_rate
from lib.training.prediction_history import NONE, PredictionHistory, most_frequent, refurbished_rows
from lib.training.selfie import Selfie, clean, wrong
from tests.training import toy

CLASSES = toy.CLASSES


def test_the_most_frequent_prediction_and_how_much_they_differ() -> None:
    labels, entropy = most_frequent(tf.constant([[2, 2, 2, 2], [1, 3, 1, 1], [0, 1, 2, 3]]), CLASSES)
    assert labels.numpy()[:2].tolist() == [2, 1]
    three_to_one = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(4)
    assert entropy.numpy() == pytest.approx([0.0, three_to_one, 1.0], abs=1e-6)


def test_the_clean_are_those_of_small_loss_among_rows_that_count() -> None:
    losses, counted = tf.constant([0.5, 0.1, 9.0, 0.0, 0.5]), tf.constant([True, True, True, False, True])
    # Half of the four that count; of two alike the first.
    assert clean(losses, counted, tf.constant(0.5)).numpy().tolist() == [True, True, False, False, False]
    assert clean(losses, counted, tf.constant(0.0)).numpy().tolist() == [True, True, True, False, True]
    # Rounded up: a quarter of four rows and a bit is two.
    assert clean(losses, counted, tf.constant(0.7)).numpy().sum() == 2
    assert clean(losses[:0], counted[:0], tf.constant(0.5)).numpy().tolist() == []


def method(**settings: Any) -> Selfie:
    chosen = NoiseSettings(**{"method": "selfie", "rate": 0.5, "warmup_epochs": 2, "history": 2, **settings})
    # Two files of three and two rows.
    return Selfie(chosen, 0.0, CLASSES, [[(10, 3), (20, 2)]], 0)


def shown(selfie: Selfie, epoch: int, said: list[int], sure: float = 5.0) -> Any:
    """What a step of the epoch learns from, when the network says so of rows 10, 11, 12, 21 with label 0."""
    selfie.begin(epoch)
    batch = {
        "row_id": tf.constant([10, 11, 12, 21], tf.int64),
        "label": tf.constant([0, 0, 0, 0]),
        "weight": tf.constant([1.0, 2.0, 1.0, 1.0]),
    }
    learnt = selfie.learnt_from(batch, {"output": sure * tf.one_hot(said, CLASSES)})
    return list(zip(learnt["label"].numpy().tolist(), learnt["weight"].numpy().tolist(), strict=True))


def test_labels_are_kept_refurbished_or_left_out() -> None:
    selfie = method()
    trusted = [(0, 1.0), (0, 2.0), (0, 1.0), (0, 1.0)]
    assert shown(selfie, 1, [0, 3, 1, 2]) == trusted
    assert shown(selfie, 2, [0, 3, 2, 2]) == trusted
    # 10 agrees with its label, 11 and 21 steadily contradict it; 12 does neither, and its loss is large.
    assert shown(selfie, 3, [0, 3, 1, 2]) == [(0, 1.0), (3, 2.0), (0, 0.0), (2, 1.0)]
    # What has been refurbished stays so while the network wavers; 12 is of small loss now.
    assert shown(selfie, 4, [0, 1, 0, 2]) == [(0, 1.0), (3, 2.0), (0, 1.0), (2, 1.0)]
    selfie.restart()
    assert shown(selfie, 1, [1, 1, 1, 1]) == trusted
    shown(selfie, 2, [1, 2, 3, 1])
    assert shown(selfie, 3, [1, 1, 1, 1])[1] == (3, 2.0)


def test_no_more_labels_are_mended_than_can_be_wrong() -> None:
    contradicted, losses = tf.constant([True, False, True, True]), tf.constant([1.0, 9.0, 3.0, 2.0])
    for rate, expected in ((0.0, []), (0.25, [2]), (0.5, [2, 3]), (1.0, [0, 2, 3])):
        found = wrong(contradicted, losses, tf.constant([True] * 4), tf.constant(rate))
        assert np.flatnonzero(found.numpy()).tolist() == expected
    # Told that none is wrong, it learns from every label as it is given, whatever the network says.
    selfie = method(rate=0.0)
    trusted = [(0, 1.0), (0, 2.0), (0, 1.0), (0, 1.0)]
    assert [shown(selfie, epoch, [0, 3, 3, 2]) for epoch in (1, 2, 3, 4)] == [trusted] * 4


def test_a_row_without_label_is_never_refurbished() -> None:
    selfie = method(warmup_epochs=1, history=1)
    batch = {"row_id": tf.constant([10], tf.int64), "label": tf.constant([-1]), "weight": tf.constant([1.0])}
    for epoch in (1, 2):
        selfie.begin(epoch)
        learnt = selfie.learnt_from(batch, {"output": tf.one_hot([2], CLASSES)})
    assert learnt["label"].numpy().tolist() == [-1]


def test_a_history_takes_two_bytes_a_prediction_and_two_more() -> None:
    history = PredictionHistory(5, [[(0, 1000)]], 0)
    held = [one for one in vars(history).values() if isinstance(one, tf.Variable)]
    assert sum(one.numpy().nbytes for one in held) == 1000 * (2 * 5 + 2)


def test_histories_are_dealt_anew_to_another_number_of_workers() -> None:
    files = [(0, 4), (4, 3), (7, 4), (11, 3)]
    one, alone = PredictionHistory(2, [files], 0), None
    one.note(one.slots(tf.range(14, dtype=tf.int64)), tf.constant(1), tf.range(14))
    one.note(one.slots(tf.range(14, dtype=tf.int64)), tf.constant(2), tf.range(14))
    one.refurbish(one.slots(tf.constant([5, 12], tf.int64)), tf.constant(True), 0.0, 100)
    stored = one.arrays(None)
    pairs = [PredictionHistory(2, [[files[0], files[2]], [files[1], files[3]]], worker) for worker in (0, 1)]
    for pair in pairs:
        pair.take(stored)
    again = {name: values for pair in pairs for name, values in _own(pair).items()}
    assert sorted(again) == sorted(stored)
    for name, values in stored.items():
        np.testing.assert_array_equal(again[name], values)
    # And back; files of another month's length would lie elsewhere, so ranges need not be the same.
    alone = PredictionHistory(2, [[(0, 14)]], 0)
    alone.take(again)
    ids, labels = refurbished_rows(alone.arrays(None))
    assert dict(zip(ids.tolist(), labels.tolist(), strict=True)) == {5: 5, 12: 12}


def _own(history: PredictionHistory) -> dict[str, Any]:
    """What it would give if it were the only worker."""
    single = PredictionHistory(history.length, [history.own], 0)
    single._predictions.assign(history._predictions)
    single._refurbished.assign(history._refurbished)
    return single.arrays(None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": 1.0}, "less than 1"),
        ({"rate": -0.1}, "greater than or equal to 0"),
        ({"history": 3, "warmup_epochs": 2}, "history 3 is more than warmup_epochs 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NoiseSettings(method="selfie", **settings)


def test_a_training_that_would_never_refurbish_is_refused() -> None:
    with pytest.raises(ValidationError, match="warmup_epochs 3 leaves no epoch of epochs 3"):
        TrainSettings(epochs=3, noise=NoiseSettings(method="selfie", warmup_epochs=3))
    with pytest.raises(ValidationError, match=r"patience 1 may end the training within noise\.warmup_epochs 2"):
        TrainSettings(epochs=5, patience=1, noise=NoiseSettings(method="selfie", warmup_epochs=2))


def test_without_validation_the_rate_has_to_be_said() -> None:
    noise = NoiseSettings(method="selfie", warmup_epochs=1, history=1)
    rows = {"train": toy.rows(64, 1), "validation": toy.rows(0, 2)}
    rows["train"]["row_id"], rows["validation"]["row_id"] = np.arange(64), np.arange(0)
    with pytest.raises(UserError, match=r"there are no validation rows, so .* cannot be estimated"):
        loop.fit(training(noise), MemoryFeed(rows, 64))


def test_siblings_need_a_tree() -> None:
    noise = InjectedNoise(share=0.4, kind="sibling")
    check_siblings(noise, [["a", "b"], ["a", "c"], ["d", "e"]])
    for paths in ([["a"], ["b"]], [["a", "b"], ["c", "d"]]):
        with pytest.raises(UserError, match="no category of the month has a parent and a sibling"):
            check_siblings(noise, paths)


def test_more_classes_than_two_bytes_tell_apart_are_refused() -> None:
    with pytest.raises(UserError, match="too few for 65535 classes"):
        Selfie(NoiseSettings(method="selfie"), 0.0, NONE, [[(0, 1)]], 0)


NOISY_ROWS, SHARE = 600, 0.4
SETTINGS = {"batch_size": 64, "epochs": 6, "patience": 6, "learning_rate": 0.01}


def noisy_feed() -> NoisyFeed:
    rows = {split: toy.rows(count, seed) for split, count, seed in (("train", NOISY_ROWS, 1), ("validation", 200, 2))}
    rows["train"]["row_id"] = np.arange(NOISY_ROWS)
    rows["validation"]["row_id"] = NOISY_ROWS + np.arange(200)
    wrong = WrongLabels(InjectedNoise(share=SHARE), np.zeros(CLASSES, np.int64))
    return NoisyFeed(MemoryFeed(rows, 64), wrong)


def training(noise: NoiseSettings) -> Training:
    settings = TrainSettings(**SETTINGS, noise=noise)
    made = toy.architecture(margin=False)
    steps = order.batch_count(NOISY_ROWS, 64) * settings.epochs
    labels = Selfie(noise, 0.0, CLASSES, noisy_feed().ranges("train"), 0)
    return loop.start(lambda: networks(made), settings, steps, labels=labels)


@pytest.mark.parametrize("rate", [SHARE, None])
def test_wrong_labels_are_found_and_set_right(rate: float | None) -> None:
    noise = NoiseSettings(method="selfie", rate=rate, warmup_epochs=2, history=2)
    made = training(noise)
    epochs = loop.fit(made, noisy_feed())
    # After two epochs the network is sure of few rows, and what is not sure does not count.
    assert 0.2 < made.labels.facts()["rate"] <= SHARE + 0.05
    assert [epoch.refurbished for epoch in epochs[:2]] == [0, 0]
    ids, labels = refurbished_rows(made.labels.arrays(None))
    truth, given = toy.rows(NOISY_ROWS, 1)["label"], np.concatenate([b["label"] for b in in_order()])
    changed = labels != given[ids]
    # Of the wrong ones most are set right, and hardly a right one is spoilt.
    assert (labels == truth[ids])[changed].mean() > 0.95
    assert changed.sum() > 0.8 * (given != truth).sum()
    # No more at once than the rate says, which is estimated too low here.
    most = changed.sum() if rate == SHARE else made.labels.facts()["rate"] * NOISY_ROWS
    assert epochs[-1].refurbished == pytest.approx(min(changed.sum(), most), rel=0.2)


def in_order() -> Iterator[dict[str, Any]]:
    """The noisy train rows as they are stored."""
    feed = noisy_feed()
    stored = MemoryFeed({"validation": feed.feed.splits["train"]}, 64)
    for batch in NoisyFeed(stored, feed.wrong).batches("validation", 0):
        yield {name: np.asarray(values) for name, values in batch.items()}


class Killed(Exception):  # noqa: N818
    """Stands for a kill."""


class Killer(toy.Told):
    """Ends the training after some steps."""

    def steps(self, first: int, losses: Any) -> None:
        """End it."""
        super().steps(first, losses)
        if max(self.losses) >= 35:
            raise Killed


def test_a_killed_training_goes_on_with_the_same_labels(tmp_path: Path) -> None:
    noise = NoiseSettings(method="selfie", rate=None, warmup_epochs=2, history=2)
    calm = training(noise)
    loop.fit(calm, noisy_feed())
    saving = loop.Saving(CheckpointFolder(tmp_path, 2), 0.0)
    with pytest.raises(Killed):
        loop.fit(training(noise), noisy_feed(), [Killer()], saving)
    again = training(noise)
    loop.fit(again, noisy_feed(), saving=saving)
    for one, two in zip(toy.weights(calm), toy.weights(again), strict=True):
        np.testing.assert_array_equal(one, two)
    for name, values in calm.labels.arrays(None).items():
        np.testing.assert_array_equal(again.labels.arrays(None)[name], values)
    # Once it has ended, its labels are still there to be told.
    ended = training(noise)
    loop.fit(ended, noisy_feed(), saving=saving)
    assert ended.labels.facts() == calm.labels.facts()
    for name, values in calm.labels.arrays(None).items():
        np.testing.assert_array_equal(ended.labels.arrays(None)[name], values)


def test_generalized_cross_entropy_lies_between_two_losses() -> None:
    logits, labels = tf.constant([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]]), tf.constant([0, 0])
    chance = tf.nn.softmax(logits).numpy()[:, 0]
    nearly = GeneralizedCrossEntropy(1e-4).row_loss(logits, labels).numpy()
    assert nearly == pytest.approx(-np.log(chance), rel=1e-3)
    assert GeneralizedCrossEntropy(1.0).row_loss(logits, labels).numpy() == pytest.approx(1 - chance, rel=1e-5)


def test_injected_noise_follows_from_the_row_alone() -> None:
    parents = np.array([0, 0, 0, 1, 2, 2])
    ids, labels = np.arange(60_000), np.random.default_rng(0).integers(0, 6, 60_000).astype(np.int32)
    symmetric = WrongLabels(InjectedNoise(share=0.4), parents).of(ids, labels)
    wrong = symmetric != labels
    assert wrong.mean() == pytest.approx(0.4, abs=0.01)
    # Into each of the other five alike.
    assert np.bincount((symmetric - labels)[wrong] % 6, minlength=6)[1:].min() > 0.19 * wrong.sum()
    sibling = WrongLabels(InjectedNoise(kind="sibling", share=0.4), parents).of(ids, labels)
    moved = sibling != labels
    assert (parents[sibling] == parents[labels]).all()
    assert moved[labels != 3].mean() == pytest.approx(0.4, abs=0.01)
    assert not moved[labels == 3].any()
    # In any order and batch.
    shuffled = np.random.default_rng(1).permutation(60_000)
    again = WrongLabels(InjectedNoise(share=0.4), parents).of(ids[shuffled], labels[shuffled])
    np.testing.assert_array_equal(again, symmetric[shuffled])
    other = WrongLabels(InjectedNoise(share=0.4, seed=2), parents).of(ids, labels)
    assert (other != symmetric).mean() > 0.3
    assert (WrongLabels(InjectedNoise(), parents).of(ids, labels) == labels).all()


def test_test_rows_keep_their_labels() -> None:
    rows = {split: {**toy.rows(300, 1), "row_id": np.arange(300)} for split in ("train", "validation", "test")}
    feed = NoisyFeed(MemoryFeed(rows, 64), WrongLabels(InjectedNoise(share=0.4), np.zeros(CLASSES, np.int64)))
    wrong = {
        split: np.concatenate([batch["label"] for batch in feed.batches(split, 0)]) != rows[split]["label"]
        for split in ("validation", "test")
    }
    assert wrong["validation"].mean() > 0.3
    assert not wrong["test"].any()


def test_the_share_of_wrong_labels_is_estimated_from_confident_answers() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 4000)
    given = np.where(random.random(4000) < 0.3, (truth + random.integers(1, 5, 4000)) % 5, truth)
    logits = 4.0 * np.eye(5)[truth] + random.normal(size=(4000, 5))
    assert estimated_rate(logits, given) == pytest.approx(0.3, abs=0.03)
    for labels in (np.full(4000, -1), np.full(4000, 2)):
        with pytest.raises(UserError, match=r"fewer than two categories, so .* say it: train\.noise\.rate"):
            estimated_rate(logits, labels)
    with pytest.raises(UserError, match="all 2 validation rows seem to have a wrong label"):
        estimated_rate(np.array([[9.0, 0.0], [0.0, 9.0]]), np.array([1, 0]))
