"""What trainings are made of: a fit with validation and early stopping, and a refit of so many epochs without."""

from collections.abc import Sequence

from lib.training.feed import TRAIN, Feed
from lib.training.history import Epoch, Listener
from lib.training.run import Run, Saving, measure, sample_logits
from lib.training.start import Training, start
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
