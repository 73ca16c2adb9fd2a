"""Update rules for the touched rows of an embedding table: what Keras' dense optimizers do, on a few rows only.

Each rule takes the touched rows' slots and summed gradients and says how far the rows move. On rows touched at every
step the results are those of the dense twin in Keras. Rows not touched in a step stay as they are, and so do their
slots: for Adagrad and plain SGD that is the dense result too; Adam, Adadelta and momentum would let slots
fade meanwhile (the 'lazy' variant, as in TensorFlow Addons' LazyAdam).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf

Tensor = Any


class RowRule(Protocol):
    """How touched rows move."""

    @property
    def slots(self) -> dict[str, float]:
        """Slot name -> start value of its elements."""

    def move(
        self, gradient: Tensor, slots: Sequence[Tensor], rate: Tensor, step: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Where the rows go.

        Args:
            gradient: [touched, width], repeated ids summed.
            slots: the touched rows of each slot, in the order of `slots`.
            rate: learning rate of this step.
            step: 1 at the first step.

        Returns:
            What to add to the rows, and the slots' new rows.
        """


@dataclass(frozen=True)
class SGD:
    """Gradient descent, with classical momentum."""

    momentum: float = 0.0

    @property
    def slots(self) -> dict[str, float]:
        """A velocity, if there is momentum."""
        return {"velocity": 0.0} if self.momentum else {}

    def move(
        self,
        gradient: Tensor,
        slots: Sequence[Tensor],
        rate: Tensor,
        step: Tensor,  # noqa: ARG002
    ) -> tuple[Tensor, list[Tensor]]:
        """-rate * gradient, on top of momentum * velocity."""
        change = -rate * gradient
        if not self.momentum:
            return change, []
        velocity = self.momentum * slots[0] + change
        return velocity, [velocity]


@dataclass(frozen=True)
class Adagrad:
    """Duchi, Hazan, Singer: Adaptive subgradient methods (JMLR 2011)."""

    start: float = 0.1
    epsilon: float = 1e-7

    @property
    def slots(self) -> dict[str, float]:
        """Sum of squared gradients."""
        return {"accumulator": self.start}

    def move(
        self,
        gradient: Tensor,
        slots: Sequence[Tensor],
        rate: Tensor,
        step: Tensor,  # noqa: ARG002
    ) -> tuple[Tensor, list[Tensor]]:
        """-rate * gradient / sqrt(accumulator)."""
        accumulator = slots[0] + tf.square(gradient)
        return -rate * gradient * tf.math.rsqrt(accumulator + self.epsilon), [accumulator]


@dataclass(frozen=True)
class Adadelta:
    """Zeiler: ADADELTA, an adaptive learning rate method (arXiv 1212.5701)."""

    rho: float = 0.95
    epsilon: float = 1e-7

    @property
    def slots(self) -> dict[str, float]:
        """Running means of squared gradients and of squared moves."""
        return {"gradient": 0.0, "delta": 0.0}

    def move(
        self,
        gradient: Tensor,
        slots: Sequence[Tensor],
        rate: Tensor,
        step: Tensor,  # noqa: ARG002
    ) -> tuple[Tensor, list[Tensor]]:
        """-rate * gradient * rms(moves) / rms(gradients)."""
        squared, moved = slots
        squared = self.rho * squared + (1 - self.rho) * tf.square(gradient)
        delta = -gradient * tf.sqrt(moved + self.epsilon) * tf.math.rsqrt(squared + self.epsilon)
        moved = self.rho * moved + (1 - self.rho) * tf.square(delta)
        return rate * delta, [squared, moved]


@dataclass(frozen=True)
class Adam:
    """Kingma, Ba: Adam (ICLR 2015), with the bias correction of the global step."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    @property
    def slots(self) -> dict[str, float]:
        """Running means of gradients and of squared gradients."""
        return {"mean": 0.0, "square": 0.0}

    def move(
        self, gradient: Tensor, slots: Sequence[Tensor], rate: Tensor, step: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """-rate * corrected mean / sqrt(square)."""
        mean, square = slots
        mean = mean + (gradient - mean) * (1 - self.beta_1)
        square = square + (tf.square(gradient) - square) * (1 - self.beta_2)
        count = tf.cast(step, gradient.dtype)
        corrected = rate * tf.sqrt(1 - tf.pow(self.beta_2, count)) / (1 - tf.pow(self.beta_1, count))
        return mean * -corrected / (tf.sqrt(square) + self.epsilon), [mean, square]


def row_rule(name: str, momentum: float = 0.0) -> RowRule:
    """The rule that `train.optimizer` names."""
    rules: dict[str, RowRule] = {
        "adam": Adam(),
        "adagrad": Adagrad(),
        "adadelta": Adadelta(),
        "sgd": SGD(momentum),
    }
    return rules[name]
