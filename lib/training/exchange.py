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
    """The bags of one step, which all weigh the same ids. For use in replica context.

    Args:
        layers: whose tables are summed.
        ids: int32 [batch, length], of this replica's examples.
        weights: of each layer, float32 [batch, length].
    """

    def __init__(self, layers: Sequence[WeightedBag], ids: Tensor, weights: Sequence[Tensor]) -> None:
        self.layers, self._widths = layers, [layer.width for layer in layers]
        self._alone = _replicas() == 1 or not layers
        # Of this replica's examples among all; then what it sums: its own rows, for the examples of all.
        self._first, self._examples = tf.constant(0), tf.shape(ids)[0]
        self.owned = [Entries.of(ids, one) for one in weights] if self._alone else self._owned_of_all(ids, weights)

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

    def _owned_of_all(self, ids: Tensor, weights: Sequence[Tensor]) -> list[Entries]:
        """Of each layer, the entries of all replicas' examples whose rows this replica owns."""
        every = tf.stack(weights, axis=2)
        used = tf.where(tf.reduce_any(tf.not_equal(every, 0), axis=2))
        entries = tf.concat([tf.gather_nd(ids, used)[:, None], tf.bitcast(tf.gather_nd(every, used), tf.int32)], axis=1)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(entries[:, 0]), used[:, 0], self._examples)
        examples, counts, entries = _told(counts, entries)
        self._first = tf.reduce_sum(examples[: _number()])
        mine = tf.where(tf.equal(entries[:, 0] % _replicas(), _number()))[:, 0]
        example = tf.gather(tf.repeat(tf.range(tf.size(counts, tf.int64)), counts), mine)
        entries = tf.gather(entries, mine)
        return [
            _weighed(entries[:, 0], tf.bitcast(entries[:, 1 + layer], tf.float32), example, tf.size(counts))
            for layer in range(len(weights))
        ]


def rows_of_all(gradient: Any) -> tuple[Tensor, Tensor]:
    """Distinct ids [n] and their gradients [n, width] over all replicas, the same on each.

    Args:
        gradient: IndexedSlices of this replica; repeated ids are summed before they travel.
    """
    ids, rows = sum_repeated(gradient)
    if _replicas() == 1:
        return ids, rows
    both = _gathered(tf.concat([tf.bitcast(ids, tf.float32)[:, None], rows], axis=1))
    return sum_repeated(tf.IndexedSlices(both[:, 1:], tf.bitcast(both[:, 0], tf.int32)))


def bring_together(tables: Sequence[Any]) -> None:
    """Give every replica's copy of each variable [rows, width] the rows that others own. For use in replica context."""
    replicas, number = _replicas(), _number()
    for table in tables:
        owned = tf.range(number, table.shape[0], replicas)
        for first in range(0, -(-table.shape[0] // replicas), TOGETHER_ROWS):
            ids = owned[first : first + TOGETHER_ROWS]
            overwrite_rows(table, _gathered(ids), _gathered(rows_of(table, ids)))


def _told(counts: Tensor, entries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of all replicas: how many examples each has [replicas], of each example how many entries, and the entries.

    One message each: a row for the number of examples, one for each example's count, then the entries.
    """
    lead = tf.concat([[tf.size(counts)], counts], axis=0)
    got = _gathered(tf.concat([tf.pad(lead[:, None], [[0, 0], [0, entries.shape[1] - 1]]), entries], axis=0))
    told, at = [], tf.constant(0)
    for _ in range(_replicas()):
        examples, first = got[at, 0], at + 1
        of_each = got[first : first + examples, 0]
        at = first + examples + tf.reduce_sum(of_each)
        told.append((examples, of_each, got[first + examples : at]))
    all_examples, all_counts, all_entries = zip(*told, strict=True)
    return tf.stack(all_examples), tf.concat(all_counts, axis=0), tf.concat(all_entries, axis=0)


def _weighed(ids: Tensor, weights: Tensor, example: Tensor, examples: Tensor) -> Entries:
    """Those that weigh anything."""
    used = tf.where(tf.not_equal(weights, 0))[:, 0]
    return Entries(tf.gather(ids, used), tf.gather(weights, used), tf.gather(example, used), examples)


def _replicas() -> int:
    return int(tf.distribute.get_replica_context().num_replicas_in_sync)


def _number() -> Tensor:
    """This replica's, among those of all workers."""
    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


def _gathered(values: Tensor) -> Tensor:
    return tf.distribute.get_replica_context().all_gather(values, axis=0)
