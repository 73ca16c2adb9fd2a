"""TextCNN (Kim 2014), as the published system used it: several filter widths, max-over-time pooling."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from lib.model.layers.table import Tensor

# Below anything an activation returns, and far from float32's limits, so that gradients stay finite.
NEVER = -1e9


class TextCNN(keras.layers.Layer):  # type: ignore[misc]
    """(vectors [batch, length, width], ids [batch, length]) -> [batch, filters * number of widths].

    A window starts at each token that is there; padding after it reads as zeros. So a text of one token still passes
    through every width, and a text of none gives zeros. Rows without any token are not convolved at all, so a month
    without mall categories pays nothing for their branch.
    """

    def __init__(self, widths: Sequence[int], filters: int, activation: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths, self.filters = tuple(widths), filters
        self.convolutions = [
            keras.layers.Conv1D(filters, width, padding="valid", activation=activation, name=f"width_{width}")
            for width in self.widths
        ]

    def build(self, input_shape: Any) -> None:
        """Create the filters."""
        batch, length, width = input_shape[0]
        for convolution in self.convolutions:
            convolution.build((batch, length + max(self.widths) - 1, width))

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Convolve and pool the rows that have a token, put zeros in the place of the others."""
        vectors, ids = inputs
        filled = tf.where(tf.reduce_any(tf.not_equal(ids, 0), axis=1))
        pooled = self._pooled(_and_one(tf.gather(vectors, filled[:, 0])), _and_one(tf.gather(ids, filled[:, 0])))[:-1]
        placed = tf.scatter_nd(filled, pooled, tf.stack([tf.shape(ids, tf.int64)[0], pooled.shape[1]]))
        return tf.ensure_shape(placed, [None, pooled.shape[1]])

    def _pooled(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Maximum of each filter over the windows that start at a token; every row has one."""
        absent = ops.cast(ops.equal(ids, 0), vectors.dtype)[:, :, None]
        padded = ops.pad(vectors, [[0, 0], [0, max(self.widths) - 1], [0, 0]])
        length = vectors.shape[1]
        maxima = [
            ops.max(convolution(padded[:, : length + width - 1]) + absent * NEVER, axis=1)
            for width, convolution in zip(self.widths, self.convolutions, strict=True)
        ]
        return ops.concatenate(maxima, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, int]:
        """[batch, filters * number of widths]."""
        return (input_shape[0][0], self.filters * len(self.widths))


def _and_one(rows: Tensor) -> Tensor:
    """The rows and one of zeros: TensorFlow's convolution of no rows at all has the wrong shape."""
    return tf.pad(rows, [[0, 1]] + [[0, 0]] * (len(rows.shape) - 1))
