"""Does a training's memory stay flat over many epochs?

python -m benchmarks.memory [--rows 2000000]

Ten epochs over made-up rows (files listed many times over), with validation and a checkpoint after each; resident
memory of the process is read at the end of each epoch.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import psutil

from benchmarks.result import finish
from benchmarks.synthetic import SEED, listed_often, make_shards
from lib.config import FeedSettings, ModelSettings, TrainSettings
from lib.model.architecture import Architecture
from lib.model.build import networks
from lib.training import loop
from lib.training.checkpoint import CheckpointFolder
from lib.training.feed import TRAIN
from lib.training.history import Epoch, Listener
from lib.training.shards_feed import ShardsFeed

FULL_ROWS = 2_000_000
FILES, PASSES, VALIDATION_SHARE = 8, 10, 50
EPOCHS, SETTLED = 10, 2
MOST = 1.05
BAR = f"ratio <= {MOST} (resident memory after epoch {EPOCHS} over that after epoch {SETTLED})"
# A small model: what is watched is the feed, the loop and the checkpoints.
MODEL = ModelSettings(bag_size=32, gram_fcl_dim=64, fcl_dim=32, embedding_size=16, filters=16, margin=False)
TRAIN_SETTINGS = TrainSettings(batch_size=4096, epochs=EPOCHS, patience=EPOCHS, deterministic=False)
GRAMS, CLASSES = 40_000, 200


class Told(Listener):
    """Keeps the resident memory after each epoch, in MiB."""

    def __init__(self) -> None:
        self.resident: list[int] = []

    def epoch(self, epoch: Epoch) -> None:
        """Read it."""
        self.resident.append(psutil.Process().memory_info().rss >> 20)
        print(f"{epoch.sentence()}: {self.resident[-1]} MiB", flush=True)


def main() -> None:
    """Train and watch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    rows = parser.parse_args().rows
    told, size = Told(), rows // FILES // PASSES
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sizes = {"train": [size] * FILES, "validation": [rows // VALIDATION_SHARE]}
        made = listed_often(make_shards(folder, sizes, grams=GRAMS, classes=CLASSES), PASSES)
        architecture = Architecture.of_shards(made.facts, MODEL)
        feed = ShardsFeed(made, architecture, TRAIN_SETTINGS.batch_size, SEED, FeedSettings())
        training = loop.start(lambda: networks(architecture), TRAIN_SETTINGS, feed.steps(TRAIN) * EPOCHS)
        loop.fit(training, feed, [told], loop.Saving(CheckpointFolder(folder / "checkpoints", 2), 0.0))
    ratio = round(told.resident[-1] / told.resident[SETTLED - 1], 4)
    passed = ratio <= MOST if rows >= FULL_ROWS else None
    finish("memory", {"ratio": ratio, "resident_mib": told.resident}, BAR, passed, rows, seeds=[SEED])


if __name__ == "__main__":
    main()
