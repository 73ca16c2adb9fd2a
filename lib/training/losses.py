"""The multitask loss: each head's cross-entropy, row by row, where the row has what the head reads."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from lib.model.architecture import IMAGE_HEAD
from lib.model.build import JOINT_MARGIN, MARGIN
from lib.model.layers.present import present
from lib.shards.row import IMAGE_COLUMNS

Tensor = Any


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy against smoothed labels, without making one-hot rows.

    Args:
        logits: [batch, classes].
        labels: [batch] int; a negative one is taken for 0, so mask such rows.
        smoothing: share of each target spread evenly over all classes (Szegedy et al., CVPR 2016).

    Returns:
        [batch].
    """
    plain = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.maximum(labels, 0), logits=logits)
    if not smoothing:
        return plain
    at_label = tf.gather(logits, tf.maximum(labels, 0), batch_dims=1)
    return plain + smoothing * (at_label - tf.reduce_mean(logits, axis=1))


def squared_hinge(margins: Tensor, labels: Tensor) -> Tensor:
    """Half the squared hinge loss of each class against the rest, summed over classes, as LinearSVC takes it.

    Args:
        margins: [batch, classes].
        labels: [batch] int; a negative one is taken for 0, so mask such rows.

    Returns:
        [batch].
    """
    own = tf.gather(margins, tf.maximum(labels, 0), batch_dims=1)
    others = tf.reduce_sum(tf.square(tf.nn.relu(1.0 + margins)), axis=1) - tf.square(tf.nn.relu(1.0 + own))
    return 0.5 * (others + tf.square(tf.nn.relu(1.0 - own)))


def row_weights(batch: Mapping[str, Tensor]) -> Tensor:
    """Each row's weight [batch]; a row without a label weighs nothing."""
    return batch["weight"] * tf.cast(batch["label"] >= 0, tf.float32)


def head_masks(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For each head, 1.0 where the row has the text, or the picture, that the head reads."""
    has_category = tf.cast(tf.reduce_any(tf.not_equal(batch["cat_ids"], 0), axis=1), tf.float32)
    everywhere = tf.ones_like(has_category)
    masks = {"text_prod_output": everywhere, "text_cat_output": has_category, "output": everywhere}
    for column in IMAGE_COLUMNS.values():
        if column in batch:
            masks[IMAGE_HEAD] = present(batch[column])[:, 0]
    return masks


def weighted_loss(
    logits: Mapping[str, Tensor],
    batch: Mapping[str, Tensor],
    heads: Mapping[str, float],
    row_loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Sum over rows and heads of row weight * head weight * row loss (a scalar), and of the margins' hinge loss.

    Divide it by the summed row weights of the global batch: a row then counts the same on one replica or on many, and
    a head that few rows of a batch have is not blown up by being averaged over these few.

    Args:
        row_loss: of a head, from logits [rows, classes] and labels [rows]: [rows].
    """
    weights, masks = row_weights(batch), head_masks(batch)
    total = tf.constant(0.0)
    for head, share in heads.items():
        if share and head in masks and head in logits:
            total += share * tf.reduce_sum(weights * masks[head] * row_loss(logits[head], batch["label"]))
    for margins in (logits[name] for name in (MARGIN, JOINT_MARGIN) if name in logits and heads.get(MARGIN)):
        total += heads[MARGIN] * tf.reduce_sum(weights * squared_hinge(margins, batch["label"]))
    return total
