"""The multitask loss on literal rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lib.training.losses import cross_entropy, squared_hinge, weighted_loss
from lib.training.noisy_labels import Plain

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], np.float32)
HEADS = {"text_prod_output": 0.3, "text_cat_output": 0.5, "output": 1.0}


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_cross_entropy_is_that_of_keras(smoothing: float) -> None:
    labels = np.array([0, 1], np.int32)
    expected = keras.losses.categorical_crossentropy(
        np.eye(3, dtype=np.float32)[labels], LOGITS, from_logits=True, label_smoothing=smoothing
    )
    np.testing.assert_allclose(cross_entropy(LOGITS, labels, smoothing), expected, rtol=1e-5)


def test_squared_hinge_is_one_class_against_the_rest() -> None:
    labels = np.array([0, 1], np.int32)
    signs = 2.0 * np.eye(3)[labels] - 1.0
    expected = 0.5 * (np.maximum(1.0 - signs * LOGITS, 0.0) ** 2).sum(axis=1)
    np.testing.assert_allclose(squared_hinge(LOGITS, labels), expected, rtol=1e-5)


def batch(labels: list[int], weights: list[float], categories: list[list[int]]) -> dict[str, tf.Tensor]:
    return {
        "label": tf.constant(labels),
        "weight": tf.constant(weights),
        "cat_ids": tf.constant(categories),
    }


def loss(labels: list[int], weights: list[float], categories: list[list[int]]) -> float:
    logits = dict.fromkeys(HEADS, tf.constant(LOGITS))
    return float(weighted_loss(logits, batch(labels, weights, categories), HEADS, Plain(0.1).row_loss))


def test_rows_count_by_their_weight_and_heads_by_theirs() -> None:
    first, second = np.array(cross_entropy(LOGITS, np.array([0, 1]), 0.1))
    assert loss([0, 1], [1.0, 4.0], [[3], [3]]) == pytest.approx(1.8 * (first + 4 * second), rel=1e-6)


def test_a_head_gets_no_loss_from_a_row_without_its_text() -> None:
    first, second = np.array(cross_entropy(LOGITS, np.array([0, 1]), 0.1))
    assert loss([0, 1], [1.0, 1.0], [[0], [3]]) == pytest.approx(1.3 * first + 1.8 * second, rel=1e-6)


def test_a_row_without_label_adds_nothing() -> None:
    assert loss([0, -1], [1.0, 1.0], [[3], [3]]) == loss([0, 2], [1.0, 0.0], [[3], [3]])


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ("image_features", np.array([[0.0, 0.0], [0.0, 0.5]], np.float32)),
        ("image", np.array([np.zeros((4, 4, 3)), np.full((4, 4, 3), 7)], np.uint8)),
    ],
)
def test_the_pictures_head_gets_no_loss_from_a_row_without_one(column: str, shown: np.ndarray) -> None:
    rows = {**batch([0, 1], [1.0, 1.0], [[3], [3]]), column: tf.constant(shown)}
    heads = {**HEADS, "img_output": 0.4}
    first, second = np.array(cross_entropy(LOGITS, np.array([0, 1]), 0.1))
    found = float(weighted_loss(dict.fromkeys(heads, tf.constant(LOGITS)), rows, heads, Plain(0.1).row_loss))
    assert found == pytest.approx(1.8 * first + 2.2 * second, rel=1e-6)
