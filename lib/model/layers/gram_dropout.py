"""Dropout on whole grams: their weights, not their vectors, so a dropped gram is neither read nor updated."""

from typing import Any

import keras

from lib.model.layers.table import Tensor


class GramDropout(keras.layers.Dropout):  # type: ignore[misc]
    """Weights [batch, length] -> the same, a share of them zeroed and the others raised to keep the expected sum."""

    def call(self, inputs: Tensor, training: Any = None) -> Tensor:
        """Drop while training only."""
        return super().call(inputs, training=training)
