"""What trainings are made of: a fit with validation and early stopping, and a refit of so many epochs without."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib.model.architecture import MAIN_HEAD
from lib.training.feed import TRAIN, Feed
from lib.training.history import Epoch, Listener
from lib.training.run import Run, Saving, measure
from lib.training.start import Training, start
from lib.training.step import AnyBatch, inputs_of
from lib.training.stopping import BestWeights

__all__ = ["Saving", "Training", "best_epoch", "fit", "measure", "refit", "sample_logits", "start"]


def fit(
    training: Training, feed: Feed, listeners: Sequence[Listener] = (), saving: Saving | None = None
) -> list[Epoch]:
    """Train with validation after each epoch; the model ends with its best epoch's weights.

    Args:
        saving: where its checkpoints are; it goes on from the newest.

    Raises:
        UserError: there are no training rows, the loss is no number any more, or a checkpoint cannot be written.
    """
    settings = training.settings
    best = BestWeights(settings.patience)
    run = Run(training, feed, TRAIN, settings.epochs, "train", best=best, listeners=listeners, saving=saving)
    return run.complete()


def refit(
    training: Training, feed: Feed, split: str, epochs: int, listeners: Sequence[Listener] = (),
    saving: Saving | None = None,
) -> list[Epoch]:  # fmt: skip
    """Train a fixed number of epochs on a split, without validation; raises as `fit` does."""
    return Run(training, feed, split, epochs, "refit", best=None, listeners=listeners, saving=saving).complete()


def best_epoch(history: Sequence[Epoch]) -> int:
    """Number of the first epoch with the highest score; the last one where nothing was validated."""
    scored = [(epoch.score, -epoch.number) for epoch in history if epoch.score is not None]
    return -max(scored)[1] if scored else len(history)


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
