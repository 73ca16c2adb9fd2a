"""Does scoring a month, from `tokens` to committed `predictions`, keep up with bare processes that only predict?

python -m benchmarks.score                 1,000,000 products, 4,800 categories
python -m benchmarks.score --rows 50000    a trial

Both sides have the same two cores. Ours is jobs/score.py as it is, on two task slots. The peer is two processes of one
TensorFlow thread each, on one half of the rows each: one process of two threads would map ids on one core while the
other waits. It reads the same columns from Parquet, maps them to ids by the same functions and calls the model's
`predict` with the same batch; nothing is kept of what that returns. A second peer predicts with the answering head
alone, as ours does: the first one's other heads are work that ours spares.

Interpreters, Spark and TensorFlow are started, and the model is loaded and traced, before any clock runs. The model's
weights are those it starts from: what they are does not change how long an answer takes. Its vocabulary is that of the
simulated market's names, filled up to a catalogue's size.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from benchmarks.result import ROOT, finish
from benchmarks.workers import say
from lib import artefact as artefacts
from lib import config as configuration
from lib import tables
from lib.artefact import ArtefactWriter
from lib.config import Config, MarketSettings, ModelSettings, ScoreSettings, SparkSettings, Storage, TextSettings
from lib.marketplace.names import Names
from lib.marketplace.offers import market_of, settings_text
from lib.scoring.batch import TOKEN_COLUMNS
from lib.session import open_session
from lib.text.grams import GRAMS_SCHEMA, grams
from lib.text.normalize import normalize
from lib.text.tokenizers import TokenizerSettings
from lib.text.vocabulary import write_words
from schemas.tokens import BRAND_FIELDS, TOKENS

FULL_ROWS = 1_000_000
CORES = 2
MONTH, WARM_UP_MONTH = "2026-01", "2026-02"
# Enough for both Python workers, and both peers, to have loaded the model.
WARM_UP_ROWS = 4_000
BATCH, RECORDS = 1024, 10_240
CLASSES, WORDS, GRAMS = 4_800, 20_000, 400_000
# The second peer's rate takes no more of the rows to be known.
LONE_PART = 5
# Names that the vocabulary is made from.
SEEN = 20_000
TEXT = TextSettings(tokenizer="whitespace")
KEY = TokenizerSettings.of(TEXT).key
BRANDLESS = pa.struct([(name, pa.string()) for name in BRAND_FIELDS])
LENGTHS = {"name_length": 30, "category_length": 15, "gram_length": 128}
COLUMNS = list(TOKEN_COLUMNS)
LIMIT = 0.8
BAR = "ratio >= 0.8 of the rows/s of two bare processes that map ids and call model.predict"


def main() -> None:
    """Make the month, measure both sides one after the other, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    parser.add_argument(
        "--peer", nargs=4, metavar=("MODEL", "FILE", "HEADS", "ROWS"), help="be one of the bare processes"
    )
    given = parser.parse_args()
    if given.peer:
        model, file, heads, rows = given.peer
        predict_bare(model, file, heads, int(rows))
        return
    # For this process and all that it starts, its Java and Python workers among them.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="score-") as name:
        folder = Path(name)
        model = make_model(folder)
        own, own_start = measure_ours(folder, model, given.rows)
        bare, bare_start = measure_peers(folder, model, given.rows, "all")
        lone, _ = measure_peers(folder, model, given.rows // LONE_PART, "one")
    figures = {
        "ours": round(own), "peer": round(bare), "ratio": round(own / bare, 3),
        "peer_one_head": round(lone), "ratio_one_head": round(own / lone, 3),
        "ours_start_seconds": round(own_start, 1), "peer_start_seconds": round(bare_start, 1),
        "batch": BATCH, "classes": CLASSES, "grams": GRAMS,
    }  # fmt: skip
    finish("score", figures, BAR, figures["ratio"] >= LIMIT if given.rows >= FULL_ROWS else None, given.rows)


def measure_ours(folder: Path, model: Path, rows: int) -> tuple[float, float]:
    """Rows a second of the score job, and the seconds of its start: Spark's, and a first small month's."""
    from jobs import score

    started = time.monotonic()
    storage = Storage(**{name: str(folder / name) for name in ("warehouse", "state", "reports")})
    settings = ScoreSettings(model=str(model), batch_size=BATCH, staging=str(folder / "staging"))
    config = Config(storage=storage, score=settings, spark=SparkSettings(master=f"local[{CORES}]", driver_memory="2g"))
    spark = open_session(config.spark, "benchmark score")
    write_tokens(spark, config, WARM_UP_MONTH, WARM_UP_ROWS)
    warmed = time.monotonic()
    write_tokens(spark, config, MONTH, rows)
    export(spark, config, folder)
    made = time.monotonic() - warmed
    score.run(spark, config, WARM_UP_MONTH)
    before = time.monotonic()
    done = score.run(spark, config, MONTH)
    seconds = time.monotonic() - before
    assert done.exits == {"predictions": rows}, done.exits
    spark.stop()
    return rows / seconds, before - started - made


def measure_peers(folder: Path, model: Path, rows: int, heads: str) -> tuple[float, float]:
    """Rows a second of the bare processes together, and the seconds of their start."""
    halves, most = sorted((folder / "halves").iterdir()), str(rows // CORES)
    with ExitStack() as stack:
        peers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.score", "--peer", str(model), str(half), heads, most],
                    cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                )
            )
            for half in halves
        ]  # fmt: skip
        start = max(_heard(peer)["start_seconds"] for peer in peers)
        before = time.monotonic()
        for peer in peers:
            assert peer.stdin is not None
            peer.stdin.write("go\n")
            peer.stdin.flush()
        predicted = sum(_heard(peer)["rows"] for peer in peers)
        seconds = time.monotonic() - before
    assert predicted >= rows // CORES * CORES, (predicted, rows)
    return predicted / seconds, start


def _heard(peer: "subprocess.Popen[str]") -> dict[str, Any]:
    assert peer.stdout is not None
    return dict(json.loads(peer.stdout.readline()))


def predict_bare(model: str, file: str, heads: str, rows: int) -> None:
    """One of the bare processes: the file's columns to ids, and those to `predict`, until so many rows are done.

    Args:
        heads: 'all', or 'one' for the answering head alone.
    """
    started = time.monotonic()
    import keras
    import tensorflow as tf

    from lib.model.architecture import MAIN_HEAD
    from lib.scoring.predictor import Texts, shared_predictor

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    predictor = shared_predictor(model)
    network = predictor.saved.model
    if heads == "one":
        network = keras.Model(network.inputs, network.output[MAIN_HEAD])

    def predict(batch: pa.RecordBatch) -> int:
        names, *lists = (batch.column(name) for name in COLUMNS)
        network.predict(predictor.ids(Texts(names.to_pylist(), *lists)), batch_size=BATCH, verbose=0)
        return int(batch.num_rows)

    predict(next(_batches(file)).slice(0, BATCH))
    say({"start_seconds": time.monotonic() - started})
    sys.stdin.readline()
    done = 0
    for batch in _batches(file):
        done += predict(batch)
        if done >= rows and heads == "one":
            break
    say({"rows": done})


def _batches(file: str) -> Iterator[pa.RecordBatch]:
    yield from pq.ParquetFile(file).iter_batches(RECORDS, columns=COLUMNS, use_threads=False)


def make_model(folder: Path) -> Path:
    """A model of a catalogue's size as `train` leaves it, with the weights it starts from."""
    import keras

    from lib.model import saved
    from lib.model.architecture import Architecture
    from lib.model.build import build

    named = [normalize(name, TEXT.max_name_length) for name in _market_names(0, SEEN)[0]]
    words = _filled(Counter(word for name in named for word in name.split()), WORDS)
    known = _filled(Counter(gram for name in named for gram in grams(name)), GRAMS)
    sizes = {"words": len(words) + 2, "grams": len(known) + 1, "classes": CLASSES}
    keras.utils.set_random_seed(1)
    architecture = Architecture(**sizes, **LENGTHS, settings=ModelSettings(margin=False, wide_size=128))
    network = build(architecture)
    labels = [
        {"label": n, "label_id": n, "cat_id": str(50_000_000 + n), "path": [f"{n % 12}", f"{n % 480}", f"{n}"]}
        for n in range(CLASSES)
    ]

    def write(writer: ArtefactWriter) -> None:
        write_words(writer.file(saved.WORDS), words, [2] * len(words))
        columns = {"token": known, "documents": [2] * len(known), "idf": [1.0] * len(known)}
        pq.write_table(pa.table(columns, schema=GRAMS_SCHEMA), writer.file(saved.GRAMS))
        weights = writer.folder / f"weights-{writer.run}.weights.h5"
        writer.adopt(saved.WEIGHTS, weights)
        network.save_weights(weights)
        writer.file(saved.LABEL_MAP).write_text(json.dumps(labels), encoding="utf-8")
        tokenizer = {**TEXT.model_dump(mode="json"), "key": KEY}
        described = saved.model_json(architecture, 1.0, tokenizer, {})
        writer.file(saved.MODEL).write_text(described, encoding="utf-8")

    return artefacts.make(str(folder / "warehouse"), saved.KIND, MONTH, "benchmark", write).folder


def _filled(counted: "Counter[str]", size: int) -> list[str]:
    """The most frequent, and made-up ones that no name has."""
    real = [token for token, _ in counted.most_common(size)]
    return real + [f"\ue000{number}" for number in range(size - len(real))]


def write_tokens(spark: SparkSession, config: Config, month: str, rows: int) -> None:
    """Products of the simulated market as `tokens`."""

    def tokens(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            slots = batch.column(0).to_numpy()
            names, categories = _market_names(int(slots[0]), len(slots))
            made = [normalize(name, TEXT.max_name_length) for name in names]
            columns = [
                pa.array([f"mall:{slot}" for slot in slots]),
                pa.array(made),
                pa.array([name.split() for name in made], pa.list_(pa.string())),
                pa.array([category.split() for category in categories], pa.list_(pa.string())),
                pa.array([dict.fromkeys(BRAND_FIELDS)] * len(slots), BRANDLESS),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=["product_id", *COLUMNS])

    columns = [TOKENS.struct[name] for name in ("product_id", *COLUMNS)]
    made = spark.range(rows).mapInArrow(tokens, StructType(columns))
    constants = {
        "month": F.lit(month), "batch": F.lit(f"{month}-01"), "split": F.lit("test"), "tokenizer_key": F.lit(KEY),
        "cat_id": F.lit(None).cast("string"),
    }  # fmt: skip
    where = {"month": month, "batch": f"{month}-01"}
    tables.write(made.withColumns(constants), config.storage.warehouse, TOKENS, where)


def export(spark: SparkSession, config: Config, folder: Path) -> None:
    """The month's token columns as one plain Parquet file a peer."""
    rows = tables.read(spark, config.storage.warehouse, TOKENS, month=MONTH)
    half = F.pmod(F.xxhash64("product_id"), F.lit(CORES))
    (folder / "halves").mkdir()
    for number in range(CORES):
        rows.where(half == number).select(*COLUMNS).coalesce(1).write.parquet(str(folder / f"half-{number}"))
        part = next((folder / f"half-{number}").glob("*.parquet"))
        part.rename(folder / "halves" / f"{number}.parquet")


def _market_names(first: int, count: int) -> tuple[list[str], list[str]]:
    """Names and mall categories of some slots of the simulated market."""
    loaded = configuration.load(ROOT / "conf" / "local.yaml").market
    assert isinstance(loaded, MarketSettings)
    market = market_of(settings_text(loaded.model_copy(update={"offers_per_month": max(FULL_ROWS, first + count)})))
    listings = market.listings(MONTH, np.arange(first, first + count))
    levels = market.malls.categories(listings.mall, listings.leaf, listings.slot, listings.generation)
    return Names(market, MONTH, listings).titles(), [
        " ".join(filter(None, words)) for words in zip(*levels, strict=True)
    ]


if __name__ == "__main__":
    main()
