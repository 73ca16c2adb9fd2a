"""What the replicas of a training tell each other in a step about tables; the dense gradients Keras sums by itself.

Tables never travel. Of a table that is looked up, the distinct ids of each replica's rows and their summed gradients
do. Of a bag the gradient is a product of two small factors, the entries [batch, ids] and the gradient of the sums
[batch, width]: these travel, and each replica multiplies those of all. They are smaller than the product's rows, which
nobody has to add up then (Xie, Kim, Zhou, Ho, Kumar, Yu, Xing: Distributed machine learning via sufficient factor
broadcasting, arXiv 1511.08486).
"""

from typing import Any

import tensorflow as tf

from lib.model.layers.bag import Entries
from lib.training.row_sparse import sum_repeated

Tensor = Any


def rows_of_all(gradient: Any) -> tuple[Tensor, Tensor]:
    """Distinct ids [n] and their gradients [n, width] over all replicas, the same on each.

    Args:
        gradient: IndexedSlices of this replica; repeated ids are summed before they travel.
    """
    ids, rows = sum_repeated(gradient)
    if _alone():
        return ids, rows
    return sum_repeated(tf.IndexedSlices(_gathered(rows), _gathered(ids)))


def factors_of_all(entries: Entries, gradient: Tensor) -> tuple[Entries, Tensor]:
    """A bag's entries and the gradient of its sums [batch, width], of all replicas' examples in the replicas' order."""
    if _alone():
        return entries, gradient
    packed = _gathered(tf.stack([entries.ids, tf.bitcast(entries.weights, tf.int32)], axis=1))
    counted = _gathered(tf.concat([gradient, tf.cast(entries.counts, gradient.dtype)[:, None]], axis=1))
    counts = tf.cast(counted[:, -1], tf.int32)
    example = tf.repeat(tf.range(tf.size(counts, tf.int64)), counts)
    return Entries(packed[:, 0], tf.bitcast(packed[:, 1], tf.float32), example, counts), counted[:, :-1]


def _alone() -> bool:
    return bool(tf.distribute.get_replica_context().num_replicas_in_sync == 1)


def _gathered(values: Tensor) -> Tensor:
    return tf.distribute.get_replica_context().all_gather(values, axis=0)
