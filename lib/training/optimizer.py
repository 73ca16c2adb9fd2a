"""One optimizer for a model: a Keras optimizer for its dense weights, the same rule row by row for its tables."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from lib.config import TrainSettings
from lib.model.build import MARGIN_TABLE
from lib.model.layers.bag import WeightedBag
from lib.model.layers.table import RowTable
from lib.training.row_sparse import SparseTable
from lib.training.rules import Adagrad, RowRule, row_rule
from lib.training.schedule import learning_rate

DENSE = {
    "adam": keras.optimizers.Adam,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "sgd": keras.optimizers.SGD,
}
# Where AdaGrad's sums for the gram tables start, in squared gradients of a batch's summed loss. From so little,
# frequent grams soon move by small steps while one met once hardly moves, as a linear SVM's penalty would have it.
# Adam moves it as far as any; Keras' start of 0.1, for mean losses of dense weights, would leave tables as they are.
GRAM_START = 1e-2


class Optimizer:
    """Owns the trainable variables of a model, and their slots.

    Make it inside the strategy's scope, after the model.

    Args:
        model: tables are its `RowTable` layers, everything else trainable is dense.
        settings: rule, rate, schedule, decay and clipping.
        steps: of the whole training, for the schedule.
    """

    def __init__(self, model: keras.Model, settings: TrainSettings, steps: int) -> None:
        self.settings = settings
        self.layers = [layer for layer in model.layers if isinstance(layer, RowTable) and layer.trainable]
        self.tables = [_sparse_table(layer, settings) for layer in self.layers]
        # Whose rows are each moved by its owner alone.
        self._shared_out = [isinstance(layer, WeightedBag) for layer in self.layers]
        owned = {id(layer.table) for layer in self.layers}
        self.dense_variables = [one for one in model.trainable_variables if id(one) not in owned]
        self.dense = _dense_optimizer(settings, steps, self.dense_variables)

    @property
    def owned(self) -> list[Any]:
        """Variables of which each replica moves the rows that it owns: the tables of bags, and their slots."""
        both = zip(self.tables, self._shared_out, strict=True)
        return [one for table, shared_out in both if shared_out for one in (table.variable, *table.slots)]

    @property
    def slots(self) -> list[Any]:
        """Every variable of the optimizer itself."""
        return [*(one.value for one in self.dense.variables), *(slot for table in self.tables for slot in table.slots)]

    def apply(self, dense: Sequence[Any], slices: Sequence[tuple[Any, Any]]) -> None:
        """Move every variable, in replica context.

        Args:
            dense: this replica's share of the gradients of `dense_variables`; they are summed over replicas here, so
                divide the loss by the weight of the global batch.
            slices: of each of `layers`, distinct ids [n] and the gradients of their rows [n, width] over all replicas;
                of a bag, the rows that this replica owns (lib/training/exchange.py).
        """
        if self.settings.clip_norm is not None:
            dense, slices = _clipped(dense, slices, self._shared_out, self.settings.clip_norm)
        rate = tf.cast(self.dense.learning_rate, tf.float32)
        step = self.dense.iterations + 1
        for table, (ids, rows) in zip(self.tables, slices, strict=True):
            table.apply(ids, rows, rate, step)
        self.dense.apply(dense, self.dense_variables)


def _sparse_table(layer: RowTable, settings: TrainSettings) -> SparseTable:
    if not isinstance(layer, WeightedBag):
        return SparseTable(layer.table.value, row_rule(settings.optimizer, settings.momentum), settings.table_rate)
    rate = settings.margin_rate if layer.name == MARGIN_TABLE else settings.gram_rate
    return SparseTable(layer.table.value, _gram_rule(settings), rate / settings.learning_rate)


def _gram_rule(settings: TrainSettings) -> RowRule:
    chosen = settings.gram_optimizer or settings.optimizer
    if chosen != "adagrad":
        return row_rule(chosen, settings.momentum)
    # Gradients are of the batch's mean loss.
    return Adagrad(start=GRAM_START / settings.batch_size**2, epsilon=0.0)


def _dense_optimizer(settings: TrainSettings, steps: int, variables: list[Any]) -> Any:
    extra = {"momentum": settings.momentum} if settings.optimizer == "sgd" else {}
    made = DENSE[settings.optimizer](
        learning_rate=learning_rate(settings, steps), weight_decay=settings.weight_decay or None, **extra
    )
    made.exclude_from_weight_decay(var_list=[one for one in variables if len(one.shape) < 2])
    made.build(variables)
    return made


def _clipped(
    dense: Sequence[Any], slices: Sequence[tuple[Any, Any]], shared_out: Sequence[bool], norm: float
) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Scale all gradients down together so that their global norm is at most `norm`."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    both = list(zip(slices, shared_out, strict=True))
    # Of rows that each replica has its own of, the squares are summed over the replicas.
    squares = _squares([rows for (_, rows), own in both if own])
    if replicas > 1:
        *dense, squares = context.all_reduce(tf.distribute.ReduceOp.SUM, [*dense, squares])
    squares += _squares([*dense, *(rows for (_, rows), own in both if not own)])
    scale = norm / tf.maximum(tf.sqrt(squares), norm)
    # Keras sums over replicas once more, hence the division.
    return [one * (scale / replicas) for one in dense], [(ids, row * scale) for ids, row in slices]


def _squares(values: Sequence[Any]) -> Any:
    """Sum of the squares of all elements."""
    return tf.add_n([tf.constant(0.0), *(tf.reduce_sum(tf.square(one)) for one in values)])
