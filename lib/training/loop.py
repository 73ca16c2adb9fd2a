"""The training loop: epochs over a feed, validation after each, early stopping on its accuracy.

The project's own, since `model.fit` fails under MultiWorkerMirroredStrategy in Keras 3 and cannot update
tables by rows.
"""

import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib.config import TrainSettings
from lib.errors import UserError
from lib.model.architecture import HEADS, MAIN_HEAD
from lib.model.build import Networks
from lib.training.average import Average
from lib.training.feed import TRAIN, VALIDATION, Feed
from lib.training.history import Epoch, Listener, Measured, measured
from lib.training.optimizer import Optimizer
from lib.training.progress import TrainingProgress, figures
from lib.training.step import MEASURED, TRAINED, AnyBatch, Steps, inputs_of
from lib.training.stopping import BestWeights
from lib.training.strategy import make_strategy, prepare

LOG = logging.getLogger(__name__)
# Sums of steps are fetched together: on a GPU each fetch waits for the device.
FETCH_STEPS = 16


@dataclass
class Training:
    """A model and all that moves it; `start` makes one, `fit` trains it.

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


@dataclass
class _Pass:
    """Running sums of one epoch."""

    pending: list[Any] = field(default_factory=list)
    sums: NDArray[Any] = field(default_factory=lambda: np.zeros(len(TRAINED)))
    waited: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def loss(self) -> float:
        return float(self.sums[0] / self.sums[1]) if self.sums[1] else 0.0

    @property
    def accuracy(self) -> float:
        return float(self.sums[2] / self.sums[1]) if self.sums[1] else 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def said(self) -> str:
        """The figures so far."""
        seconds = self.seconds
        return figures(self.loss, self.accuracy, self.sums[3] / seconds, self.waited / seconds)


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


def steps_of(rows: int, settings: TrainSettings, epochs: int) -> int:
    """Steps of a training, the last batch of an epoch being smaller."""
    return math.ceil(rows / settings.batch_size) * epochs


def fit(training: Training, feed: Feed, listeners: Sequence[Listener] = ()) -> list[Epoch]:
    """Train with validation after each epoch; the model ends with its best epoch's weights.

    Raises:
        UserError: there are no training rows, or the loss is no number any more.
    """
    settings = training.settings
    best = BestWeights(settings.patience)
    history = []
    with TrainingProgress(feed.rows(TRAIN) * settings.epochs, "train") as progress:
        for number in range(1, settings.epochs + 1):
            epoch = _epoch(training, feed, TRAIN, number, progress, best)
            history.append(epoch)
            _tell(epoch, listeners)
            if best.exhausted:
                LOG.info("no better epoch since epoch %d; training ends early", best.epoch)
                break
    best.restore(training.model)
    return history


def refit(training: Training, feed: Feed, split: str, epochs: int, listeners: Sequence[Listener] = ()) -> list[Epoch]:
    """Train a fixed number of epochs on a split, without validation."""
    history = []
    with TrainingProgress(feed.rows(split) * epochs, "refit") as progress:
        for number in range(1, epochs + 1):
            epoch = _epoch(training, feed, split, number, progress, None)
            history.append(epoch)
            _tell(epoch, listeners)
    if training.average is not None:
        training.average.swap()
    return history


def best_epoch(history: Sequence[Epoch]) -> int:
    """Number of the first epoch with the highest score; the last one where nothing was validated."""
    scored = [(epoch.score, -epoch.number) for epoch in history if epoch.score is not None]
    return -max(scored)[1] if scored else len(history)


def measure(training: Training, feed: Feed, split: str) -> Measured:
    """The model on a whole split."""
    sums = np.zeros((len(HEADS), len(MEASURED)))
    for batch in feed.batches(split, 0):
        sums += training.steps.measure(batch).numpy()
    return measured(sums)


def sample_logits(model: keras.Model, feed: Feed, split: str, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Main head's logits [n, classes] and labels [n] of the first rows of a split, at most `rows`.

    The split's rows lie in a random order, so these are a random sample of it.
    """
    answer = AnyBatch(lambda batch: model(inputs_of(batch), training=False)[MAIN_HEAD])
    logits, labels, have = [], [], 0
    for batch in feed.batches(split, 0):
        logits.append(answer(batch).numpy())
        labels.append(batch["label"].numpy())
        have += len(labels[-1])
        if have >= rows:
            break
    return np.concatenate(logits)[:rows], np.concatenate(labels)[:rows]


def _epoch(
    training: Training,
    feed: Feed,
    split: str,
    number: int,
    progress: TrainingProgress,
    best: BestWeights | None,
) -> Epoch:
    """One pass, then validation (of the averaged weights, if there are) and its record."""
    run = _train_pass(training, feed, split, number, progress)
    seconds = run.seconds
    validation = None
    if best is not None:
        if training.average is not None:
            training.average.swap()
        if feed.rows(VALIDATION):
            validation = measure(training, feed, VALIDATION)
        # Without validation rows the last epoch is the best that is known.
        epoch = _record(training, run, number, seconds, validation)
        best.offer(training.model, number, float(number) if epoch.score is None else epoch.score)
        if training.average is not None:
            training.average.swap()
    return _record(training, run, number, seconds, validation)


def _train_pass(training: Training, feed: Feed, split: str, number: int, progress: TrainingProgress) -> _Pass:
    run = _Pass()
    batches = iter(feed.batches(split, number))
    for step in itertools.count(1):
        asked = time.perf_counter()
        batch = next(batches, None)
        run.waited += time.perf_counter() - asked
        if batch is None:
            break
        run.pending.append(training.steps.train(batch))
        training.done += 1
        if training.average is not None:
            training.average.after_step(training.done)
        if step % FETCH_STEPS == 0:
            _fetch(training, run, number, progress)
    _fetch(training, run, number, progress)
    if not run.sums[3]:
        raise UserError(f"split {split} has no rows to train on; check the shards stage of this month")
    return run


def _fetch(training: Training, run: _Pass, epoch: int, progress: TrainingProgress) -> None:
    """Bring the pending sums to the host and show them."""
    if not run.pending:
        return
    fetched = np.stack([sums.numpy() for sums in run.pending])
    broken = ~np.isfinite(fetched[:, 0])
    if broken.any():
        step = training.done - len(fetched) + int(np.argmax(broken)) + 1
        raise UserError(
            f"the loss became {fetched[np.argmax(broken), 0]} at step {step} (epoch {epoch}); "
            f"lower train.learning_rate (now {training.settings.learning_rate:g}) or set train.clip_norm"
        )
    run.pending.clear()
    run.sums += fetched.sum(axis=0)
    progress.advance(int(fetched[:, 3].sum()), run.said)


def _record(training: Training, run: _Pass, number: int, seconds: float, validation: Measured | None) -> Epoch:
    return Epoch(
        number=number,
        loss=run.loss,
        accuracy=run.accuracy,
        rows=int(run.sums[3]),
        seconds=round(seconds, 3),
        input_wait=run.waited / seconds,
        learning_rate=training.learning_rate,
        validation=validation,
    )


def _tell(epoch: Epoch, listeners: Sequence[Listener]) -> None:
    LOG.info("%s", epoch.sentence())
    for listener in listeners:
        listener(epoch)
