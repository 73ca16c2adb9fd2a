"""Kept JPEGs as pixels: one way for training, scoring and feature extraction, so that all see the same numbers."""

from collections.abc import Callable
from functools import cache
from typing import Any

import tensorflow as tf

from lib.errors import UserError

Tensor = Any
# Pictures of a batch that are decoded side by side, on TensorFlow's own threads.
SIDE_BY_SIDE = 16


def pixels(jpegs: Tensor, size: int) -> Tensor:
    """Decode a batch.

    Args:
        jpegs: string [batch], each a JPEG of size x size, or no bytes for no picture.

    Returns:
        uint8 [batch, size, size, 3]; zeros for no picture.

    Raises:
        UserError: one is no JPEG, or of another size.
    """
    try:
        return _decoder(size)(jpegs)
    except tf.errors.InvalidArgumentError:
        raise UserError(
            f"a stored picture is no JPEG of {size}x{size} pixels; run jobs/images.py --force for its month, and the "
            "stages after it"
        ) from None


@cache
def _decoder(size: int) -> Callable[[Tensor], Tensor]:
    shape = (size, size, 3)

    def one(jpeg: Tensor) -> Tensor:
        return tf.cond(
            tf.strings.length(jpeg) > 0,
            lambda: tf.ensure_shape(tf.io.decode_jpeg(jpeg, channels=3), shape),
            lambda: tf.zeros(shape, tf.uint8),
        )

    def all_of(jpegs: Tensor) -> Tensor:
        return tf.map_fn(
            one, jpegs, parallel_iterations=SIDE_BY_SIDE, fn_output_signature=tf.TensorSpec(shape, tf.uint8)
        )

    decoder: Callable[[Tensor], Tensor] = tf.function(all_of, input_signature=[tf.TensorSpec([None], tf.string)])
    return decoder
