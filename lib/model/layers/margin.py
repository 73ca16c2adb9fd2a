"""A number for each gram and class, summed: what a linear classifier, one class against the rest, says.

Trained with the squared hinge loss it is the neural twin of LinearSVC, and it errs elsewhere than a softmax does; so
the two together beat either (`Blend`).
"""

from typing import Any

import keras

from lib.model.layers.table import Tensor


class Margin(keras.layers.Layer):  # type: ignore[misc]
    """Sums [batch, classes] -> margins [batch, classes]: sum + bias."""

    def build(self, input_shape: Any) -> None:
        """Biases of -1: before anything is learnt, every row is on the right side for all classes but its own."""
        start = keras.initializers.Constant(-1.0)
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer=start, name="bias")

    def call(self, sums: Tensor) -> Tensor:
        """Shift."""
        return sums + self.bias


class Blend(keras.layers.Layer):  # type: ignore[misc]
    """(logits, margins), both [batch, classes] -> log softmax(logits) + weight * margins."""

    def __init__(self, weight: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Add them up."""
        logits, margins = inputs
        return keras.ops.log_softmax(logits) + self.weight * margins

    def compute_output_shape(self, input_shape: Any) -> Any:
        """[batch, classes]."""
        return input_shape[0]
