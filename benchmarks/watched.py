"""One worker's process of a training that says all: what it measures, each step's loss, the weights it ends with.

python -m benchmarks.watched CONFIGURATION SHARDS CHECKPOINTS

The chief alone speaks, a line of JSON each: [name of the fit, step, loss], and before and after them ["fresh", 0, what
a fresh network measures on validation] and ["end", hash of the weights, temperature].
"""

import hashlib
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.workers import say
from lib import artefact
from lib.command import start_logging
from lib.config import Config
from lib.model.architecture import Architecture
from lib.training import agreement, cluster, members
from lib.training.feed import TRAIN, VALIDATION
from lib.training.history import Listener
from lib.training.loop import measure
from lib.training.shards_feed import ShardsFeed
from lib.training.strategy import make_strategy


class Told(Listener):
    """Says each step's loss."""

    def __init__(self, name: str) -> None:
        self.name = name

    def steps(self, first: int, losses: NDArray[Any]) -> None:
        """Say them."""
        for step, loss in enumerate(losses.tolist(), first):
            say([self.name, step, loss])


class Watched(members.Work):
    """Work whose chief says each step's loss."""

    def listeners(self, name: str) -> list[Listener]:
        """The only one."""
        return [Told(name)] if self.cluster.chief else []


def main(configuration: Path, shards: Path, checkpoints: Path) -> None:
    """Train, with a checkpoint as often as there can be one."""
    start_logging(quiet=True)
    config, place = Config.model_validate_json(configuration.read_text()), cluster.of_environment()
    made = artefact.load(shards)
    architecture = Architecture.of_shards(made.facts, config.model)
    row_ids = config.train.noise.method == "selfie"
    work = Watched(
        config.train,
        architecture,
        lambda seed: ShardsFeed(made, architecture, config.train.batch_size, seed, config.feed, place, row_ids),
        checkpoints=checkpoints,
        saving=config.checkpoint,
        cluster=place,
    )
    feed = work.feed(config.train.seed)
    fresh = measure(work.start(config.train.seed, feed.steps(TRAIN), work.labels(feed, TRAIN)), feed, VALIDATION)
    if place.chief:
        say(["fresh", 0, asdict(fresh)])
    trained = members.train(work)
    digest = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in trained.model.weights)).hexdigest()
    if place.chief:
        say(["end", digest, trained.temperature])
    agreement.wait_for_all(make_strategy(config.train.replicas, place), place)
    # Not by returning: TensorFlow's own end waits for peers that may be gone.
    os._exit(0)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
