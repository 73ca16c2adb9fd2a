"""A month's model: trained on a shards artefact, calibrated, written as an artefact that scoring reads."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.config import Config
from lib.errors import UserError
from lib.model import saved
from lib.model.architecture import Architecture
from lib.model.build import networks
from lib.text.vocabulary import Vocabulary
from lib.training import loop
from lib.training.embedding import aligned
from lib.training.feed import TRAIN, VALIDATION, Feed
from lib.training.history import Epoch, Listener, TensorBoard
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
class Trained:
    """The outcome of `train`.

    Attributes:
        model: ready to be saved.
        temperature: fitted on validation.
        epochs: records of the first fit.
        refitted: records of the second, on train + validation; empty without one.
    """

    model: keras.Model
    temperature: float
    epochs: list[Epoch]
    refitted: list[Epoch]


def make(config: Config, inputs: Inputs, month: str, key: str, *, force: bool) -> Artefact:
    """Train the month's model and write it as an artefact; an artefact that is finished already is not made again."""
    board = Path(config.storage.state) / "tensorboard" / month / key

    def write(writer: ArtefactWriter) -> None:
        architecture = Architecture.of_shards(inputs.shards.facts, config.model)
        feed = ShardsFeed(inputs.shards, config.train.batch_size, config.train.seed)
        vectors = _vectors(config, inputs)
        trained = train(config, architecture, vectors, feed, board if config.train.tensorboard else None)
        _write(writer, config, inputs, architecture, trained)

    return artefacts.make(config.storage.warehouse, saved.KIND, month, key, write, force=force)


def train(
    config: Config,
    architecture: Architecture,
    vectors: NDArray[Any] | None,
    feed: Feed,
    board: Path | None = None,
) -> Trained:
    """Fit on train with validation, fit the temperature on validation, then perhaps refit on both."""
    settings = config.train
    listeners: list[Listener] = [TensorBoard(board / "fit")] if board else []
    training = loop.start(
        lambda: networks(architecture, vectors),
        settings,
        loop.steps_of(feed.rows(TRAIN), settings, settings.epochs),
    )
    epochs = loop.fit(training, feed, listeners)
    temperature = 1.0
    if feed.rows(VALIDATION):
        temperature = fit_temperature(*loop.sample_logits(training, feed, VALIDATION, settings.temperature_rows))
    else:
        LOG.warning("no validation rows: the last epoch is kept, and confidences are not calibrated")
    if not settings.refit or not feed.rows(VALIDATION):
        return Trained(training.model, temperature, epochs, [])
    del training
    both = f"{TRAIN}+{VALIDATION}"
    listeners = [TensorBoard(board / "refit")] if board else []
    again = loop.start(
        lambda: networks(architecture, vectors),
        settings,
        loop.steps_of(feed.rows(both), settings, settings.epochs),
    )
    refitted = loop.refit(again, feed, both, loop.best_epoch(epochs), listeners)
    return Trained(again.model, temperature, epochs, refitted)


def summary(artefact: Artefact) -> dict[str, float]:
    """The figures that the registry keeps with a version: the best epoch's, and the temperature."""
    epochs = artefact.facts["epochs"]
    best = epochs[int(artefact.facts["best_epoch"]) - 1]
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
    return {
        "temperature": trained.temperature,
        "best_epoch": loop.best_epoch(trained.epochs),
        "epochs": [epoch.to_json() for epoch in trained.epochs],
        "refit_epochs": [epoch.to_json() for epoch in trained.refitted],
        "train_seconds": round(sum(epoch.seconds for epoch in [*trained.epochs, *trained.refitted]), 1),
    }


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
