"""One training step, one measuring step, for any strategy."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from lib.config import TrainSettings
from lib.model.architecture import GRAMS_INPUT, HEADS, INPUT_OF_COLUMN, MAIN_HEAD
from lib.model.build import Networks
from lib.model.layers.bag import WeightedBag
from lib.training.average import Average
from lib.training.exchange import Bags, bring_together, rows_of_all
from lib.training.losses import cross_entropy, head_masks, row_weights, weighted_loss
from lib.training.noisy_labels import LabelMethod
from lib.training.optimizer import Optimizer
from lib.training.strategy import replica_part

Tensor = Any
# The columns of what a training step returns, and of a head's row of what a measuring step returns.
TRAINED = ("loss", "weight", "correct", "rows", "refurbished", "left_out")
MEASURED = ("loss", "labelled", "correct", "rows")


class AnyBatch:
    """A function of a batch, compiled once for batches of any number of rows.

    Left to itself tf.function compiles anew for the smaller last batch, which takes seconds.
    """

    def __init__(self, body: Callable[[Mapping[str, Tensor]], Tensor]) -> None:
        self._body = body
        self._compiled: Any = None

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Call it with a batch; all batches have the columns of the first."""
        given = dict(batch)
        if self._compiled is None:
            specs = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for name, value in given.items()}
            self._compiled = tf.function(self._body, input_signature=[specs])
        return self._compiled(given)


class Steps:
    """The compiled steps of one model under one strategy.

    Args:
        strategy: from `make_strategy`; networks, optimizer and average were made in its scope.
        labels: what is learnt from.
    """

    def __init__(
        self, strategy: Any, networks: Networks, optimizer: Optimizer, settings: TrainSettings,
        average: Average | None, labels: LabelMethod,
    ) -> None:  # fmt: skip
        self.strategy, self.networks, self.optimizer, self.labels = strategy, networks, optimizer, labels
        self.shares: dict[str, float] = settings.heads.model_dump()
        self.heads = tuple(head for head in HEADS if head in networks.scoring.output)
        self._bags, self._weigh, self._answers = _cut_at_bags(networks.training)
        self._train = AnyBatch(self._train_all)
        self._measure = AnyBatch(self._measure_all)
        self._owned = [*optimizer.owned, *(average.of(optimizer.owned) if average is not None else [])]
        self._together = tf.function(self._together_all)

    def train(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Move the weights by one batch; the sums named in TRAINED, over all rows of the batch."""
        return self._train(batch)

    def measure(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Sums over the batch's rows, [heads, MEASURED]; a row without a known label counts as an error."""
        return self._measure(batch)

    def bring_together(self) -> None:
        """Give every replica the rows that others own and have moved."""
        if self.strategy.num_replicas_in_sync > 1:
            self._together()

    def _together_all(self) -> None:
        self.strategy.run(bring_together, (self._owned,))

    def _train_all(self, batch: Any) -> Tensor:
        return self._over_parts(self.train_part, batch)

    def _measure_all(self, batch: Any) -> Tensor:
        return self._over_parts(self._measure_part, batch)

    def _over_parts(self, work: Callable[[Mapping[str, Tensor]], Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """Sum of the work's results over the replicas, each doing its part of the batch."""
        sums = self.strategy.run(lambda: work(replica_part(batch)))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

    def train_part(self, batch: Mapping[str, Tensor]) -> Tensor:
        """This replica's part of a step."""
        loss, dense, slices, logits, learnt = self.gradients(batch)
        self.optimizer.apply(dense, slices)
        weights, given = row_weights(learnt), row_weights(batch)
        correct = weights * _hits(logits[MAIN_HEAD], learnt["label"])
        refurbished = tf.cast(learnt["label"] != batch["label"], tf.float32)
        left_out = tf.cast((given > 0) & (weights <= 0), tf.float32)
        sums = (weights, correct, tf.ones_like(weights), refurbished, left_out)
        return tf.stack([loss, *(tf.reduce_sum(column) for column in sums)])

    def bags(self, inputs: Mapping[str, Tensor]) -> Bags:
        """The bags that a training step sums."""
        weights = self._weigh(inputs, training=True) if self._weigh is not None else {}
        return Bags(self._bags, inputs[GRAMS_INPUT], [weights[layer.name] for layer in self._bags])

    def gradients(
        self, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, list[Tensor], list[tuple[Tensor, Tensor]], Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Forward and backward.

        Returns:
            This part's summed loss; of the global mean loss, the part's share of the dense gradients and, over all
            replicas, the gradients of the rows of each table, as `Optimizer.apply` takes them; the logits; the batch
            with the labels and weights that were learnt from.
        """
        inputs = inputs_of(batch)
        bags = self.bags(inputs)
        sums = bags.sums()
        # Of a bag up to its sums only: what follows to its rows is for all replicas together.
        looked_up = [one for one in self.optimizer.layers if one not in bags.layers]
        sources = ([one.value for one in self.optimizer.dense_variables], sums, [one.table.value for one in looked_up])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            logits = self._answers([inputs, sums], training=True)
            learnt = self.labels.learnt_from(batch, logits)
            weight = _over_replicas(tf.reduce_sum(row_weights(learnt)))
            loss = weighted_loss(logits, learnt, self.shares, self.labels.row_loss)
            mean = loss / tf.maximum(weight, 1e-12)
        dense, of_sums, of_tables = tape.gradient(mean, sources)
        slices = dict(zip(bags.layers, bags.row_gradients(of_sums), strict=True))
        slices |= {layer: rows_of_all(gradient) for layer, gradient in zip(looked_up, of_tables, strict=True)}
        return loss, dense, [slices[layer] for layer in self.optimizer.layers], logits, learnt

    def _measure_part(self, batch: Mapping[str, Tensor]) -> Tensor:
        logits = self.networks.scoring(inputs_of(batch), training=False)
        masks = head_masks(batch)
        return tf.stack([_measured(logits[head], batch["label"], masks[head]) for head in self.heads])


def _cut_at_bags(model: keras.Model) -> tuple[list[WeightedBag], keras.Model | None, keras.Model]:
    """The bags of a model; it up to what they weigh (None without bags), and from their sums on to its answers."""
    bags = [layer for layer in model.layers if isinstance(layer, WeightedBag)]
    assert all(layer.input[0] is model.input[GRAMS_INPUT] for layer in bags)
    # By name: of a list of one Keras makes that one.
    weigh = keras.Model(model.input, {layer.name: layer.input[1] for layer in bags}) if bags else None
    return bags, weigh, keras.Model([model.input, [layer.output for layer in bags]], model.output)


def inputs_of(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's inputs, from a batch's columns."""
    return {name: batch[column] for column, name in INPUT_OF_COLUMN.items() if column in batch}


def _measured(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    labelled = mask * tf.cast(labels >= 0, tf.float32)
    losses = labelled * cross_entropy(logits, labels, 0.0)
    columns = (losses, labelled, mask * _hits(logits, labels), mask)
    return tf.stack([tf.reduce_sum(column) for column in columns])


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    return tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=labels.dtype), labels), tf.float32)


def _over_replicas(value: Tensor) -> Tensor:
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
