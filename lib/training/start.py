"""Everything a training moves, made in the right order and place: seeds, strategy, model, optimizer, compiled steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from lib.config import TrainSettings
from lib.model.build import Networks
from lib.training import state
from lib.training.average import Average
from lib.training.optimizer import Optimizer
from lib.training.step import Steps
from lib.training.strategy import make_strategy, prepare


@dataclass
class Training:
    """A model and all that moves it.

    Attributes:
        model, steps, optimizer: made in the strategy's scope.
        average: of the weights, if asked for.
        done: steps taken so far.
    """

    model: keras.Model
    steps: Steps
    optimizer: Optimizer
    settings: TrainSettings
    average: Average | None
    done: int = 0

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(np.asarray(self.optimizer.dense.learning_rate))

    @property
    def variables(self) -> dict[str, Any]:
        """All that the next step depends on, by name."""
        return state.variables(self.steps.networks, self.optimizer, self.average)


def start(make_networks: Callable[[], Networks], settings: TrainSettings, total_steps: int) -> Training:
    """Seed everything, then make the model, its optimizer and its compiled steps under the configured strategy.

    Args:
        make_networks: builds the model; called inside the strategy's scope.
        total_steps: of the whole training, for the schedule.
    """
    prepare(settings.seed, settings.deterministic)
    strategy = make_strategy(settings.replicas)
    with strategy.scope():
        made = make_networks()
        model = made.scoring
        optimizer = Optimizer(model, settings, total_steps)
        average = None if settings.average is None else Average(model, settings.average)
    return Training(model, Steps(strategy, made, optimizer, settings), optimizer, settings, average)
