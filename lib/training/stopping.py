"""Early stopping: the weights of the best epoch so far, and whether better ones are still to be expected."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


class BestWeights:
    """Keeps a copy of the best epoch's weights.

    Args:
        patience: epochs without a better score after which the training ends.

    Attributes:
        weights: of the best epoch; empty before the first.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.epoch, self.score = 0, -np.inf
        self.weights: list[NDArray[Any]] = []
        self._last = 0

    def offer(self, model: keras.Model, epoch: int, score: float) -> bool:
        """Keep the model's weights if its score is above all before; epochs count from 1."""
        self._last = epoch
        if not score > self.score:
            return False
        self.epoch, self.score = epoch, score
        self.weights = [weight.numpy() for weight in model.weights]
        return True

    @property
    def exhausted(self) -> bool:
        """Whether `patience` epochs have gone by without a better one."""
        return self._last - self.epoch >= self.patience

    def facts(self) -> dict[str, Any]:
        """All but the weights, as JSON values."""
        return {"epoch": self.epoch, "score": self.score if self.epoch else None, "last": self._last}

    def go_on(self, facts: Mapping[str, Any], weights: list[NDArray[Any]]) -> None:
        """Take over what another run found, from its `facts` and `weights`."""
        self.epoch, self._last, self.weights = facts["epoch"], facts["last"], weights
        self.score = -np.inf if facts["score"] is None else facts["score"]

    def restore(self, model: keras.Model) -> None:
        """Give the model the best epoch's weights."""
        for variable, value in zip(model.weights, self.weights, strict=True):
            variable.assign(value)
