"""Tells rows that have a picture from those that have none."""

from typing import Any

import keras

from lib.model.layers.table import Tensor


def present(values: Tensor) -> Tensor:
    """1.0 for each row with any number but 0, and 0.0 for a row of zeros alone, which stands for no picture.

    No kept picture is black to the last pixel: lib/images/decode.py refuses those.

    Args:
        values: [batch, …] of any type.

    Returns:
        float32 [batch, 1].
    """
    found = keras.ops.any(keras.ops.not_equal(values, 0), axis=tuple(range(1, len(values.shape))))
    return keras.ops.cast(keras.ops.expand_dims(found, 1), "float32")


class Present(keras.layers.Layer):  # type: ignore[misc]
    """`present` within a model."""

    def call(self, values: Tensor) -> Tensor:
        """[batch, …] -> float32 [batch, 1]."""
        return present(values)

    def compute_output_spec(self, values: Any) -> Any:
        """Whatever comes in."""
        return keras.KerasTensor((values.shape[0], 1), "float32")
