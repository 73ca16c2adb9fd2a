"""A moving average of all weights, which is what is validated and kept: it is steadier than the last step's weights.

The average of a weight that does not move is the weight itself, so tables would need a pass over every row at every
step. Averaging every EVERY steps with the decay raised to that power gives nearly the same
average for 1/32 of the cost.
"""

from collections.abc import Sequence
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
        self._strategy = tf.distribute.get_strategy()
        self._move = tf.function(self._move_all)

    def after_step(self, step: int) -> None:
        """Take the weights into account; `step` counts from 1."""
        if step % EVERY:
            return
        self.updates += 1
        # Early averages follow fast, as in TensorFlow's ExponentialMovingAverage(num_updates).
        decay = min(self.decay**EVERY, (1 + self.updates) / (10 + self.updates))
        self._move(tf.constant(1.0 - decay))

    def _move_all(self, share: Any) -> None:
        """Each replica its own copies: of the rows that others own, these are old, and so are the shadows' then."""
        self._strategy.run(self._move_copies, (share,))

    def _move_copies(self, share: Any) -> None:
        for shadow, weight in zip(self.shadows, self.weights, strict=True):
            # A strategy's variable does not let a replica change its copy by itself.
            tf.raw_ops.AssignAddVariableOp(resource=shadow.handle, value=share * (weight - shadow))

    def of(self, weights: Sequence[Any]) -> list[Any]:
        """The shadows of those weights that are among the averaged."""
        wanted = {id(weight) for weight in weights}
        both = zip(self.shadows, self.weights, strict=True)
        return [shadow for shadow, weight in both if id(weight) in wanted]

    def swap(self) -> None:
        """Exchange weights and averages; calling it again puts them back."""
        if not self.updates:
            return
        for shadow, weight in zip(self.shadows, self.weights, strict=True):
            held: Any = tf.identity(weight)
            weight.assign(shadow)
            shadow.assign(held)
