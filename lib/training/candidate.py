"""A month's model: trained on a shards artefact, calibrated, written as an artefact that scoring reads."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from numpy.typing import NDArray

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.categories.brand_names import BRANDS_FILE
from lib.config import BackboneSettings, Config
from lib.errors import UserError
from lib.images.backbones import backbone_key
from lib.lock import only_one
from lib.model import saved
from lib.model.architecture import Architecture
from lib.text.vocabulary import Vocabulary
from lib.training import agreement
from lib.training.cluster import Cluster, PeerLostError
from lib.training.embedding import aligned
from lib.training.feed import Feed
from lib.training.injected_noise import NoisyFeed, WrongLabels, check_siblings, parents_of
from lib.training.members import Trained, Work, train
from lib.training.shards_feed import ShardsFeed
from lib.training.strategy import make_strategy
from lib.training.watchdog import Watchdog

LOG = logging.getLogger(__name__)
# What TensorFlow raises where a peer has gone.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
# File of a model's artefact: the labels that were set against the given ones.
REFURBISHED = "refurbished.parquet"
REFURBISHED_SCHEMA = pa.schema([("member", pa.int32()), ("row_id", pa.int64()), ("label", pa.int32())])
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
    "brand_length",
    "brand_dictionary",
    "picture",
)


@dataclass(frozen=True)
class Inputs:
    """What a month's model is made from.

    Attributes:
        shards: training rows and label map.
        vocabulary: grams, and words unless they come from word2vec.
        word2vec: words and vectors; None where there are none.
        brands: the dictionary of brand_ids; None where rows hold none.
        backbone: the one that the model looks at raw pictures with; unused for other rows.
    """

    shards: Artefact
    vocabulary: Artefact
    word2vec: Artefact | None
    brands: Artefact | None
    backbone: BackboneSettings

    @staticmethod
    def of_shards(config: Config, shards: Artefact) -> "Inputs":
        """Find the vocabularies that the shards were encoded with."""
        warehouse = config.storage.warehouse
        word2vec, brands = (shards.facts.get(name) for name in ("word2vec", "brand_dictionary"))
        return Inputs(
            shards,
            artefacts.load(Path(warehouse) / shards.facts["vocabulary"]),
            artefacts.load(Path(warehouse) / word2vec) if word2vec else None,
            artefacts.load(Path(warehouse) / brands) if brands else None,
            config.backbone,
        )

    @property
    def contents(self) -> dict[str, str]:
        """Name -> content of each, which a model's key covers."""
        contents = {"shards": self.shards.content, "vocabulary": self.vocabulary.content}
        if self.word2vec is not None:
            contents["word2vec"] = self.word2vec.content
        if self.brands is not None:
            contents["brands"] = self.brands.content
        picture = self.shards.facts.get("picture")
        if picture and picture["kind"] == "raw":
            contents["backbone"] = backbone_key(self.backbone, int(picture["size"]))
        return contents

    @property
    def words(self) -> Path:
        """The word list that name_ids and cat_ids refer to."""
        source = self.word2vec if self.shards.facts["words_from"] == "word2vec" else self.vocabulary
        if source is None:
            raise UserError(
                f"shards {self.shards.folder} name a word2vec vocabulary but no artefact of it; make them again"
            )
        return source.path("words.parquet")


Build = Callable[[ArtefactWriter], None]


def make(config: Config, month: str, key: str, build: Build, *, force: bool) -> Artefact:
    """The month's model as an artefact; one that is finished already is not made again.

    Args:
        build: trains and writes; it keeps its checkpoints in `checkpoint_folder`.
    """
    checkpoints = checkpoint_folder(config, month, key)
    # Two trainings of one model would take turns at deleting each other's checkpoints.
    with only_one(checkpoints.with_suffix(".lock"), f"the model of {month} with key {key} is being trained"):
        if force:
            shutil.rmtree(checkpoints, ignore_errors=True)
        made = artefacts.make(config.storage.warehouse, saved.KIND, month, key, build, force=force)
        shutil.rmtree(checkpoints, ignore_errors=True)
    return made


def checkpoint_folder(config: Config, month: str, key: str) -> Path:
    """Where a model's checkpoints are while it is trained: in the warehouse, which every host has."""
    return Path(config.storage.warehouse) / "checkpoints" / month / key


def build(
    writer: ArtefactWriter, config: Config, inputs: Inputs, month: str, key: str, cluster: Cluster
) -> None:  # fmt: skip
    """Train in this process, alone or as one worker of a cluster; the chief writes the model.

    Args:
        writer: of the model; only the chief's is written to.
        cluster: this process's place.

    Raises:
        UserError: a worker has other code, shards or settings, or is lost (`PeerLostError`), or as `loop.fit` does.
    """
    board = Path(config.storage.state) / "tensorboard" / month / key
    watchdog = Watchdog(config.launch.stuck_seconds if cluster.workers > 1 else None)
    work = replace(
        _work(config, inputs, cluster),
        board=board if config.train.tensorboard and cluster.chief else None,
        checkpoints=checkpoint_folder(config, month, key),
        saving=config.checkpoint,
        watchdog=watchdog,
        facts={"content of the shards": inputs.shards.content},
    )
    with peers(cluster, config.launch.stuck_seconds):
        with watchdog:
            trained = train(work)
        if cluster.chief:
            _write(writer, config, inputs, work.architecture, trained)
            writer.facts["workers"] = cluster.workers
        agreement.wait_for_all(make_strategy(config.train.replicas, cluster), cluster)


@contextmanager
def peers(cluster: Cluster, seconds: float) -> Iterator[None]:
    """Say who is waited for; and what TensorFlow says of a lost peer in many lines, in one.

    Raises:
        PeerLostError: a peer is gone.
    """
    if cluster.workers == 1:
        yield
        return
    LOG.info(
        "worker %d of %s; it ends when the others are not there, or no step is taken, for %g s (launch.stuck_seconds)",
        cluster.worker, ", ".join(cluster.addresses), seconds,
    )  # fmt: skip
    try:
        yield
    except LOST as error:
        raise PeerLostError(
            f"worker {cluster.worker} lost another one ({_reason(error)}); the other's log says "
            "why. Run on all hosts again, the training goes on from its last checkpoint"
        ) from None


def _reason(error: tf.errors.OpError) -> str:
    """Without the stack that comes before it."""
    return " ".join(str(error.message).rpartition("aborted by: ")[2].split())[:200]


def join(config: Config, inputs: Inputs, month: str, key: str, cluster: Cluster) -> None:
    """Train beside a chief that makes the artefact; raises as `build` does."""
    folder = artefacts.folder(config.storage.warehouse, saved.KIND, month, key)
    build(ArtefactWriter(folder), config, inputs, month, key, cluster)


def summary(artefact: Artefact) -> dict[str, float]:
    """The figures that the registry keeps with a version: the first member's best epoch's, and the temperature."""
    first = artefact.facts["members"][0]
    best = first["epochs"][int(first["best_epoch"]) - 1]
    figures = {"temperature": float(artefact.facts["temperature"]), "train_loss": float(best["loss"])}
    for head, accuracy in (best["validation"] or {}).get("accuracy", {}).items():
        if accuracy is not None:
            figures[f"validation_accuracy_{head}"] = float(accuracy)
    return figures


def work_without_a_model(config: Config, inputs: Inputs) -> Work:
    """What trains networks like the month's, alone in this process and for nobody to keep; batches have row_ids."""
    settings = config.train.model_copy(update={"refit": False})
    return replace(_work(config, inputs, Cluster(), row_ids=True), settings=settings)


def _work(config: Config, inputs: Inputs, cluster: Cluster, row_ids: bool = False) -> Work:
    architecture = Architecture.of_shards(inputs.shards.facts, config.model, inputs.backbone)
    return Work(
        config.train,
        architecture,
        lambda seed: _feed(config, inputs.shards, architecture, seed, cluster, row_ids),
        _vectors(config, inputs),
        config.backbone.weights,
        cluster=cluster,
    )


def _feed(
    config: Config, shards: Artefact, architecture: Architecture, seed: int, cluster: Cluster, row_ids: bool
) -> Feed:  # fmt: skip
    """The shards' rows, with labels made wrong where a study asks for it."""
    settings = config.train
    row_ids = row_ids or settings.noise.method == "selfie" or settings.injected.share > 0
    feed = ShardsFeed(shards, architecture, settings.batch_size, seed, config.feed, cluster, row_ids)
    if not settings.injected.share:
        return feed
    labels = json.loads(shards.path("label_map.json").read_text(encoding="utf-8"))
    paths = [label["path"] for label in labels]
    check_siblings(settings.injected, paths)
    return NoisyFeed(feed, WrongLabels(settings.injected, parents_of(paths)))


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
    if architecture.brand is not None:
        assert inputs.brands is not None
        _copy(inputs.brands.path(BRANDS_FILE), writer.file(BRANDS_FILE))
    _copy(inputs.shards.path("label_map.json"), writer.file(saved.LABEL_MAP))
    shards = inputs.shards
    facts = {name: shards.facts.get(name) for name in KEPT_FACTS}
    tokenizer = {**config.text.model_dump(mode="json"), "key": shards.facts["tokenizer_key"]}
    described = saved.model_json(architecture, trained.temperature, tokenizer, {**facts, "shards": shards.key})
    writer.file(saved.MODEL).write_text(described, encoding="utf-8")
    _write_refurbished(writer.file(REFURBISHED), trained)
    writer.facts = {
        **json.loads(json.dumps(facts)),
        "shards": shards.key,
        "classes": architecture.classes,
        "parameters": int(trained.model.count_params()),
        **_figures(trained),
    }


def _write_refurbished(place: Path, trained: Trained) -> None:
    """The labels that each member has set against the given ones; without SELFIE there is none."""
    members = [
        pa.table([pa.array(np.full(len(ids), number, np.int32)), ids, labels], schema=REFURBISHED_SCHEMA)
        for number, (ids, labels) in enumerate(member.refurbished for member in trained.members)
    ]
    pq.write_table(pa.concat_tables(members), place)


def _figures(trained: Trained) -> Mapping[str, Any]:
    epochs = [epoch for member in trained.members for epoch in (*member.epochs, *member.refitted)]
    return {
        "temperature": trained.temperature,
        "members": [member.to_json() for member in trained.members],
        "train_seconds": round(sum(epoch.seconds for epoch in epochs), 1),
    }


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
