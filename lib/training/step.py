"""One training step, one measuring step, for any strategy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from lib.config import TrainSettings
from lib.model.architecture import (
    CATEGORY_INPUT,
    GRAM_WEIGHTS_INPUT,
    GRAMS_INPUT,
    HEADS,
    MAIN_HEAD,
    NAME_INPUT,
)
from lib.model.build import Networks
from lib.model.layers.bag import Entries, WeightedBag, row_gradients
from lib.training.exchange import factors_of_all, rows_of_all
from lib.training.feed import COLUMNS
from lib.training.losses import cross_entropy, head_masks, row_weights, weighted_loss
from lib.training.optimizer import Optimizer
from lib.training.strategy import replica_part

Tensor = Any
# The columns of what a training step returns, and of a head's row of what a measuring step returns.
TRAINED = ("loss", "weight", "correct", "rows")
MEASURED = ("loss", "labelled", "correct", "rows")


class AnyBatch:
    """A function of a batch, compiled once for batches of any number of rows.

    Left to itself tf.function compiles anew for the smaller last batch, which takes seconds.
    """

    def __init__(self, body: Callable[[Mapping[str, Tensor]], Tensor]) -> None:
        self._body = body
        self._compiled: Any = None

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Call it with the batch's COLUMNS."""
        read = {name: batch[name] for name in COLUMNS}
        if self._compiled is None:
            specs = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for name, value in read.items()}
            self._compiled = tf.function(self._body, input_signature=[specs])
        return self._compiled(read)


@dataclass(frozen=True)
class Bag:
    """A bag of this part of a batch: what is summed, and the sums [batch, width]."""

    entries: Entries
    sums: Tensor

    def rows_of_all(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Distinct ids and the gradients of their rows over all replicas, from that of the sums."""
        return row_gradients(*factors_of_all(self.entries, gradient))


class Steps:
    """The compiled steps of one model under one strategy.

    Args:
        strategy: from `make_strategy`; networks and optimizer were made in its scope.
    """

    def __init__(self, strategy: Any, networks: Networks, optimizer: Optimizer, settings: TrainSettings) -> None:
        self.strategy, self.networks, self.optimizer, self.settings = strategy, networks, optimizer, settings
        self.heads: dict[str, float] = settings.heads.model_dump()
        self._bags, self._answers = _cut_at_bags(networks.training)
        self._train = AnyBatch(self._train_all)
        self._measure = AnyBatch(self._measure_all)

    def train(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Move the weights by one batch; the sums named in TRAINED, over all rows of the batch."""
        return self._train(batch)

    def measure(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Sums over the batch's rows, [heads, MEASURED]; a row without a known label counts as an error."""
        return self._measure(batch)

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
        loss, dense, slices, logits = self.gradients(batch)
        self.optimizer.apply(dense, slices)
        weights = row_weights(batch)
        correct = weights * _hits(logits[MAIN_HEAD], batch["label"])
        return tf.stack([loss, tf.reduce_sum(weights), tf.reduce_sum(correct), _rows(batch)])

    def bags(self, inputs: Mapping[str, Tensor]) -> dict[str, Bag]:
        """The bags that a training step sums, by the name of their layer."""
        found = {} if self._bags is None else self._bags(inputs, training=True)
        return {name: Bag(Entries.of(ids, weights), sums) for name, (ids, weights, sums) in found.items()}

    def gradients(
        self, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, list[Tensor], list[tuple[Tensor, Tensor]], Mapping[str, Tensor]]:
        """Forward and backward.

        Returns:
            This part's summed loss; of the global mean loss, the part's share of the dense gradients and the gradients
            of each table's rows over all replicas, as `Optimizer.apply` takes them; the logits.
        """
        weight = _over_replicas(tf.reduce_sum(row_weights(batch)))
        inputs = inputs_of(batch)
        bags = self.bags(inputs)
        dense = [one.value for one in self.optimizer.dense_variables]
        # Of a bag up to its sums only: what follows to its rows is for all replicas together.
        tables = [bags[one.name].sums if one.name in bags else one.table.value for one in self.optimizer.layers]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*dense, *tables])
            logits = self._answers([inputs, [bag.sums for bag in bags.values()]], training=True)
            loss = weighted_loss(logits, batch, self.heads, self.settings.label_smoothing)
            mean = loss / tf.maximum(weight, 1e-12)
        gradients = tape.gradient(mean, [*dense, *tables])
        slices = [
            bags[layer.name].rows_of_all(gradient) if layer.name in bags else rows_of_all(gradient)
            for layer, gradient in zip(self.optimizer.layers, gradients[len(dense) :], strict=True)
        ]
        return loss, gradients[: len(dense)], slices, logits

    def _measure_part(self, batch: Mapping[str, Tensor]) -> Tensor:
        logits = self.networks.scoring(inputs_of(batch), training=False)
        masks = head_masks(batch)
        return tf.stack([_measured(logits[head], batch["label"], masks[head]) for head in HEADS])


def _cut_at_bags(model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
    """The model as two: from inputs to each bag's inputs and sums (None without bags), from there to its answers."""
    bags = [layer for layer in model.layers if isinstance(layer, WeightedBag)]
    answers = keras.Model([model.input, [layer.output for layer in bags]], model.output)
    if not bags:
        return None, answers
    return keras.Model(model.input, {layer.name: [*layer.input, layer.output] for layer in bags}), answers


def inputs_of(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's inputs, from a batch's columns."""
    return {
        NAME_INPUT: batch["name_ids"],
        CATEGORY_INPUT: batch["cat_ids"],
        GRAMS_INPUT: batch["gram_ids"],
        GRAM_WEIGHTS_INPUT: batch["gram_weights"],
    }


def _measured(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    labelled = mask * tf.cast(labels >= 0, tf.float32)
    losses = labelled * cross_entropy(logits, labels, 0.0)
    columns = (losses, labelled, mask * _hits(logits, labels), mask)
    return tf.stack([tf.reduce_sum(column) for column in columns])


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    return tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=labels.dtype), labels), tf.float32)


def _rows(batch: Mapping[str, Tensor]) -> Tensor:
    return tf.cast(tf.shape(batch["label"])[0], tf.float32)


def _over_replicas(value: Tensor) -> Tensor:
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
