"""One trial on labelled pictures: how well, and how fast, a fully connected head on a frozen backbone tells classes.

The model is the one that months are trained with; names and mall categories are empty, so what it learns it learns from
pictures. A frozen backbone makes the same features in every epoch: they are made once and kept, and an epoch's time is
that of making them and of training the head on them.
"""

import logging
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.config import BackboneSettings, Config, ImagesSettings
from lib.errors import UserError
from lib.images import files
from lib.images.backbones import backbone_key, extractor, feature_size, network
from lib.images.decode import jpeg
from lib.images.pixels import pixels
from lib.images.reasons import NoPictureError
from lib.model.architecture import IMAGE_HEAD, Architecture, Picture
from lib.studies.study import Figures
from lib.training.feed import TRAIN, VALIDATION, MemoryFeed
from lib.training.members import Work, train
from lib.training.step import AnyBatch, inputs_of

LOG = logging.getLogger(__name__)
# Folders of a data set; what lies in the last two is never learnt from.
LEARNT, ASKED = "train", ("validation", "test")
# Of the pictures to learn from, one in so many chooses the epoch.
CHOOSING = 10
THREADS = 2
# Pictures that speed is measured on.
TIMED = 96


@dataclass(frozen=True)
class Labelled:
    """Pictures of a data set: file, class and split of each, in the order of their names."""

    files: list[str]
    classes: NDArray[np.str_]
    splits: NDArray[np.str_]


@dataclass(frozen=True)
class Seen:
    """Features [pictures, width] of a data set, and the seconds that making those of one picture took."""

    features: NDArray[np.float32]
    seconds_a_picture: float


def measure(config: Config, folder: Path) -> Figures:
    """Figures of one trial.

    Args:
        config: of the trial; images, backbone, model and train count.
        folder: where features are kept for other trials.

    Raises:
        UserError: there is no images section, or no data set where it says.
    """
    images = config.images
    if images is None or images.path is None:
        raise UserError("a study of pictures needs images.path, a folder or zip of <split>/<class>/<picture>")
    backbone, size = config.backbone, images.size
    figures = cost(backbone, size)
    if backbone.weights == "none":
        # Nothing was learnt before, so there is nothing to see.
        return {**figures, "images_per_second": speed(backbone, size)}
    data = listing(images)
    seen = _seen(data, config, images, folder)
    right, epoch_seconds = _head(data, seen, config)
    learnt = int((data.splits == LEARNT).sum())
    return {
        **figures,
        "accuracy": float(right.mean()),
        "pictures": float(len(right)),
        "images_per_second": 1 / seen.seconds_a_picture,
        "epoch_seconds": learnt * seen.seconds_a_picture + epoch_seconds,
    }


def cost(backbone: BackboneSettings, size: int) -> Figures:
    """What a backbone takes, whatever it sees: of activations the outputs of all layers, in float32."""
    made = network(backbone.model_copy(update={"weights": "none"}), size)
    layers = list(made._flatten_layers(include_self=False, recursive=True))
    outputs = [layer.output for layer in layers if not isinstance(layer, keras.Model) and hasattr(layer, "output")]
    numbers = sum(int(np.prod(one.shape[1:])) for output in outputs for one in keras.tree.flatten(output))
    parameters = made.count_params()
    return {
        "activation_bytes": 4.0 * numbers, "parameters": float(parameters), "megabytes": 4 * parameters / 1e6,
        "features": float(feature_size(backbone.name)),
    }  # fmt: skip


def speed(backbone: BackboneSettings, size: int) -> float:
    """Pictures a second, of random pixels."""
    look = extractor(backbone, size, THREADS)
    shown = np.random.default_rng(0).integers(0, 256, (TIMED, size, size, 3)).astype(np.uint8)
    batch = 8
    look(shown[:batch])
    started = time.perf_counter()
    for start in range(0, TIMED, batch):
        look(shown[start : start + batch])
    return TIMED / (time.perf_counter() - started)


def listing(images: ImagesSettings) -> Labelled:
    """The data set's pictures.

    Raises:
        UserError: there is none.
    """
    found = []
    for name in sorted(_names(images)):
        parts = name.split("/")
        if len(parts) == 3 and parts[0] in (LEARNT, *ASKED) and parts[2].lower().endswith((".jpg", ".jpeg", ".png")):
            found.append((name, parts[1], parts[0]))
    if not any(split == LEARNT for _, _, split in found):
        raise UserError(f"images.path {images.path} holds no pictures as {LEARNT}/<class>/<picture>; name a data set")
    names, classes, splits = zip(*found, strict=True)
    return Labelled(list(names), np.array(classes), np.array(splits))


def _names(images: ImagesSettings) -> list[str]:
    files.check(images)
    place = Path(str(images.path))
    if images.source == "zip":
        with zipfile.ZipFile(place) as opened:
            return opened.namelist()
    return [one.relative_to(place).as_posix() for one in place.rglob("*") if one.is_file()]


def _seen(data: Labelled, config: Config, images: ImagesSettings, folder: Path) -> Seen:
    """Features of all pictures: kept ones, or made now."""
    kept = folder / "features" / f"{backbone_key(config.backbone, images.size)}-{images.fit}-{len(data.files)}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as found:
            return Seen(found["features"], float(found["seconds"]))
    jpegs = _jpegs(data.files, images)
    look, batch = extractor(config.backbone, images.size, THREADS), config.image_features.batch_size
    # Loading and compiling is not a part of an epoch.
    look(pixels(tf.constant(jpegs[:batch], tf.string), images.size))
    started = time.perf_counter()
    parts = []
    for start in range(0, len(jpegs), batch):
        parts.append(look(pixels(tf.constant(jpegs[start : start + batch], tf.string), images.size)))
        if start // batch % 20 == 0:
            LOG.info("%d of %d pictures looked at", start, len(jpegs))
    seconds = (time.perf_counter() - started) / len(jpegs)
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part.npz")
    np.savez(part, features=np.concatenate(parts), seconds=seconds)
    part.replace(kept)
    return Seen(np.concatenate(parts), seconds)


def _jpegs(names: Sequence[str], images: ImagesSettings) -> list[bytes]:
    """All pictures as the images stage keeps them.

    Raises:
        UserError: one cannot be taken: a study leaves nothing out.
    """
    made = []
    with files.reading(images) as delivered:
        for name in names:
            try:
                made.append(jpeg(delivered(name), images))
            except NoPictureError as error:
                raise UserError(f"{name} in images.path {images.path} is no picture ({error}); take it out") from None
    return made


def _head(data: Labelled, seen: Seen, config: Config) -> tuple[NDArray[np.bool_], float]:
    """Which asked pictures the trained head labels rightly, and the seconds of an epoch of its training."""
    classes, label = np.unique(data.classes, return_inverse=True)
    learnt, asked = np.flatnonzero(data.splits == LEARNT), np.flatnonzero(data.splits != LEARNT)
    drawn = np.random.default_rng(config.train.seed).permutation(len(learnt)) % CHOOSING == 0
    rows = _rows(seen.features, label.astype(np.int32))
    chosen = {TRAIN: learnt[~drawn], VALIDATION: learnt[drawn]}
    feed = {split: {name: values[which] for name, values in rows.items()} for split, which in chosen.items()}
    architecture = _architecture(config, len(classes))
    trained = train(Work(config.train, architecture, lambda seed: MemoryFeed(feed, config.train.batch_size, seed)))
    answer = AnyBatch(lambda batch: trained.model(inputs_of(batch), training=False)[IMAGE_HEAD])
    said = answer({name: tf.constant(values[asked]) for name, values in rows.items()}).numpy().argmax(axis=1)
    seconds = [epoch.seconds for epoch in trained.members[0].epochs]
    return said == label[asked], float(np.median(seconds))


def _architecture(config: Config, classes: int) -> Architecture:
    assert config.images is not None
    size, backbone = config.images.size, config.backbone
    picture = Picture("features", size, backbone.name, backbone_key(backbone, size), feature_size(backbone.name))
    # One word and one gram that no row has: the texts are empty.
    return Architecture(3, 2, classes, 1, 1, 1, config.model, picture)


def _rows(features: NDArray[np.float32], label: NDArray[np.int32]) -> dict[str, NDArray[np.generic]]:
    count = len(label)
    empty = np.zeros((count, 1), np.int32)
    return {
        "name_ids": empty, "cat_ids": empty, "gram_ids": empty, "gram_weights": empty.astype(np.float32),
        "image_features": features, "label": label, "weight": np.ones(count, np.float32),
    }  # fmt: skip
