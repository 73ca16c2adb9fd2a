"""Does a training that is killed with -9 at random end exactly as one that nobody disturbs?

python -m benchmarks.resume [--rows 40000] [--seed 1]

Made-up rows, the default model, a fit and a refit, alone and with two workers: each once undisturbed, then killed
three times, at a random moment after a random step, and left to end. Every step's loss, also of steps taken twice, and
the hash of the final weights must be the same.
"""

import argparse
import os
import random
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.result import finish
from benchmarks.synthetic import make_shards
from benchmarks.workers import said
from lib.config import Config

FULL_ROWS = 40_000
FILES, DEATHS, BATCH = 4, 3, 512
# So small that a checkpoint can be written after every 16 steps.
GRAMS, CLASSES = 40_000, 200
# Seconds after a step's line within which the kill comes: some steps long.
LONGEST_PAUSE = 1.0
BAR = "identical: all losses and weights, for one worker and for two, bit for bit"


def main() -> None:
    """Train, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, figures = random.Random(arguments.seed), {}  # noqa: S311 nothing secret
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sizes = {"train": [arguments.rows // FILES] * FILES, "validation": [arguments.rows // 10 // FILES] * FILES}
        shards = make_shards(folder, sizes, grams=GRAMS, classes=CLASSES).folder
        for workers in (1, 2):
            figures |= compared(folder, shards, workers, chance)
    figures["identical"] = figures["identical_1"] and figures["identical_2"]
    passed = figures["identical"] if arguments.rows >= FULL_ROWS else None
    finish("resume", figures, BAR, passed, arguments.rows, seeds=[arguments.seed])


def compared(folder: Path, shards: Path, workers: int, chance: random.Random) -> dict[str, Any]:
    """One training undisturbed, and one that is killed."""
    whole = said(command(folder, shards, f"whole-{workers}"), workers)
    steps = len(whole) - 2
    killed, lines = [], []
    for _ in range(DEATHS):
        after, pause = chance.randint(1, steps // DEATHS), chance.uniform(0, LONGEST_PAUSE)
        lines += said(command(folder, shards, f"killed-{workers}"), workers, killed_after=after, pause=pause)
        killed.append(lines[-1][1])
        print(f"{workers} workers: killed {pause:.2f} s after step {killed[-1]} of {lines[-1][0]}", flush=True)
    lines += said(command(folder, shards, f"killed-{workers}"), workers)
    losses = {(name, step): loss for name, step, loss in whole[:-1]}
    found = {(name, step): loss for name, step, loss in lines[:-1]}
    identical = lines[-1] == whole[-1] and found == losses
    identical = identical and all(losses[name, step] == loss for name, step, loss in lines[:-1])
    return {
        f"identical_{workers}": identical,
        f"steps_{workers}": steps,
        f"steps_twice_{workers}": len(lines) - len(found) - 1,
        f"killed_after_{workers}": killed,
    }


def command(folder: Path, shards: Path, name: str) -> list[str]:
    """A worker of the training with that folder for its checkpoints."""
    configuration = folder / "configuration.json"
    storage = {part: str(folder / part) for part in ("warehouse", "state", "reports")}
    train = {"batch_size": BATCH, "epochs": 2, "refit": True, "average": 0.9, "seed": 1}
    settings = {"storage": storage, "train": train, "checkpoint": {"seconds": 0, "kept": 2}}
    configuration.write_text(Config.model_validate(settings).model_dump_json())
    return ["-m", "benchmarks.watched", str(configuration), str(shards), str(folder / name)]


if __name__ == "__main__":
    main()
