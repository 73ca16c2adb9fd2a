"""What the replicas of a training tell each other in a step about tables; the dense gradients Keras sums by itself.

Of a table that is looked up, the distinct ids of each replica's rows and their summed gradients travel, and every
replica moves them all.

The table of a bag is shared out: a row is owned by the replica whose number is the row's modulo the number of replicas.
It alone moves the row, and sums it for the examples of all. The entries travel to the owners, the sums back to where
their examples are, the gradients of the sums to the owners again: tables in parallel over the model, the rest over the
data, as in Naumov et al., Deep learning recommendation model for personalization and recommendation systems (arXiv
1906.00091). That divides the work on tables, of which every replica would do all if gradients of rows travelled. Each
still holds whole tables, for measuring and for checkpoints; `bring_together` gives it the rows that others moved.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from lib.model.layers.bag import Entries, WeightedBag, row_gradients
from lib.model.layers.table import overwrite_rows, rows_of
from lib.training.row_sparse import sum_repeated

Tensor = Any
# Rows of each replica that travel at a time when tables are brought together: 32 MiB of 128 floats.
TOGETHER_ROWS = 65_536


class Bags:
    """The bags of one step. For use in replica context.

    Args:
        layers: whose tables are summed.
        entries: of each layer, those of this replica's examples.
    """

    def __init__(self, layers: Sequence[WeightedBag], entries: Sequence[Entries]) -> None:
        self.layers, self._widths = layers, [layer.width for layer in layers]
        self._alone = _replicas() == 1 or not layers
        # Of this replica's examples among all; then what it sums: its own rows, for the examples of all.
        self._first, self._examples = tf.constant(0), entries[0].examples if layers else 0
        self.owned = list(entries) if self._alone else self._owned_of_all(entries)

    def sums(self) -> list[Tensor]:
        """Of each layer, the sums of this replica's examples [batch, width]."""
        summed = [layer.sums(entries) for layer, entries in zip(self.layers, self.owned, strict=True)]
        if self._alone:
            return summed
        whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.concat(summed, axis=1))
        return list(tf.split(whole[self._first : self._first + self._examples], self._widths, axis=1))

    def row_gradients(self, gradients: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Of each layer, the distinct ids [n] that this replica owns, and their rows' gradients over all [n, width].

        Args:
            gradients: of `sums`.
        """
        if not self._alone:
            gradients = tf.split(_gathered(tf.concat(gradients, axis=1)), self._widths, axis=1)
        return [row_gradients(entries, gradient) for entries, gradient in zip(self.owned, gradients, strict=True)]

    def _owned_of_all(self, entries: Sequence[Entries]) -> list[Entries]:
        number = _number()
        counts = tf.stack([tf.fill([self._examples], number), *(one.counts for one in entries)], axis=1)
        replica, *counts_of_all = tf.unstack(_gathered(counts), axis=1, num=1 + len(entries))
        self._first = tf.reduce_sum(tf.cast(replica < number, tf.int32))
        return [_owned(one, counts) for one, counts in zip(entries, counts_of_all, strict=True)]


def rows_of_all(gradient: Any) -> tuple[Tensor, Tensor]:
    """Distinct ids [n] and their gradients [n, width] over all replicas, the same on each.

    Args:
        gradient: IndexedSlices of this replica; repeated ids are summed before they travel.
    """
    ids, rows = sum_repeated(gradient)
    if _replicas() == 1:
        return ids, rows
    return sum_repeated(tf.IndexedSlices(_gathered(rows), _gathered(ids)))


def bring_together(tables: Sequence[Any]) -> None:
    """Give every replica's copy of each variable [rows, width] the rows that others own. For use in replica context."""
    replicas, number = _replicas(), _number()
    for table in tables:
        owned = tf.range(number, table.shape[0], replicas)
        for first in range(0, -(-table.shape[0] // replicas), TOGETHER_ROWS):
            ids = owned[first : first + TOGETHER_ROWS]
            overwrite_rows(table, _gathered(ids), _gathered(rows_of(table, ids)))


def _owned(entries: Entries, counts: Tensor) -> Entries:
    """Of the entries of all replicas' examples, which have so many each, those whose rows this replica owns."""
    packed = _gathered(tf.stack([entries.ids, tf.bitcast(entries.weights, tf.int32)], axis=1))
    example = tf.repeat(tf.range(tf.size(counts, tf.int64)), counts)
    mine = tf.where(tf.equal(packed[:, 0] % _replicas(), _number()))[:, 0]
    packed = tf.gather(packed, mine)
    return Entries(packed[:, 0], tf.bitcast(packed[:, 1], tf.float32), tf.gather(example, mine), tf.size(counts))


def _replicas() -> int:
    return int(tf.distribute.get_replica_context().num_replicas_in_sync)


def _number() -> Tensor:
    """This replica's, among those of all workers."""
    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


def _gathered(values: Tensor) -> Tensor:
    return tf.distribute.get_replica_context().all_gather(values, axis=0)
