"""What a training learns from where labels may be wrong: one interface for methods that trust them all and that do not.

A method sees a step's batch and what the network says of it, and gives back the labels and weights to learn from; and
it says what a wrong answer costs. Methods with a state of their own keep it by row_id.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.errors import UserError
from lib.evaluation.record import softmax
from lib.training.losses import cross_entropy

Tensor = Any
Arrays = dict[str, NDArray[Any]]
# What is to be done where the rate cannot be estimated.
UNKNOWN_RATE = "so the share of wrong labels cannot be estimated; say it: train.noise.rate"
# Of a worker's row_ids: the first and how many follow, of each of its files.
Ranges = Sequence[tuple[int, int]]


class LabelMethod(Protocol):
    """How a training takes its labels. The first two are called in replica context, within the compiled step."""

    def learnt_from(self, batch: Mapping[str, Tensor], logits: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The batch with the labels and weights that the step is to learn from.

        Args:
            batch: this replica's part; columns label [rows] int32, weight [rows] float32 and what the method needs.
            logits: head -> [rows, classes], no gradient follows them here.
        """

    def row_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What each answer costs [rows], from logits [rows, classes] and labels [rows]."""

    def begin(self, epoch: int) -> None:
        """An epoch begins, or is gone on with; they count from 1."""

    def wants_rate(self, epoch: int) -> bool:
        """Whether `take_rate` is to be called after this epoch."""

    def take_rate(self, rate: float) -> None:
        """The share of wrong labels, as estimated."""

    def restart(self) -> None:
        """A training with fresh weights begins, after one that has ended."""

    def arrays(self, strategy: Any) -> Arrays:
        """What a checkpoint keeps of all workers' states; every worker must call it at the same place."""

    def facts(self) -> dict[str, Any]:
        """What it keeps besides, as JSON values."""

    def go_on(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Take this worker's part of both over, however many workers there were."""


class Plain:
    """Every label is trusted.

    Args:
        smoothing: share of each target spread over all classes.
    """

    def __init__(self, smoothing: float) -> None:
        self.smoothing = smoothing

    def learnt_from(self, batch: Mapping[str, Tensor], logits: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG002
        """As it is."""
        return batch

    def row_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        return cross_entropy(logits, labels, self.smoothing)

    def begin(self, epoch: int) -> None:
        """Nothing changes."""

    def wants_rate(self, epoch: int) -> bool:  # noqa: ARG002
        """It has no use for it."""
        return False

    def take_rate(self, rate: float) -> None:
        """It has no use for it."""

    def restart(self) -> None:
        """Nothing changes."""

    def arrays(self, strategy: Any) -> Arrays:  # noqa: ARG002
        """None."""
        return {}

    def facts(self) -> dict[str, Any]:
        """None."""
        return {}

    def go_on(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """There is nothing to take over."""


class GeneralizedCrossEntropy(Plain):
    """Every label is learnt from, but the surer the network is of another answer, the less it is pulled.

    Zhang, Sabuncu: Generalized cross entropy loss for training deep neural networks with noisy labels (NeurIPS 2018):
    (1 - p ** power) / power of the label's probability p.
    """

    def __init__(self, power: float) -> None:
        super().__init__(0.0)
        self.power = power

    def row_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Between cross-entropy (power to 0) and mean absolute error (power 1)."""
        return (1.0 - tf.exp(-self.power * cross_entropy(logits, labels, 0.0))) / self.power


def estimated_rate(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    """The share of wrong labels among rows that the network has not learnt from.

    Rows that a confident network puts elsewhere, as confident learning counts them (Northcutt, Jiang, Chuang: Confident
    learning, JAIR 2021).

    Args:
        logits: [rows, classes].
        labels: [rows] int; negative ones are left out.

    Raises:
        UserError: they do not tell.
    """
    from cleanlab.count import num_label_issues

    known = labels >= 0
    if len(np.unique(labels[known])) < 2:
        raise UserError(f"the validation rows are of fewer than two categories, {UNKNOWN_RATE}")
    wrong = num_label_issues(labels[known], softmax(logits[known]), estimation_method="off_diagonal")
    rate = float(wrong) / int(known.sum())
    if rate >= 1.0:
        raise UserError(f"all {int(known.sum())} validation rows seem to have a wrong label, {UNKNOWN_RATE}")
    return rate
