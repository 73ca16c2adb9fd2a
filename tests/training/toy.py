"""A tiny task that any working model learns: the label shows in a word, a gram and the mall's category."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.config import ModelSettings, TrainSettings
from lib.feed import order
from lib.model.architecture import Architecture
from lib.model.build import networks
from lib.training import loop
from lib.training.feed import MemoryFeed
from lib.training.history import Epoch
from lib.training.loop import Training

WORDS, GRAMS, CLASSES = 12, 20, 4
NO_DROPOUT = {"embedding_dropout": 0.0, "cnn_dropout": 0.0, "fcl_dropout": 0.0, "gram_dropout": 0.0} | {
    "bag_dropout": 0.0,
    "gram_fcl_dropout": 0.0,
}
SMALL = {
    "embedding_size": 8,
    "widths": [1, 2],
    "filters": 8,
    "fcl_dim": 16,
    "bag_size": 4,
    "gram_fcl_dim": 16,
    "wide_size": 4,
}


def rows(count: int, seed: int) -> dict[str, np.ndarray]:
    """Rows in the shape of the feed; half of them have a mall category."""
    random = np.random.default_rng(seed)
    label = random.integers(0, CLASSES, count).astype(np.int32)
    name = random.integers(6, WORDS, (count, 6)).astype(np.int32)
    name[:, 0], name[:, 4:] = label + 2, 0
    gram = random.integers(5, GRAMS, (count, 8)).astype(np.int32)
    gram[:, 0], gram[:, 6:] = label + 1, 0
    category = np.zeros((count, 3), np.int32)
    category[: count // 2, 0] = label[: count // 2] + 2
    return {
        "name_ids": name,
        "cat_ids": category,
        "gram_ids": gram,
        "gram_weights": np.where(gram > 0, 0.4, 0.0).astype(np.float32),
        "label": label,
        "weight": np.ones(count, np.float32),
    }


def feed(train: int = 200, validation: int = 60, batch_size: int = 32) -> MemoryFeed:
    """A feed of fresh rows."""
    return MemoryFeed({"train": rows(train, 1), "validation": rows(validation, 2)}, batch_size)


def architecture(**settings: Any) -> Architecture:
    """A small one without dropout."""
    return Architecture(WORDS, GRAMS, CLASSES, 6, 3, 8, ModelSettings(**{**SMALL, **NO_DROPOUT, **settings}))


class Told:
    """A listener that keeps what it is told.

    Attributes:
        losses: step -> its loss.
    """

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.losses: dict[int, float] = {}

    def steps(self, first: int, losses: NDArray[Any]) -> None:
        """Keep them."""
        self.losses |= dict(enumerate(losses.tolist(), first))

    def epoch(self, epoch: Epoch) -> None:
        """Keep it."""
        self.epochs.append(epoch)


def training(model: dict[str, Any] | None = None, train_rows: int = 200, **settings: Any) -> Training:
    """A training that has not begun."""
    chosen = TrainSettings(**{"batch_size": 32, "epochs": 3, "learning_rate": 0.01, **settings})
    made = architecture(**(model or {}))
    return loop.start(lambda: networks(made), chosen, order.batch_count(train_rows, chosen.batch_size) * chosen.epochs)


def weights(made: Training) -> list[np.ndarray]:
    """All weights of a training's model."""
    return [weight.numpy() for weight in made.model.weights]
