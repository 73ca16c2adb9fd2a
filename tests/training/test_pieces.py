"""Temperature, early stopping, averaging, schedule, feed and embedding, each alone."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from lib.config import TrainSettings
from lib.text.vocabulary import Vocabulary
from lib.training import loop
from lib.training.average import EVERY, Average
from lib.training.embedding import aligned
from lib.training.schedule import learning_rate
from lib.training.stopping import BestWeights
from lib.training.temperature import fit_temperature
from tests.training import toy


def drawn(temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / temperature)."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 5)) * 3
    chances = softmax(logits / temperature, axis=1)
    return logits, (chances.cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_temperature_ignores_rows_without_label() -> None:
    logits, labels = drawn(2.0)
    spoiled = np.concatenate([logits, np.full((5000, 5), 1e6)]), np.concatenate([labels, np.full(5000, -1)])
    assert fit_temperature(*spoiled) == pytest.approx(fit_temperature(logits, labels))
    assert fit_temperature(logits[:3], np.array([-1, -1, -1])) == 1.0


def one_weight() -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.weights[0].assign([[0.0]])
    return model


def test_best_weights_are_restored_after_patience() -> None:
    model, best = one_weight(), BestWeights(patience=2)
    for epoch, score in enumerate([0.5, 0.7, 0.7, 0.6], 1):
        assert not best.exhausted
        model.weights[0].assign([[float(epoch)]])
        best.offer(model, epoch, score)
    assert best.exhausted
    best.restore(model)
    assert (best.epoch, model.weights[0].numpy().item()) == (2, 2.0)


def test_a_score_that_is_no_number_is_never_the_best() -> None:
    model, best = one_weight(), BestWeights(patience=2)
    assert best.offer(model, 1, 0.1)
    assert not best.offer(model, 2, float("nan"))


def test_average_follows_and_swaps() -> None:
    model = one_weight()
    average = Average(model, decay=0.5)
    average.swap()
    assert model.weights[0].numpy().item() == 0.0
    model.weights[0].assign([[1.0]])
    for step in range(1, 2 * EVERY + 1):
        average.after_step(step)
    average.swap()
    assert 0.99 < model.weights[0].numpy().item() <= 1.0
    average.swap()
    assert model.weights[0].numpy().item() == 1.0


def rates(**settings: object) -> list[float]:
    rate = learning_rate(TrainSettings(learning_rate=0.1, **settings), 100)
    return [float(rate(step)) if callable(rate) else rate for step in (0, 10, 55, 100)]


def test_schedules() -> None:
    assert rates(schedule="constant", warmup=0.0) == [0.1] * 4
    assert rates(schedule="constant", warmup=0.1) == pytest.approx([0.0, 0.1, 0.1, 0.1])
    assert rates(schedule="cosine", warmup=0.1) == pytest.approx([0.0, 0.1, 0.05, 0.0])
    assert rates(schedule="cosine", warmup=0.0, floor=0.5)[::3] == pytest.approx([0.1, 0.05])


def test_rates_are_for_a_batch_of_so_many_rows() -> None:
    assert rates(schedule="constant", warmup=0.0, batch_size=512, rate_batch=128) == [0.4] * 4
    assert rates(schedule="cosine", warmup=0.1, batch_size=64, rate_batch=128) == pytest.approx([0.0, 0.05, 0.025, 0.0])
    twice, plain = (toy.training(batch_size=64, rate_batch=rows, schedule="constant", warmup=0.0) for rows in (32, 64))
    # Of tables too: theirs are multiples of the dense weights'.
    assert [table.rate for table in twice.optimizer.tables] == [table.rate for table in plain.optimizer.tables]
    assert twice.learning_rate == pytest.approx(2 * plain.learning_rate)


def test_bfloat16_learns_the_task_and_keeps_float32_where_it_counts() -> None:
    training = toy.training(precision="mixed_bfloat16", learning_rate=0.01, epochs=10, patience=10)
    hidden, logits = (training.model.get_layer(name) for name in ("grams_dense", "output"))
    assert (hidden.compute_dtype, logits.compute_dtype) == ("bfloat16", "float32")
    assert {weight.dtype for weight in training.model.trainable_variables} == {"float32"}
    loop.fit(training, toy.feed())
    assert loop.measure(training, toy.feed(), "validation").accuracy["output"] > 0.9
    # The next model is made as ever.
    assert toy.training().model.get_layer("grams_dense").compute_dtype == "float32"


def test_memory_feed_shuffles_train_only_and_joins_splits() -> None:
    feed = toy.feed(train=70, validation=9)
    first, again, second = ([b["name_ids"].numpy() for b in feed.batches("train", e)] for e in (1, 1, 2))
    assert [len(batch) for batch in first] == [32, 32, 6]
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    kept = np.concatenate([batch["label"].numpy() for batch in feed.batches("validation", 5)])
    np.testing.assert_array_equal(kept, toy.rows(9, 2)["label"])
    assert feed.rows("train+validation") == 79
    assert sum(len(batch["label"]) for batch in feed.batches("train+validation", 1)) == 79


def test_word_vectors_follow_their_words() -> None:
    source = Vocabulary.of(["가", "나"])
    vectors = np.array([[0, 0], [5, 5], [1, 2], [3, 4]], np.float32)
    made = aligned(Vocabulary.of(["나", "새말", "가"]), source, vectors, seed=0)
    assert made[[0, 1, 2, 4]].tolist() == [[0, 0], [5, 5], [3, 4], [1, 2]]
    assert made[3].any()
