"""A moving average of all weights, which is what is validated and kept: it is steadier than the last step's weights.

The average of a weight that does not move is the weight itself, so tables would need a pass over every row at every
step. Averaging every EVERY steps with the decay raised to that power gives nearly the same
average for 1/32 of the cost.
"""

from typing import Any

import keras
import tensorflow as tf

EVERY = 32


class Average:
    """Shadow copies of a model's trainable weights.

    Args:
        model: whose weights are averaged; make it in the strategy's scope.
        decay: share of the average that one step leaves.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.weights = [weight.value for weight in model.trainable_variables]
        self.shadows = [tf.Variable(weight, trainable=False) for weight in self.weights]
        self.decay, self.updates = decay, 0

    def after_step(self, step: int) -> None:
        """Take the weights into account; `step` counts from 1."""
        if step % EVERY:
            return
        self.updates += 1
        # Early averages follow fast, as in TensorFlow's ExponentialMovingAverage(num_updates).
        decay = min(self.decay**EVERY, (1 + self.updates) / (10 + self.updates))
        for shadow, weight in zip(self.shadows, self.weights, strict=True):
            shadow.assign_add((1.0 - decay) * (weight - shadow))

    def swap(self) -> None:
        """Exchange weights and averages; calling it again puts them back."""
        if not self.updates:
            return
        for shadow, weight in zip(self.shadows, self.weights, strict=True):
            held: Any = tf.identity(weight)
            weight.assign(shadow)
            shadow.assign(held)
