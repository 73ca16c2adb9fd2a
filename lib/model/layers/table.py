"""An embedding table whose rows are read by id and never as a whole.

Keras' own Embedding converts its variable to a tensor first. Once a scatter has changed a resource variable, TensorFlow
copies it whole at each such read; a table of 480,000 x 128 then costs 245 MB of traffic a step. `rows_of` reads only
the rows asked for, and its gradient arrives as IndexedSlices of these rows.
"""

from typing import Any

import keras
import tensorflow as tf

Tensor = Any


class RowTable(keras.layers.Layer):  # type: ignore[misc]
    """Base of the layers that own a table; the optimizer updates such a table row by row.

    Args:
        rows: number of ids, 0 (padding) included.
        width: floats a row.
        start: initializer; small normal random numbers if None.
        values: start values of shape [rows, width] instead of random ones.
        trainable: False freezes the table.
    """

    def __init__(
        self,
        rows: int,
        width: int,
        *,
        start: Any = None,
        values: Any = None,
        trainable: bool = True,
        **kwargs: Any,
    ) -> None:
        # Whatever the other layers compute in: rows are read and summed as they are stored.
        super().__init__(trainable=trainable, dtype="float32", **kwargs)
        self.rows, self.width = rows, width
        if values is not None and tuple(values.shape) != (rows, width):
            raise ValueError(f"{self.name}: start values of shape {tuple(values.shape)}, expected {(rows, width)}")
        chosen = start or keras.initializers.RandomNormal(stddev=0.05)
        self.table = self.add_weight(
            shape=(rows, width), initializer=chosen if values is None else _given(values), name="table"
        )

    def read_rows(self, ids: Tensor) -> Tensor:
        """Rows of the table, shape ids.shape + [width]."""
        return rows_of(self.table.value, ids)


class Lookup(RowTable):
    """Ids [batch, length] -> vectors [batch, length, width]; id 0 is padding and always reads as zeros."""

    def call(self, ids: Tensor) -> Tensor:
        """Look the ids up."""
        present = tf.cast(tf.not_equal(ids, 0), self.compute_dtype)
        return self.read_rows(ids) * present[:, :, None]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[batch, length, width]."""
        return (*input_shape, self.width)


def rows_of(variable: Any, ids: Tensor) -> Tensor:
    """Rows of a table's variable, shape ids.shape + [width].

    `tf.gather` does the same for a plain variable; of one that a strategy mirrors it reads the whole first.
    """
    mirrored = isinstance(variable, tf.distribute.DistributedValues)
    # Outside of replicas a model is being built: nothing is computed, and there is no replica whose copy to read.
    if not mirrored or tf.distribute.in_cross_replica_context():
        return tf.gather(variable, ids)
    return tf.raw_ops.ResourceGather(resource=variable.handle, indices=ids, dtype=variable.dtype)


def overwrite_rows(variable: Any, ids: Tensor, rows: Tensor) -> None:
    """Give the rows `ids` of a table's variable (of this replica's copy, if mirrored) other values [ids, width]."""
    tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=ids, updates=rows)


def _given(values: Any) -> Any:
    def start(shape: Any, dtype: Any = None) -> Tensor:  # noqa: ARG001
        return tf.convert_to_tensor(values, dtype or "float32")

    return start
