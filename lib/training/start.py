"""Everything a training moves, made in the right order and place: seeds, strategy, model, optimizer, compiled steps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from lib.config import TrainSettings
from lib.model.build import Networks
from lib.training import state
from lib.training.average import Average
from lib.training.cluster import Cluster
from lib.training.noisy_labels import LabelMethod, Plain
from lib.training.optimizer import Optimizer
from lib.training.step import Steps
from lib.training.strategy import computed_in, make_strategy, prepare
from lib.training.watchdog import Watchdog


@dataclass
class Training:
    """A model and all that moves it.

    Attributes:
        model, steps, optimizer: made in the strategy's scope.
        average: of the weights, if asked for.
        labels: what is learnt from.
        cluster: who trains.
        watchdog: told of each step.
        done: steps taken so far.
        together: step after which each replica had every row as its owner has it.
    """

    model: keras.Model
    steps: Steps
    optimizer: Optimizer
    settings: TrainSettings
    average: Average | None
    labels: LabelMethod
    cluster: Cluster = field(default_factory=Cluster)
    watchdog: Watchdog = field(default_factory=Watchdog)
    done: int = 0
    together: int = 0

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(np.asarray(self.optimizer.dense.learning_rate))

    @property
    def variables(self) -> dict[str, Any]:
        """All that the next step depends on, by name."""
        return state.variables(self.steps.networks, self.optimizer, self.average)

    def bring_together(self) -> None:
        """Make all copies of the tables alike, before anything but a training step reads them.

        Every worker must call it at the same step.
        """
        if self.together != self.done:
            self.steps.bring_together()
            self.together = self.done


def start(
    make_networks: Callable[[], Networks], settings: TrainSettings, total_steps: int, cluster: Cluster | None = None,
    watchdog: Watchdog | None = None, labels: LabelMethod | None = None,
) -> Training:  # fmt: skip
    """Seed everything, then make the model, its optimizer and its compiled steps under the configured strategy.

    Args:
        make_networks: builds the model; called inside the strategy's scope.
        total_steps: of the whole training, for the schedule.
        cluster: who trains; None: this process alone.
        watchdog: ends a process that takes no step any more; None: nobody does.
        labels: what is learnt from; None: every label as it is given.
    """
    cluster = cluster or Cluster()
    prepare(settings.seed, settings.deterministic)
    strategy = make_strategy(settings.replicas, cluster)
    with strategy.scope():
        with computed_in(settings.precision):
            made = make_networks()
        model = made.scoring
        optimizer = Optimizer(model, settings, total_steps)
        average = None if settings.average is None else Average(model, settings.average)
    state.separate_streams(strategy, made.training)
    labels = labels or Plain(settings.label_smoothing)
    steps = Steps(strategy, made, optimizer, settings, average, labels)
    return Training(model, steps, optimizer, settings, average, labels, cluster, watchdog or Watchdog())
