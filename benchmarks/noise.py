"""Does SELFIE learn from real names of which 40 % have a wrong label, where plain training learns the wrong ones too?

python -m benchmarks.noise [--rows 50000] [--seeds 1 2 3]

Names of conf/naver_names.yaml become shards once; labels of train and validation rows are made wrong as
train.injected says, the test labels stay. All methods train the same network with the same batch for the same number
of epochs, from conf/noise_names.yaml: those at which plain training on clean labels is best. After each epoch all are
measured on the clean test rows. `plain_best` is what noisy validation would choose, `plain` and the others are what
the last epoch leaves. `selfie` is told the noise rate, as in the paper, also in `at_zero`, where no label was made
wrong; `estimated` and `at_zero_estimated` have to find it out, and what sellers themselves filed wrongly is then a
part of it.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from pyspark.sql import SparkSession

from benchmarks.accuracy_names import FULL_ROWS, MONTH, NAMES, in_folder, thinned
from benchmarks.result import ROOT, data_folder, finish
from jobs import ingest, normalize, shards, tokenize, vocabulary
from lib import config, manifest
from lib.artefact import Artefact
from lib.config import Config
from lib.session import open_session
from lib.training import candidate, loop
from lib.training.feed import TRAIN, Feed
from lib.training.history import Epoch
from lib.training.members import Work
from lib.training.run import Run, measure
from lib.training.start import Training
from lib.training.stopping import BestWeights

CONF = ROOT / "conf" / "noise_names.yaml"
SEEDS = (1, 2, 3)
# Rows of the file a full run takes: every fourth, so that all trainings take ten minutes.
ROWS = 50_000
NOISE = 0.4
# Each with the method it trains by and the noise rate that it is told.
METHODS: dict[str, tuple[Literal["plain", "selfie", "gce"], float | None]] = {
    "plain": ("plain", None),
    "selfie": ("selfie", NOISE),
    "estimated": ("selfie", None),
    "gce": ("gce", None),
    "clean": ("plain", None),
    "zero": ("selfie", 0.0),
    "zero_estimated": ("selfie", None),
}
# Trained on the labels as they are, of these by SELFIE.
AT_NONE = ("zero", "zero_estimated")
CLEAN = ("clean", *AT_NONE)
OVER_BEST, OVER_LAST, AT_ZERO, NEAR_CLEAN = 0.01, 0.03, -0.003, 0.04
BAR = (
    f"at {NOISE:.0%} wrong labels selfie >= plain_best + {OVER_BEST:g} and >= plain + {OVER_LAST:g}, each lower bound "
    f"over the seeds > 0; at_zero >= {AT_ZERO:g}"
)
# 95 % two-sided, of Student's t with two degrees of freedom.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}


class Watched(BestWeights):
    """Measures every epoch on the test rows, and keeps no weights."""

    def __init__(self, epochs: int, training: Training, feed: Feed) -> None:
        super().__init__(epochs)
        self.training, self.feed = training, feed
        self.test: list[float] = []

    def offer(self, model: keras.Model, epoch: int, score: float) -> bool:  # noqa: ARG002
        """Measure."""
        found = measure(self.training, self.feed, "test").accuracy["output"]
        assert found is not None
        self.test.append(found)
        return False

    def restore(self, model: keras.Model) -> None:
        """The last epoch's weights stay."""


@dataclass(frozen=True)
class Learnt:
    """One training: test accuracy after each epoch, and what the loop said of it."""

    test: list[float]
    epochs: list[Epoch]
    rate: float | None

    @property
    def last(self) -> float:
        """After the last epoch."""
        return self.test[-1]

    @property
    def chosen(self) -> float:
        """After the epoch that is best on noisy validation."""
        return self.test[loop.best_epoch(self.epochs) - 1]


def main() -> None:
    """Make the shards, train all, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="key=value, for trials")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="for trials")
    given = parser.parse_args()
    data = data_folder()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CATMATCH_DATA"] = str(thinned(data, Path(folder), min(given.rows, FULL_ROWS)))
        settings = in_folder(config.load(CONF, given.overrides), Path(folder))
        made = shards_of(settings)
        runs = {method: [trained(settings, made, method, seed) for seed in given.seeds] for method in given.methods}
    if len(runs) < len(METHODS):
        return
    full = given.rows >= ROWS and not given.overrides and len(given.seeds) >= len(SEEDS)
    figures = compared(runs)
    holds = figures.pop("holds")
    finish("noise", figures, BAR, holds if full else None, given.rows, given.seeds, [data / NAMES])


def shards_of(settings: Config) -> Artefact:
    """The names as training rows."""
    spark = open_session(settings.spark, "noise")
    made = shards_made(spark, settings)
    spark.stop()
    return made


def shards_made(spark: SparkSession, settings: Config) -> Artefact:
    """The names as training rows, in a session that goes on."""
    for stage in (ingest, tokenize, vocabulary, normalize, shards):
        stage.run(spark, settings, MONTH)
    return manifest.artefact_of(settings.storage.warehouse, "shards", MONTH, "shards")


def trained(settings: Config, made: Artefact, method: str, seed: int) -> Learnt:
    """One training, by one of METHODS; those of CLEAN without injected noise."""
    chosen, rate = METHODS[method]
    noise = settings.train.noise.model_copy(update={"method": chosen, "rate": rate})
    share = 0.0 if method in CLEAN else NOISE
    injected = settings.train.injected.model_copy(update={"share": share, "seed": seed})
    train = settings.train.model_copy(update={"noise": noise, "injected": injected, "seed": seed})
    own = settings.model_copy(update={"train": train})
    work = candidate.work_without_a_model(own, candidate.Inputs.of_shards(own, made))
    learnt = fitted(work, seed)
    shown = " ".join(f"{one:.4f}" for one in learnt.test)
    print(f"{method}, seed {seed}: {shown}; rate {learnt.rate}", flush=True)
    return learnt


def fitted(work: Work, seed: int) -> Learnt:
    """Train with the work's method, without restarts: all methods have as many epochs."""
    feed, epochs = work.feed(seed), work.settings.epochs
    labels = work.labels(feed, TRAIN)
    training = work.start(seed, feed.steps(TRAIN), labels)
    watched = Watched(epochs, training, feed)
    done = Run(training, feed, TRAIN, epochs, "train", best=watched, listeners=[], saving=None).complete()
    return Learnt(watched.test, done, labels.facts().get("rate"))


def compared(runs: dict[str, list[Learnt]]) -> dict[str, Any]:
    """Means over the seeds, and the bars' differences with their lower bounds."""
    last = {method: np.array([one.last for one in of]) for method, of in runs.items()}
    best = np.array([one.chosen for one in runs["plain"]])
    over_best, over_last = last["selfie"] - best, last["selfie"] - last["plain"]
    figures = {
        "plain_best": mean(best), **{method: mean(of) for method, of in last.items() if method not in AT_NONE},
        "at_zero": mean(last["zero"] - last["clean"]),
        "at_zero_estimated": mean(last["zero_estimated"] - last["clean"]),
        "over_best": mean(over_best), "over_best_low": lowest(over_best),
        "over_last": mean(over_last), "over_last_low": lowest(over_last),
        "from_clean": mean(last["clean"] - last["selfie"]), "from_clean_aim": NEAR_CLEAN,
        "rates_estimated": [round(one.rate, 4) for one in runs["estimated"] if one.rate is not None],
        "rates_at_zero": [round(one.rate, 4) for one in runs["zero_estimated"] if one.rate is not None],
    }  # fmt: skip
    enough = figures["over_best"] >= OVER_BEST and figures["over_last"] >= OVER_LAST
    sure = figures["over_best_low"] > 0 and figures["over_last_low"] > 0
    return {**figures, "holds": bool(enough and sure and figures["at_zero"] >= AT_ZERO)}


def mean(values: Any) -> float:
    """Rounded."""
    return round(float(np.mean(values)), 5)


def lowest(differences: Sequence[float] | Any) -> float:
    """Lower end of the 95 % interval of the mean over seeds."""
    count = len(differences)
    if count < 2:
        return float("nan")
    return round(float(np.mean(differences) - STUDENT[count] * np.std(differences, ddof=1) / np.sqrt(count)), 5)


if __name__ == "__main__":
    main()
