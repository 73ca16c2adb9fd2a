"""Row-sparse updates of one embedding table: gather the touched rows' slots, apply the rule, scatter back.

Keras' optimizers update a whole table densely although its gradient names the touched rows; on a table of 480,000 x 128
that costs ten times the model's own forward and backward. Here the work is proportional to the rows touched.
"""

from typing import Any

import tensorflow as tf

from lib.model.layers.table import overwrite_rows, rows_of
from lib.training.rules import RowRule, Tensor

# Rows moved at a time: what a rule computes on the way then stays in the processor's cache, 0.8 MB for rows of 128
# floats, instead of passing through memory at each operation. Of 128 to 8,192 the fastest, and a third faster than all.
CHUNK = 256


class SparseTable:
    """A table's variable, its slots, and how they change.

    Args:
        variable: tf.Variable [rows, width], possibly mirrored.
        rule: how touched rows move.
        rate: learning rate as a multiple of the dense weights'.
    """

    def __init__(self, variable: Any, rule: RowRule, rate: float = 1.0) -> None:
        self.variable, self.rule, self.rate = variable, rule, rate
        self.slots = [
            tf.Variable(tf.fill(variable.shape, tf.constant(start, variable.dtype)), trainable=False, name=name)
            for name, start in rule.slots.items()
        ]

    def apply(self, ids: Tensor, gradient: Tensor, rate: Tensor, step: Tensor) -> None:
        """Move the rows `ids`, each named once, by their gradient [ids, width]; `rate` is that of the dense weights."""
        if "GPU" in self.variable.device:
            # There a piece costs as much to start as the whole.
            self._move(ids, gradient, rate, step)
            return
        touched = tf.size(ids)

        def move(start: Tensor) -> tuple[Tensor]:
            chunk = slice(start, tf.minimum(start + CHUNK, touched))
            self._move(ids[chunk], gradient[chunk], rate, step)
            return (start + CHUNK,)

        # One after the other: more at once would only compete for the cache.
        tf.while_loop(lambda start: start < touched, move, (tf.constant(0),), parallel_iterations=1)

    def _move(self, ids: Tensor, gradient: Tensor, rate: Tensor, step: Tensor) -> None:
        held = [rows_of(slot, ids) for slot in self.slots]
        change, slots = self.rule.move(gradient, held, self.rate * rate, step)
        for slot, rows in zip(self.slots, slots, strict=True):
            overwrite_rows(slot, ids, rows)
        # Gather, add and overwrite: TensorFlow's own ResourceScatterSub takes twice as long for the same.
        overwrite_rows(self.variable, ids, rows_of(self.variable, ids) + change)


def sum_repeated(gradient: Any) -> tuple[Tensor, Tensor]:
    """Distinct ids [n] and the sum of each one's gradient rows [n, width], of IndexedSlices that may repeat ids."""
    ids, position = tf.unique(gradient.indices)
    return ids, tf.cond(
        tf.size(ids) < tf.size(gradient.indices),
        lambda: tf.math.unsorted_segment_sum(gradient.values, position, tf.size(ids)),
        lambda: gradient.values,
    )
