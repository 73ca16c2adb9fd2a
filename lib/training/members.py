"""The networks of one model: how each is fitted, perhaps fitted again on more rows, and joined."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib.config import CheckpointSettings, TrainSettings
from lib.model.architecture import Architecture
from lib.model.build import ensemble, networks
from lib.training import agreement, loop
from lib.training.checkpoint import CheckpointFolder
from lib.training.cluster import Cluster
from lib.training.feed import TRAIN, VALIDATION, Feed
from lib.training.history import Epoch, Listener, TensorBoard
from lib.training.loop import Training
from lib.training.noisy_labels import GeneralizedCrossEntropy, LabelMethod, Plain
from lib.training.prediction_history import refurbished_rows
from lib.training.selfie import Selfie
from lib.training.strategy import make_strategy
from lib.training.temperature import fit_temperature
from lib.training.watchdog import Watchdog

LOG = logging.getLogger(__name__)
# Between the seeds of two members, so that train.seed 1 and 2 share no member.
SEED_STEP = 1000


@dataclass(frozen=True)
class Member:
    """One network of the model.

    Attributes:
        epochs: records of the fit on train with validation.
        refitted: records of the second, on train + validation; empty without one.
        labels: what was kept of its labels' method in the end, as JSON values.
        refurbished: row_ids and labels of the rows that got another label, of the last fit.
    """

    epochs: list[Epoch]
    refitted: list[Epoch]
    labels: dict[str, Any]
    refurbished: tuple[NDArray[np.int64], NDArray[np.int32]]

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "best_epoch": loop.best_epoch(self.epochs),
            "epochs": [epoch.to_json() for epoch in self.epochs],
            "refit_epochs": [epoch.to_json() for epoch in self.refitted],
            "labels": self.labels,
        }


@dataclass(frozen=True)
class Trained:
    """The outcome of `train`.

    Attributes:
        model: ready to be saved.
        temperature: fitted on validation.
        members: how each network was trained.
    """

    model: keras.Model
    temperature: float
    members: list[Member]


@dataclass(frozen=True)
class Work:
    """What `train` does, and with what.

    Attributes:
        settings: of every member, but for the seed.
        architecture: of every member.
        feed: seed -> the rows, in the order that the seed gives.
        vectors: start values of the word table; None for random ones.
        backbone: weights of a backbone within the model, as backbone.weights.
        board: folder for TensorBoard; None for none.
        checkpoints: folder for those of all fits; None for none.
        saving: how often, and how many are kept.
        cluster: who trains.
        watchdog: told of each step.
        facts: what all workers must have alike, besides code and settings.
        told: who is told of every fit's epochs, besides TensorBoard.
    """

    settings: TrainSettings
    architecture: Architecture
    feed: Callable[[int], Feed]
    vectors: NDArray[Any] | None = None
    backbone: str = "none"
    board: Path | None = None
    checkpoints: Path | None = None
    saving: CheckpointSettings = field(default_factory=CheckpointSettings)
    cluster: Cluster = field(default_factory=Cluster)
    watchdog: Watchdog = field(default_factory=Watchdog)
    facts: Mapping[str, str] = field(default_factory=dict)
    told: Sequence[Listener] = ()

    def seeds(self) -> list[int]:
        """One for each member; those of another `train.seed` are others."""
        return [self.settings.seed + SEED_STEP * number for number in range(self.architecture.settings.members)]

    def labels(self, feed: Feed, split: str) -> LabelMethod:
        """The method that the settings name, for the rows of the split."""
        # Before the method's variables: once TensorFlow has begun to compute, it takes no other workers in.
        make_strategy(self.settings.replicas, self.cluster)
        noise, smoothing = self.settings.noise, self.settings.label_smoothing
        if noise.method == "selfie":
            return Selfie(noise, smoothing, self.architecture.classes, feed.ranges(split), self.cluster.worker)
        return GeneralizedCrossEntropy(noise.power) if noise.method == "gce" else Plain(smoothing)

    def start(self, seed: int, steps: int, labels: LabelMethod) -> Training:
        """A fresh network that will take that many steps an epoch.

        Raises:
            UserError: a worker trains something else.
        """
        seeded = self.settings.model_copy(update={"seed": seed})
        if self.cluster.workers > 1:
            self._agree(seeded)
        steps *= seeded.epochs
        return loop.start(
            lambda: networks(self.architecture, self.vectors, self.backbone), seeded, steps, self.cluster,
            self.watchdog, labels,
        )  # fmt: skip

    def _agree(self, settings: TrainSettings) -> None:
        """Compare with all workers, before variables are made that could not be shared."""
        strategy = make_strategy(settings.replicas, self.cluster)
        # First, as it decides what there is to compare.
        agreement.check(strategy, self.cluster, {"code": agreement.code()})
        described = self.architecture.to_json()
        sections = {"train": settings.model_dump(mode="json"), "model": described.pop("settings"), "shards": described}
        # Each setting by itself, so that the one that differs is named.
        alike = {f"{section}.{key}": str(value) for section, of in sections.items() for key, value in of.items()}
        agreement.check(strategy, self.cluster, {**alike, **self.facts})

    def listeners(self, name: str) -> list[Listener]:
        """Who is told of a fit's epochs."""
        return [*self.told, *([TensorBoard(self.board / name)] if self.board else [])]

    def checkpoints_of(self, name: str) -> loop.Saving | None:
        """Where a fit's checkpoints are kept."""
        if self.checkpoints is None:
            return None
        return loop.Saving(CheckpointFolder(self.checkpoints / name, self.saving.kept), self.saving.seconds)


@dataclass(frozen=True)
class Fitted:
    """One network, trained: its epochs, and its labels' method."""

    model: keras.Model
    epochs: list[Epoch]
    labels: LabelMethod


def train(work: Work) -> Trained:
    """Fit each member on train with validation, the temperature on validation; then perhaps refit on both."""
    fits = [fit(work, seed) for seed in work.seeds()]
    model = ensemble([one.model for one in fits], work.architecture)
    feed = work.feed(work.settings.seed)
    temperature = 1.0
    if feed.rows(VALIDATION):
        rows = work.settings.temperature_rows
        temperature = fit_temperature(*loop.sample_logits(model, feed.whole(), VALIDATION, rows))
    else:
        LOG.warning("no validation rows: the last epoch is kept, and confidences are not calibrated")
    if not work.settings.refit or not feed.rows(VALIDATION):
        return Trained(model, temperature, [_member(work, one.epochs, [], one.labels) for one in fits])
    first = [(one.epochs, one.labels.facts()) for one in fits]
    # Done with.
    del model, fits
    again = [_refit(work, seed, *before) for seed, before in zip(work.seeds(), first, strict=True)]
    members = [_member(work, epochs, one.epochs, one.labels) for (epochs, _), one in zip(first, again, strict=True)]
    return Trained(ensemble([one.model for one in again], work.architecture), temperature, members)


def _member(work: Work, epochs: list[Epoch], refitted: list[Epoch], labels: LabelMethod) -> Member:
    arrays = labels.arrays(make_strategy(work.settings.replicas, work.cluster))
    return Member(epochs, refitted, labels.facts(), refurbished_rows(arrays))


def fit(work: Work, seed: int) -> Fitted:
    """One network on train with validation; with the restarts that the labels' method asks for, the last counts."""
    feed, noise = work.feed(seed), work.settings.noise
    labels = work.labels(feed, TRAIN)
    for number in range(1 + (noise.restarts if noise.method == "selfie" else 0)):
        name = f"fit-{seed}" + (f"-restart-{number}" if number else "")
        if number:
            labels.restart()
        training = work.start(seed, feed.steps(TRAIN), labels)
        epochs = loop.fit(training, feed, work.listeners(name), work.checkpoints_of(name))
    return Fitted(training.model, epochs, labels)


def _refit(work: Work, seed: int, epochs: list[Epoch], facts: Mapping[str, Any]) -> Fitted:
    """A fresh network on train + validation, for the epochs that were best on validation.

    Args:
        facts: of the fit's labels; without validation nothing can be estimated anew.
    """
    feed, both = work.feed(seed), f"{TRAIN}+{VALIDATION}"
    labels = work.labels(feed, both)
    if facts.get("rate") is not None:
        labels.take_rate(facts["rate"])
    training = work.start(seed, feed.steps(both), labels)
    name, best = f"refit-{seed}", loop.best_epoch(epochs)
    refitted = loop.refit(training, feed, both, best, work.listeners(name), work.checkpoints_of(name))
    return Fitted(training.model, refitted, labels)
