"""What do Spark, Parquet and Petastorm cost a picture, beside bare loops that decode, look at and feed the same ones?

python -m benchmarks.images [--rows 3781]

resize: the images stage's decoding on one Spark core, against a loop over the same bytes in this process with the very
calls of Pillow that it makes (reduced decoding, RGB, bicubic to 224 with reducing gap, JPEG of the same quality).
features: the image_features stage's looking on all cores, one TensorFlow thread each, against this process with as many
threads; EfficientNet-Lite0 on 224.
feed: raw pictures out of shards, decoded in training batches, against tf.data that decodes the same JPEGs from memory
on as many threads; the model left out of both.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import tensorflow as tf
from PIL import Image

from benchmarks import synthetic
from benchmarks.result import data_folder, finish
from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.config import (
    BackboneSettings,
    FeedSettings,
    ImageFeaturesSettings,
    ImagesSettings,
    ModelSettings,
    SparkSettings,
)
from lib.images.backbones import Extractor, extractor
from lib.images.decode import GAP, jpeg
from lib.images.delivery import from_files
from lib.images.features import SEEN, Looking, looking_at
from lib.images.month_images import decoded
from lib.images.pixels import pixels
from lib.images.portions import small_portions
from lib.model.architecture import Architecture
from lib.session import open_session
from lib.shards.encode import write_table
from lib.shards.row import row_schema
from lib.training.feed import TRAIN
from lib.training.shards_feed import ShardsFeed

DATA = Path("clothing_images") / "images.zip"
FULL_ROWS, REPEATS, LOOKED_AT = 3781, 3, 768
SIZE, BATCH, FILES = 224, 64, 4
LEAST = {"resize": 0.8, "features": 0.85, "feed": 0.8}
BAR = ", ".join(f"{name} >= {least:g}" for name, least in LEAST.items())
CORES = os.cpu_count() or 1
Rates = dict[str, float]


def main() -> None:
    """All three, then their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    rows, place = parser.parse_args().rows, data_folder() / DATA
    settings = ImagesSettings(source="zip", path=str(place), size=SIZE, file="{id}")
    with zipfile.ZipFile(place) as packed:
        names = sorted(name for name in packed.namelist() if name.endswith(".jpg"))[:rows]
        jpegs = [jpeg(packed.read(name), settings) for name in names]
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, way in (("resize", lambda: resize(settings, names)), ("features", lambda: features(jpegs)),
                          ("feed", lambda: feed(jpegs, Path(folder)))):  # fmt: skip
            rates = way()
            figures |= {f"{name}_ours": rates["ours"], f"{name}_peer": rates["peer"]}
            figures[name] = round(rates["ours"] / rates["peer"], 3)
            print(f"{name}: {rates['ours']:.1f} and {rates['peer']:.1f} pictures a second", flush=True)
    passed = all(figures[name] >= least for name, least in LEAST.items()) if rows >= FULL_ROWS else None
    finish("images", {name: round(value, 3) for name, value in figures.items()}, BAR, passed, rows, data=[place])


def measured(pictures: int, ways: dict[str, Callable[[], int]]) -> Rates:
    """Median pictures a second of each, one after another in every round; a first round warms up and is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            assert way() == pictures, name
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    return {name: pictures / statistics.median(taken) for name, taken in seconds.items()}


def resize(settings: ImagesSettings, names: Sequence[str]) -> Rates:
    """The images stage's decoding on one core, and the bare loop."""
    spark = open_session(SparkSettings(master="local[1]"), "images")
    with small_portions(spark):
        asked = spark.createDataFrame([(name,) for name in names], "asked string")
        delivered = from_files(settings).deliver(asked).localCheckpoint()

        def ours() -> int:
            return decoded(delivered, settings, len(names)).where("length(image) > 0").count()

        rates = measured(len(names), {"ours": ours, "peer": lambda: bare_resize(settings, names)})
    spark.stop()
    return rates


def bare_resize(settings: ImagesSettings, names: Sequence[str]) -> int:
    """A loop of the very calls of Pillow that lib/images/decode.py makes of such pictures."""
    done = 0
    with zipfile.ZipFile(str(settings.path)) as packed:
        for name in names:
            picture = Image.open(io.BytesIO(packed.read(name)))
            picture.draft(None, (GAP * SIZE, GAP * SIZE))
            picture = picture.convert("RGB")
            width, height = picture.size
            side = min(width, height)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
            small = picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box, reducing_gap=GAP)
            stream = io.BytesIO()
            small.save(stream, "JPEG", quality=settings.quality)
            done += bool(stream.getvalue())
    return done


def features(jpegs: Sequence[bytes]) -> Rates:
    """The image_features stage's looking on all cores, and a loop in this process with as many threads."""
    shown, backbone, batch = list(jpegs[:LOOKED_AT]), BackboneSettings(), ImageFeaturesSettings().batch_size
    look = extractor(backbone, SIZE, CORES)
    spark = open_session(SparkSettings(master=f"local[{CORES}]"), "images")
    looking = Looking(backbone, SIZE, ImageFeaturesSettings())
    with small_portions(spark):
        rows = [(str(number), bytearray(one)) for number, one in enumerate(shown)]
        staged = spark.createDataFrame(rows, "hash string, image binary").repartition(CORES, "hash").localCheckpoint()

        def ours() -> int:
            return staged.mapInArrow(looking_at(looking), SEEN).where("size(features) > 0").count()

        rates = measured(len(shown), {"ours": ours, "peer": lambda: bare_look(look, shown, batch)})
    spark.stop()
    return rates


def bare_look(look: Extractor, jpegs: Sequence[bytes], batch: int) -> int:
    """Decode and look, batch by batch."""
    pieces = [jpegs[start : start + batch] for start in range(0, len(jpegs), batch)]
    return sum(len(look(pixels(tf.constant(list(piece), tf.string), SIZE))) for piece in pieces)


def feed(jpegs: Sequence[bytes], folder: Path) -> Rates:
    """Raw pictures as the training gets them, and tf.data that decodes them from memory."""
    made = shards(jpegs, folder)
    architecture = Architecture.of_shards(made.facts, ModelSettings(margin=False), BackboneSettings(weights="none"))
    reader = ShardsFeed(made, architecture, BATCH, 1, FeedSettings())
    threads = FeedSettings().threads

    def ours() -> int:
        return sum(int(batch["image"].shape[0]) for batch in reader.batches(TRAIN, 0))

    def peer() -> int:
        read = tf.data.Dataset.from_tensor_slices(list(jpegs))
        shown = read.map(lambda one: tf.io.decode_jpeg(one, channels=3), num_parallel_calls=threads)
        return sum(int(batch.shape[0]) for batch in shown.batch(BATCH).prefetch(FeedSettings().prefetch))

    return measured(len(jpegs), {"ours": ours, "peer": peer})


def shards(jpegs: Sequence[bytes], folder: Path) -> Artefact:
    """Rows as wide as real ones, with a picture each."""
    facts = {
        "words": synthetic.WORDS, "grams": synthetic.GRAM_IDS, "classes": 10, "name_length": synthetic.NAME_LENGTH,
        "category_length": synthetic.CATEGORY_LENGTH, "gram_length": 128,
        "picture": {"kind": "raw", "size": SIZE, "bytes": 0},
    }  # fmt: skip
    parts = [list(part) for part in np.array_split(np.arange(len(jpegs)), FILES)]

    def build(writer: ArtefactWriter) -> None:
        generator = np.random.default_rng(synthetic.SEED)
        for number, part in enumerate(parts):
            text = synthetic.rows(generator, int(part[0]), len(part), 128, synthetic.GRAM_IDS, 10)
            pictures = pa.array([jpegs[row] for row in part], pa.binary())
            table = pa.table([*text.columns, pictures], schema=row_schema(facts))
            write_table(table, writer.file(f"{TRAIN}/{number:05d}.parquet"), "lz4")
        sizes = [len(part) for part in parts]
        splits = {TRAIN: {"rows": sum(sizes), "files": len(sizes), "rows_per_file": sizes}}
        writer.facts = {**facts, "splits": splits}

    return artefacts.make(str(folder), "shards", "2026-01", "benchmark", build)


if __name__ == "__main__":
    main()
