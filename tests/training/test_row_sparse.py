"""Each row-sparse rule against its dense twin in Keras, on rows touched at every step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lib.training.row_sparse import CHUNK, SparseTable, sum_repeated
from lib.training.rules import row_rule

ROWS, WIDTH, STEPS, RATE = 7, 3, 6, 0.05
TOUCHED = [5, 1, 2]
TWINS = {
    "adam": lambda: keras.optimizers.Adam(RATE),
    "adagrad": lambda: keras.optimizers.Adagrad(RATE),
    "adadelta": lambda: keras.optimizers.Adadelta(RATE),
    "sgd": lambda: keras.optimizers.SGD(RATE),
    "momentum": lambda: keras.optimizers.SGD(RATE, momentum=0.9),
}
RULES = {name: row_rule(name) for name in TWINS if name != "momentum"} | {"momentum": row_rule("sgd", momentum=0.9)}


def gradients() -> list[np.ndarray]:
    """One gradient a step for the touched rows, of very different sizes."""
    random = np.random.default_rng(0)
    return [(random.normal(size=(3, WIDTH)) * 10.0 ** random.integers(-3, 2)).astype(np.float32) for _ in range(STEPS)]


def start() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("name", TWINS)
def test_touched_rows_move_as_under_the_dense_twin(name: str) -> None:
    dense, twin = tf.Variable(start()), TWINS[name]()
    sparse = SparseTable(tf.Variable(start()), RULES[name])
    for number, gradient in enumerate(gradients(), 1):
        whole = np.zeros((ROWS, WIDTH), np.float32)
        whole[TOUCHED] = gradient
        twin.apply([tf.constant(whole)], [dense])
        sparse.apply(tf.constant(TOUCHED), tf.constant(gradient), tf.constant(RATE), tf.constant(number))
        np.testing.assert_allclose(
            sparse.variable.numpy()[TOUCHED],
            dense.numpy()[TOUCHED],
            rtol=1e-6,
            atol=1e-6,
            err_msg=f"step {number}",
        )
    assert np.abs(sparse.variable.numpy()[TOUCHED] - start()[TOUCHED]).max() > 1e-3 or name == "adadelta"


@pytest.mark.parametrize("touched", [0, 1, CHUNK, 2 * CHUNK + 1])
def test_rows_move_in_pieces_as_all_at_once(touched: int) -> None:
    random = np.random.default_rng(2)
    ids = random.permutation(3 * CHUNK)[:touched].astype(np.int32)
    gradient = random.normal(size=(touched, WIDTH)).astype(np.float32)
    rule = RULES["adagrad"]
    table = SparseTable(tf.Variable(tf.zeros((3 * CHUNK, WIDTH))), rule)
    held = [tf.fill((touched, WIDTH), start) for start in rule.slots.values()]
    change, slots = rule.move(tf.constant(gradient), held, tf.constant(RATE), tf.constant(1))
    expected, accumulator = np.zeros((3 * CHUNK, WIDTH), np.float32), table.slots[0].numpy()
    expected[ids], accumulator[ids] = change.numpy(), slots[0].numpy()
    table.apply(tf.constant(ids), tf.constant(gradient), tf.constant(RATE), tf.constant(1))
    np.testing.assert_array_equal(table.variable.numpy(), expected)
    np.testing.assert_array_equal(table.slots[0].numpy(), accumulator)


@pytest.mark.parametrize("name", TWINS)
def test_other_rows_and_their_slots_stay(name: str) -> None:
    sparse = SparseTable(tf.Variable(start()), RULES[name])
    fresh = [slot.numpy().copy() for slot in sparse.slots]
    sparse.apply(tf.constant(TOUCHED), tf.constant(gradients()[0]), tf.constant(RATE), tf.constant(1))
    others = [row for row in range(ROWS) if row not in TOUCHED]
    np.testing.assert_array_equal(sparse.variable.numpy()[others], start()[others])
    for slot, before in zip(sparse.slots, fresh, strict=True):
        np.testing.assert_array_equal(slot.numpy()[others], before[others])
        assert not np.array_equal(slot.numpy()[TOUCHED], before[TOUCHED])


@pytest.mark.parametrize("name", ["adagrad", "sgd"])
def test_rules_without_fading_slots_equal_the_dense_twin_everywhere(name: str) -> None:
    dense, twin = tf.Variable(start()), TWINS[name]()
    sparse = SparseTable(tf.Variable(start()), RULES[name])
    for number, gradient in enumerate(gradients(), 1):
        rows = [number % ROWS, (number + 3) % ROWS, (number + 5) % ROWS]
        whole = np.zeros((ROWS, WIDTH), np.float32)
        whole[rows] = gradient
        twin.apply([tf.constant(whole)], [dense])
        sparse.apply(tf.constant(rows), tf.constant(gradient), tf.constant(RATE), tf.constant(number))
    np.testing.assert_allclose(sparse.variable.numpy(), dense.numpy(), rtol=1e-6, atol=1e-6)


def test_repeated_ids_are_summed() -> None:
    values = tf.constant([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    ids, rows = sum_repeated(tf.IndexedSlices(values, tf.constant([4, 2, 4])))
    assert ids.numpy().tolist() == [4, 2]
    assert rows.numpy().tolist() == [[101.0, 202.0], [10.0, 20.0]]


def test_distinct_ids_pass_unchanged() -> None:
    values = tf.constant([[1.0], [2.0]])
    ids, rows = sum_repeated(tf.IndexedSlices(values, tf.constant([9, 3])))
    assert (ids.numpy().tolist(), rows.numpy().tolist()) == ([9, 3], [[1.0], [2.0]])
