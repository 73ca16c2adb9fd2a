"""Each layer against a plain computation of what it says it does."""

import numpy as np
import pytest
import tensorflow as tf

from lib.model.layers.bag import Entries, WeightedBag, row_gradients
from lib.model.layers.gram_dropout import GramDropout
from lib.model.layers.table import Lookup
from lib.model.layers.text_cnn import TextCNN

IDS = np.array([[3, 1, 3, 0], [0, 0, 0, 0], [1, 4, 2, 1]], np.int32)
WEIGHTS = np.array([[0.5, 1.0, -0.25, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.5]], np.float32)


def test_lookup_reads_rows_and_zeros_for_padding() -> None:
    layer = Lookup(5, 2, values=np.arange(10, dtype=np.float32).reshape(5, 2) + 1)
    read = layer(IDS).numpy()
    assert read[0].tolist() == [[7, 8], [3, 4], [7, 8], [0, 0]]
    assert not read[1].any()


def test_lookup_gradient_names_only_the_rows_read() -> None:
    layer = Lookup(1000, 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(IDS))
    gradient = tape.gradient(loss, layer.table.value)
    assert isinstance(gradient, tf.IndexedSlices)
    assert set(gradient.indices.numpy()) <= {0, 1, 2, 3, 4}


def test_start_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        Lookup(5, 2, values=np.zeros((4, 2), np.float32))


def test_frozen_table_is_not_trainable() -> None:
    assert not Lookup(5, 2, trainable=False).trainable_variables


def plain_bag(table: tf.Variable) -> tf.Tensor:
    return tf.einsum("bl,blw->bw", WEIGHTS, tf.gather(table, IDS))


def test_bag_is_the_weighted_sum() -> None:
    layer = WeightedBag(5, 3)
    np.testing.assert_allclose(layer((IDS, WEIGHTS)), plain_bag(layer.table.value), rtol=1e-6)


def test_bag_gradient_is_that_of_the_plain_sum() -> None:
    layer = WeightedBag(5, 3)
    with tf.GradientTape() as tape:
        plain = tf.reduce_sum(tf.square(plain_bag(layer.table.value)))
    expected = tf.convert_to_tensor(tape.gradient(plain, layer.table.value)).numpy()
    ids, rows = row_gradients(Entries.of(tf.constant(IDS), tf.constant(WEIGHTS)), 2 * layer((IDS, WEIGHTS)))
    found = np.zeros_like(expected)
    found[ids.numpy()] = rows.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_bag_gradient_names_each_id_of_weight_once() -> None:
    ids, _ = row_gradients(Entries.of(tf.constant(IDS), tf.constant(WEIGHTS)), tf.ones((3, 2)))
    assert sorted(ids.numpy()) == [1, 3, 4]


def test_entries_leave_out_what_weighs_nothing() -> None:
    entries = Entries.of(tf.constant(IDS), tf.constant(WEIGHTS))
    assert entries.ids.numpy().tolist() == [3, 1, 3, 1, 4, 1]
    assert entries.example.numpy().tolist() == [0, 0, 0, 2, 2, 2]
    assert int(entries.examples) == 3


@pytest.mark.parametrize("examples", [0, 3])
def test_bag_of_nothing_is_zero_and_has_no_gradient(examples: int) -> None:
    layer, nothing = WeightedBag(5, 3), np.zeros_like(WEIGHTS[:examples])
    bag = layer((IDS[:examples], nothing))
    assert bag.shape == (examples, 3)
    assert not bag.numpy().any()
    ids, rows = row_gradients(Entries.of(tf.constant(IDS[:examples]), tf.constant(nothing)), tf.ones((examples, 3)))
    assert ids.shape == (0,)
    assert rows.shape == (0, 3)


def test_gram_dropout_drops_whole_grams_in_training_only() -> None:
    ones = tf.ones((50, 40))
    layer = GramDropout(0.25, seed=1)
    kept = layer(ones, training=True).numpy()
    assert np.unique(kept).tolist() == pytest.approx([0.0, 4 / 3])
    assert 0.2 < (kept == 0).mean() < 0.3
    assert (layer(ones, training=False).numpy() == 1).all()


def plain_cnn(layer: TextCNN, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Window by window, filter by filter."""
    made = []
    for row, present in zip(vectors, ids != 0, strict=True):
        found = []
        padded = np.concatenate([row, np.zeros((max(layer.widths), row.shape[1]))])
        for width, convolution in zip(layer.widths, layer.convolutions, strict=True):
            kernel, bias = (weight.numpy() for weight in convolution.weights)
            windows = [np.tensordot(padded[i : i + width], kernel, 2) + bias for i in np.flatnonzero(present)]
            found.append(np.tanh(windows).max(axis=0) if windows else np.zeros(layer.filters))
        made.append(np.concatenate(found))
    return np.array(made)


def test_text_cnn_pools_over_windows_that_start_at_a_token() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32) * (IDS != 0)[:, :, None]
    layer = TextCNN((1, 3, 6), 5, "tanh")
    found = layer((vectors, IDS)).numpy()
    np.testing.assert_allclose(found, plain_cnn(layer, vectors, IDS), rtol=1e-4, atol=1e-6)
    assert not found[1].any()


def test_text_cnn_of_no_text_at_all_has_a_gradient_of_zero() -> None:
    layer = TextCNN((1, 2), 5, "relu")
    with tf.GradientTape() as tape:
        out = layer((np.zeros((3, 4, 2), np.float32), np.zeros((3, 4), np.int32)))
        loss = tf.reduce_sum(out)
    assert not out.numpy().any()
    assert all(not gradient.numpy().any() for gradient in tape.gradient(loss, layer.trainable_variables))
