"""A month's model: trained on a shards artefact, calibrated, written as an artefact that scoring reads."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.config import CheckpointSettings, Config, TrainSettings
from lib.errors import UserError
from lib.lock import only_one
from lib.model import saved
from lib.model.architecture import Architecture
from lib.model.build import ensemble, networks
from lib.text.vocabulary import Vocabulary
from lib.training import loop
from lib.training.checkpoint import CheckpointFolder
from lib.training.embedding import aligned
from lib.training.feed import TRAIN, VALIDATION, Feed
from lib.training.history import Epoch, Listener, TensorBoard
from lib.training.loop import Training
from lib.training.shards_feed import ShardsFeed
from lib.training.temperature import fit_temperature

LOG = logging.getLogger(__name__)
# Facts of the shards that say how rows were made; kept with the model for tracing and for scoring.
KEPT_FACTS = (
    "months",
    "name_length",
    "category_length",
    "gram_length",
    "words_from",
    "tokenizer_key",
    "vocabulary",
    "word2vec",
)
# Between the seeds of two members, so that train.seed 1 and 2 share no member.
SEED_STEP = 1000


@dataclass(frozen=True)
class Inputs:
    """What a month's model is made from.

    Attributes:
        shards: training rows and label map.
        vocabulary: grams, and words unless they come from word2vec.
        word2vec: words and vectors; None where there are none.
    """

    shards: Artefact
    vocabulary: Artefact
    word2vec: Artefact | None

    @staticmethod
    def of_shards(warehouse: str, shards: Artefact) -> "Inputs":
        """Find the vocabularies that the shards were encoded with."""
        word2vec = shards.facts["word2vec"]
        return Inputs(
            shards,
            artefacts.load(Path(warehouse) / shards.facts["vocabulary"]),
            artefacts.load(Path(warehouse) / word2vec) if word2vec else None,
        )

    @property
    def words(self) -> Path:
        """The word list that name_ids and cat_ids refer to."""
        source = self.word2vec if self.shards.facts["words_from"] == "word2vec" else self.vocabulary
        if source is None:
            raise UserError(
                f"shards {self.shards.folder} name a word2vec vocabulary but no artefact of it; make them again"
            )
        return source.path("words.parquet")


@dataclass(frozen=True)
class Member:
    """One network of the model.

    Attributes:
        epochs: records of the fit on train with validation.
        refitted: records of the second, on train + validation; empty without one.
    """

    epochs: list[Epoch]
    refitted: list[Epoch]

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "best_epoch": loop.best_epoch(self.epochs),
            "epochs": [epoch.to_json() for epoch in self.epochs],
            "refit_epochs": [epoch.to_json() for epoch in self.refitted],
        }


@dataclass(frozen=True)
class Trained:
    """The outcome of `train`.

    Attributes:
        model: ready to be saved.
        temperature: fitted on validation.
        members: how each network was trained.
    """

    model: keras.Model
    temperature: float
    members: list[Member]


def make(config: Config, inputs: Inputs, month: str, key: str, *, force: bool) -> Artefact:
    """Train the month's model and write it as an artefact; an artefact that is finished already is not made again."""
    board = Path(config.storage.state) / "tensorboard" / month / key
    checkpoints = Path(config.storage.state) / "checkpoints" / month / key

    def write(writer: ArtefactWriter) -> None:
        architecture = Architecture.of_shards(inputs.shards.facts, config.model)
        vectors = _vectors(config, inputs)
        work = Work(
            config.train,
            architecture,
            lambda seed: ShardsFeed(inputs.shards, config.train.batch_size, seed, config.feed),
            vectors,
            board if config.train.tensorboard else None,
            checkpoints,
            config.checkpoint,
        )
        _write(writer, config, inputs, architecture, train(work))

    # Two trainings of one model would take turns at deleting each other's checkpoints.
    with only_one(checkpoints.with_suffix(".lock"), f"the model of {month} with key {key} is being trained"):
        if force:
            shutil.rmtree(checkpoints, ignore_errors=True)
        made = artefacts.make(config.storage.warehouse, saved.KIND, month, key, write, force=force)
        shutil.rmtree(checkpoints, ignore_errors=True)
    return made


@dataclass(frozen=True)
class Work:
    """What `train` does, and with what.

    Attributes:
        settings: of every member, but for the seed.
        architecture: of every member.
        feed: seed -> the rows, in the order that the seed gives.
        vectors: start values of the word table; None for random ones.
        board: folder for TensorBoard; None for none.
        checkpoints: folder for those of all fits; None for none.
        saving: how often, and how many are kept.
    """

    settings: TrainSettings
    architecture: Architecture
    feed: Callable[[int], Feed]
    vectors: NDArray[Any] | None = None
    board: Path | None = None
    checkpoints: Path | None = None
    saving: CheckpointSettings = field(default_factory=CheckpointSettings)

    def seeds(self) -> list[int]:
        """One for each member; those of another `train.seed` are others."""
        return [self.settings.seed + SEED_STEP * number for number in range(self.architecture.settings.members)]

    def start(self, seed: int, rows: int) -> Training:
        """A fresh network that will see that many rows an epoch."""
        seeded = self.settings.model_copy(update={"seed": seed})
        steps = loop.steps_of(rows, seeded, seeded.epochs)
        return loop.start(lambda: networks(self.architecture, self.vectors), seeded, steps)

    def listeners(self, name: str) -> list[Listener]:
        """Who is told of a fit's epochs."""
        return [TensorBoard(self.board / name)] if self.board else []

    def checkpoints_of(self, name: str) -> loop.Saving | None:
        """Where a fit's checkpoints are kept."""
        if self.checkpoints is None:
            return None
        return loop.Saving(CheckpointFolder(self.checkpoints / name, self.saving.kept), self.saving.seconds)


def train(work: Work) -> Trained:
    """Fit each member on train with validation, the temperature on validation; then perhaps refit on both."""
    fits = [_fit(work, seed) for seed in work.seeds()]
    model = ensemble([network for network, _ in fits], work.architecture)
    feed = work.feed(work.settings.seed)
    temperature = 1.0
    if feed.rows(VALIDATION):
        rows = work.settings.temperature_rows
        temperature = fit_temperature(*loop.sample_logits(model, feed, VALIDATION, rows))
    else:
        LOG.warning("no validation rows: the last epoch is kept, and confidences are not calibrated")
    histories = [epochs for _, epochs in fits]
    if not work.settings.refit or not feed.rows(VALIDATION):
        return Trained(model, temperature, [Member(epochs, []) for epochs in histories])
    # Done with; their memory stays taken, as TensorFlow keeps every traced custom gradient (lib/model/layers/bag.py).
    del model, fits
    again = [_refit(work, seed, epochs) for seed, epochs in zip(work.seeds(), histories, strict=True)]
    members = [Member(epochs, refitted) for epochs, (_, refitted) in zip(histories, again, strict=True)]
    return Trained(ensemble([network for network, _ in again], work.architecture), temperature, members)


def _fit(work: Work, seed: int) -> tuple[keras.Model, list[Epoch]]:
    feed = work.feed(seed)
    training = work.start(seed, feed.rows(TRAIN))
    name = f"fit-{seed}"
    return training.model, loop.fit(training, feed, work.listeners(name), work.checkpoints_of(name))


def _refit(work: Work, seed: int, epochs: list[Epoch]) -> tuple[keras.Model, list[Epoch]]:
    """A fresh network on train + validation, for the epochs that were best on validation."""
    feed, both = work.feed(seed), f"{TRAIN}+{VALIDATION}"
    training = work.start(seed, feed.rows(both))
    name, best = f"refit-{seed}", loop.best_epoch(epochs)
    return training.model, loop.refit(training, feed, both, best, work.listeners(name), work.checkpoints_of(name))


def summary(artefact: Artefact) -> dict[str, float]:
    """The figures that the registry keeps with a version: the first member's best epoch's, and the temperature."""
    first = artefact.facts["members"][0]
    best = first["epochs"][int(first["best_epoch"]) - 1]
    figures = {"temperature": float(artefact.facts["temperature"]), "train_loss": float(best["loss"])}
    for head, accuracy in (best["validation"] or {}).get("accuracy", {}).items():
        if accuracy is not None:
            figures[f"validation_accuracy_{head}"] = float(accuracy)
    return figures


def _vectors(config: Config, inputs: Inputs) -> NDArray[Any] | None:
    """Start values of the word table, one row a word id; None for random ones."""
    if config.model.embedding == "random":
        return None
    if inputs.word2vec is None:
        raise UserError(
            "model.embedding is word2vec but the shards were made without word vectors; run the word2vec and shards "
            "stages of this month, or set model.embedding=random"
        )
    vectors: NDArray[Any] = np.load(inputs.word2vec.path("vectors.npy"), allow_pickle=False)
    if vectors.shape[1] != config.model.embedding_size:
        raise UserError(
            f"model.embedding_size is {config.model.embedding_size} but the word vectors have {vectors.shape[1]} "
            f"dimensions; set model.embedding_size={vectors.shape[1]}"
        )
    if inputs.shards.facts["words_from"] == "word2vec":
        return vectors
    own = Vocabulary.read(inputs.word2vec.path("words.parquet"))
    return aligned(Vocabulary.read(inputs.words), own, vectors, config.train.seed)


def _write(
    writer: ArtefactWriter, config: Config, inputs: Inputs, architecture: Architecture, trained: Trained
) -> None:
    # Keras insists on the ending, which the writer's own naming would break.
    weights = writer.folder / f"weights-{writer.run}.weights.h5"
    writer.adopt(saved.WEIGHTS, weights)
    trained.model.save_weights(weights)
    _copy(inputs.words, writer.file(saved.WORDS))
    _copy(inputs.vocabulary.path("grams.parquet"), writer.file(saved.GRAMS))
    _copy(inputs.shards.path("label_map.json"), writer.file(saved.LABEL_MAP))
    shards = inputs.shards
    facts = {name: shards.facts.get(name) for name in KEPT_FACTS}
    tokenizer = {**config.text.model_dump(mode="json"), "key": shards.facts["tokenizer_key"]}
    described = saved.model_json(architecture, trained.temperature, tokenizer, {**facts, "shards": shards.key})
    writer.file(saved.MODEL).write_text(described, encoding="utf-8")
    writer.facts = {
        **json.loads(json.dumps(facts)),
        "shards": shards.key,
        "classes": architecture.classes,
        "parameters": int(trained.model.count_params()),
        **_figures(trained),
    }


def _figures(trained: Trained) -> Mapping[str, Any]:
    epochs = [epoch for member in trained.members for epoch in (*member.epochs, *member.refitted)]
    return {
        "temperature": trained.temperature,
        "members": [member.to_json() for member in trained.members],
        "train_seconds": round(sum(epoch.seconds for epoch in epochs), 1),
    }


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
