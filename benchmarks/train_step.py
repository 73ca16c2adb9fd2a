"""What the optimizer and the loop cost: our step over forward + backward alone, our loop over Keras' `model.fit`.

.venv/bin/python -m benchmarks.train_step [--rows 2048]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.result import finish
from lib.config import ModelSettings, TrainSettings
from lib.model.architecture import MAIN_HEAD, Architecture
from lib.model.build import networks
from lib.training import loop
from lib.training.feed import TRAIN, MemoryFeed
from lib.training.loop import Training
from lib.training.step import AnyBatch, inputs_of

FULL_ROWS = 20_480
# The size at which shared/stack.md measured Keras' dense optimizers: ten times the model's own work.
GRAMS, GRAM_IDS, BATCH = 480_000, 140, 512
WORDS, CLASSES, NAME, CATEGORY = 30_000, 107, 30, 15
SMALL_WORDS = 2_000
REPEATS, STEPS_A_REPEAT = 7, 8
BAR = "ratio <= 1.5 and fit_ratio >= 0.95"
Rows = Mapping[str, np.ndarray]


def main() -> None:
    """Measure both and finish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="training rows (default: %(default)s)")
    rows = parser.parse_args().rows
    full = rows >= FULL_ROWS
    figures = {**step_figures(GRAMS if full else 20_000), **fit_figures(rows)}
    passed = figures["ratio"] <= 1.5 and figures["fit_ratio"] >= 0.95
    finish("train_step", figures, BAR, passed if full else None, rows, seeds=[1])


def step_figures(grams: int) -> dict[str, float]:
    """Seconds a step of the default model: whole, and forward + backward alone."""
    sizes = {"words": WORDS, "grams": grams, "classes": CLASSES}
    architecture = _architecture(sizes, ModelSettings())
    training = _training(architecture, TrainSettings(seed=1, deterministic=False), 1000)
    batches = [_tensors(_rows(BATCH, architecture, seed)) for seed in range(4)]
    backward = AnyBatch(lambda batch: _touched(*training.steps.gradients(batch)[1:3]))
    whole, alone = _side_by_side(training.steps.train, backward, batches)
    return {"step_seconds": whole, "backward_seconds": alone, "ratio": round(whole / alone, 3)}


def fit_figures(rows: int) -> dict[str, float]:
    """Rows a second of our loop and of `model.fit`, the published TextCNN with a small vocabulary, same optimizer."""
    sizes = {"words": SMALL_WORDS, "grams": 1, "classes": CLASSES}
    architecture = _architecture(sizes, ModelSettings(text_branch="textcnn", widths=[1, 2], filters=64))
    settings = TrainSettings(seed=1, schedule="constant", warmup=0.0, label_smoothing=0.0, deterministic=False)
    training = _training(architecture, settings, 1000)
    feed = MemoryFeed({TRAIN: _rows(rows, architecture, 0)}, BATCH)
    peer = _compiled(architecture, settings)
    epochs: tuple[Callable[[], Any], ...] = (
        lambda: loop.refit(training, feed, TRAIN, 1),
        lambda: peer.fit(feed.batches(TRAIN, 1).map(_for_fit), epochs=1, verbose=0),
    )
    for once in epochs:
        once()
    seconds = [[_seconds(once) for once in epochs] for _ in range(REPEATS)]
    ours, fit = (rows / statistics.median(column) for column in zip(*seconds, strict=True))
    return {
        "loop_rows_per_second": round(ours),
        "fit_rows_per_second": round(fit),
        "fit_ratio": round(ours / fit, 3),
    }


def _side_by_side(whole: Callable[[Any], Any], alone: Callable[[Any], Any], batches: list[Any]) -> tuple[float, float]:
    """Median seconds a call of each, measured in turns so that other load meets both."""

    def several(one: Callable[[Any], Any]) -> Callable[[], None]:
        def run() -> None:
            for number in range(STEPS_A_REPEAT):
                one(batches[number % len(batches)])

        return run

    for one in (whole, alone):
        several(one)()
    seconds = [[_seconds(several(one)) / STEPS_A_REPEAT for one in (whole, alone)] for _ in range(REPEATS)]
    first, second = (round(statistics.median(column), 5) for column in zip(*seconds, strict=True))
    return first, second


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _touched(dense: list[Any], slices: list[tuple[Any, Any]]) -> Any:
    """A number that needs every gradient, as TensorFlow leaves out what nobody reads; next to no work itself."""
    values = [*(one for one in dense if one is not None), *(rows for _, rows in slices)]
    return tf.add_n([tf.reduce_sum(value[:1]) for value in values])


def _architecture(sizes: Mapping[str, int], settings: ModelSettings) -> Architecture:
    return Architecture(**sizes, name_length=NAME, category_length=CATEGORY, gram_length=GRAM_IDS, settings=settings)


def _training(architecture: Architecture, settings: TrainSettings, steps: int) -> Training:
    return loop.start(lambda: networks(architecture), settings, steps)


def _compiled(architecture: Architecture, settings: TrainSettings) -> keras.Model:
    """The same network under Keras' own loop: same losses, same rule, the main head's accuracy."""
    made = networks(architecture).training
    heads = ("text_prod_output", "text_cat_output", "output")
    made.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss={head: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for head in heads},
        loss_weights={head: getattr(settings.heads, head) for head in heads},
        weighted_metrics={MAIN_HEAD: ["accuracy"]},
    )
    return made


def _for_fit(batch: Any) -> tuple[Any, Any, Any]:
    has_category = tf.cast(tf.reduce_any(batch["cat_ids"] != 0, axis=1), tf.float32)
    heads = ("text_prod_output", "text_cat_output", "output")
    weights = dict.fromkeys(heads, batch["weight"]) | {"text_cat_output": batch["weight"] * has_category}
    return inputs_of(batch), dict.fromkeys(heads, batch["label"]), weights


def _rows(count: int, architecture: Architecture, seed: int) -> dict[str, np.ndarray]:
    """Rows whose ids follow Zipf's law, as words and grams do; half of them have a mall category."""
    random = np.random.default_rng(seed)
    category = _zipf(random, architecture.words, (count, CATEGORY))
    category[::2] = 0
    return {
        "name_ids": _zipf(random, architecture.words, (count, NAME)),
        "cat_ids": category,
        "gram_ids": _zipf(random, architecture.grams, (count, GRAM_IDS)),
        "gram_weights": random.uniform(0.02, 0.2, (count, GRAM_IDS)).astype(np.float32),
        "label": random.integers(0, CLASSES, count).astype(np.int32),
        "weight": np.ones(count, np.float32),
    }


def _zipf(random: np.random.Generator, size: int, shape: tuple[int, int]) -> np.ndarray:
    """Ids below size, the chance of id i proportional to 1 / i."""
    return np.minimum(np.exp(random.random(shape) * np.log(size)).astype(np.int32), size - 1)


def _tensors(rows: Rows) -> dict[str, Any]:
    return {name: tf.constant(values) for name, values in rows.items()}


if __name__ == "__main__":
    main()
