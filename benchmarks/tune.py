"""Does TPE with pruning find what random search finds in fewer epochs, and are two trials at once faster than one?

python -m benchmarks.tune [--rows 20000] [--trials 24] [--seeds 1 2 3 4 5]

Names of conf/noise_names.yaml become shards once, and both searches draw from one space over its network, from the
same seeds, as many trials each; random search ends none early. `best` and `random` are medians over the seeds of the
best validation accuracy, `epochs_ratio` is the median of TPE's epochs over random search's. `parallel` is the time of
the same trials one at a time over that of two at a time, every trial held to one core. `overhead` is what a trial
takes outside its epochs, MLflow and waiting for the other slot's last trial included: what all slots had of time, less
the trials' epochs, over the trials; the first ones, which load TensorFlow, are another search's.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import SparkSession

from benchmarks.accuracy_names import NAMES, in_folder, thinned
from benchmarks.noise import CONF, shards_made
from benchmarks.result import data_folder, finish
from lib import config
from lib.artefact import Artefact
from lib.config.tune import TuneSettings
from lib.session import open_session
from lib.studies import space
from lib.studies.search import Search, best_trials
from lib.studies.search_storage import opened, proxy
from lib.studies.trial_runs import logged_to

ROWS, TRIALS, SEEDS = 20_000, 24, (1, 2, 3, 4, 5)
# Enough to tell two at once from one at a time, each some fifteen seconds.
TIMED_TRIALS = 8
SPACE: dict[str, dict[str, Any]] = {
    "train.optimizer": {"choice": ["adam", "adagrad", "adadelta", "sgd"]},
    "train.learning_rate": {"low": 0.0001, "high": 1.0, "log": True},
    "train.batch_size": {"choice": [64, 128, 256, 512]},
    "train.gram_rate": {"low": 0.001, "high": 1.0, "log": True},
    "model.gram_dropout": {"low": 0.0, "high": 0.8},
    "model.gram_fcl_dropout": {"low": 0.0, "high": 0.8},
    "model.gram_fcl_dim": {"low": 64, "high": 1024, "log": True},
    "model.bag_size": {"low": 32, "high": 256, "log": True},
}
# What the benchmark promises.
WORSE, EPOCHS, PARALLEL, OVERHEAD = 0.002, 0.6, 1.6, 5.0
BAR = (
    f"best >= random - {WORSE:g} at epochs_ratio <= {EPOCHS:g} (medians over the seeds); parallel >= {PARALLEL:g}; "
    f"overhead < {OVERHEAD:g} s"
)


@dataclass(frozen=True)
class Searched:
    """What a search came to."""

    best: float
    epochs: int
    seconds: float
    overhead: float


def main() -> None:
    """Search, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    given = parser.parse_args()
    data = data_folder()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["CATMATCH_DATA"] = str(thinned(data, folder, given.rows))
        base = in_folder(config.load(CONF), folder)
        (folder / "base.yaml").write_text(yaml.safe_dump(base.model_dump(mode="json", by_alias=True)))
        spark = open_session(base.spark, "tune")
        made = shards_made(spark, base)
        # Both load TensorFlow, which is nobody's to wait for.
        searched(spark, folder, made, 0, "random", parallel=2, trials=2, name="warm")
        timed = [searched(spark, folder, made, 0, "random", slots, TIMED_TRIALS, f"slots_{slots}") for slots in (1, 2)]
        both = {
            kind: [searched(spark, folder, made, seed, kind, 2, given.trials, f"{kind}_{seed}") for seed in given.seeds]
            for kind in ("random", "tpe")
        }
        spark.stop()
    full = given.rows >= ROWS and given.trials >= TRIALS and len(given.seeds) >= len(SEEDS)
    figures = compared(timed, both)
    holds = (
        figures["best"] >= figures["random"] - WORSE
        and figures["epochs_ratio"] <= EPOCHS
        and figures["parallel"] >= PARALLEL
        and figures["overhead"] < OVERHEAD
    )
    finish("tune", figures, BAR, holds if full else None, given.rows, given.seeds, [data / NAMES])


def searched(
    spark: SparkSession, folder: Path, made: Artefact, seed: int, kind: str, parallel: int, trials: int, name: str
) -> Searched:  # fmt: skip
    """One search of its own."""
    record = {
        "name": name, "base": str(folder / "base.yaml"), "space": SPACE, "budget": {"trials": trials}, "seed": seed,
        "parallel": parallel, "cores": 1, "sampler": {"kind": kind},
        "pruner": {"kind": "asha" if kind == "tpe" else "none"},
    }  # fmt: skip
    settings = TuneSettings.model_validate(record)
    with opened(None, folder / "state", name) as memory, proxy(memory, "127.0.0.1") as port:
        base, told = space.changed(settings, {}), logged_to(str(folder / "state"), name)
        search = Search(spark, settings, [], base, memory, name, ("127.0.0.1", port), lambda _: made, told)
        started = time.monotonic()
        search.run()
        seconds = time.monotonic() - started
        found = search.study.get_trials(deepcopy=False)
    return Searched(
        best=float(best_trials(found, 1)[0].value or 0.0),
        epochs=sum(one.user_attrs["epochs"] for one in found),
        seconds=seconds,
        overhead=(parallel * seconds - sum(one.user_attrs["seconds"] for one in found)) / len(found),
    )


def compared(timed: list[Searched], both: dict[str, list[Searched]]) -> dict[str, Any]:
    """The figures."""
    ratios = [ours.epochs / theirs.epochs for ours, theirs in zip(both["tpe"], both["random"], strict=True)]
    bests = {kind: [round(one.best, 4) for one in found] for kind, found in both.items()}
    overheads = [one.overhead for one in (*both["tpe"], *both["random"])]
    return {
        "best": round(statistics.median(bests["tpe"]), 4),
        "random": round(statistics.median(bests["random"]), 4),
        "best_by_seed": bests["tpe"],
        "random_by_seed": bests["random"],
        "epochs_ratio": round(statistics.median(ratios), 3),
        "epochs_ratio_by_seed": [round(ratio, 3) for ratio in ratios],
        "parallel": round(timed[0].seconds / timed[1].seconds, 3),
        "overhead": round(statistics.median(overheads), 2),
    }


if __name__ == "__main__":
    main()
