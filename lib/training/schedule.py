"""Learning rates over a training."""

from typing import Any

import keras

from lib.config import TrainSettings


def learning_rate(settings: TrainSettings, steps: int) -> Any:
    """What a Keras optimizer takes as its rate.

    Args:
        steps: of the whole training; the cosine ends there.
    """
    warm = round(settings.warmup * steps)
    rate = settings.learning_rate * settings.rate_scale
    if settings.schedule == "constant" and not warm:
        return rate
    # A constant rate after a warm-up is a cosine whose end is its beginning.
    floor = 1.0 if settings.schedule == "constant" else settings.floor
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warm else rate,
        decay_steps=max(steps - warm, 1),
        alpha=floor,
        warmup_target=rate if warm else None,
        warmup_steps=warm,
    )
