"""Start values of a table whose columns serve two purposes."""

from typing import Any

import keras

from lib.model.layers.table import Tensor


class Beside(keras.initializers.Initializer):  # type: ignore[misc]
    """Zeros in the first columns, normal random numbers in the others.

    Args:
        zeros: how many columns start at zero.
        spread: standard deviation of the others.
    """

    def __init__(self, zeros: int, spread: float) -> None:
        self.zeros, self.random = zeros, keras.initializers.RandomNormal(stddev=spread)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        """The table's start values."""
        rows, width = shape
        nothing = keras.ops.zeros((rows, self.zeros), dtype)
        return keras.ops.concatenate([nothing, self.random((rows, width - self.zeros), dtype)], axis=1)
