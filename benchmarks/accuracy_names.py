"""Does the text model label real Korean offer names at least as well as TF-IDF with a linear SVM?

python -m benchmarks.accuracy_names [--rows 201377] [--seeds 1 2] [--set text.tokenizer=whitespace]

Ours: the jobs with conf/naver_names.yaml in a fresh warehouse, from the delivered file to a trained model, once a
seed. Peer: character 1-4-gram TF-IDF and LinearSVC(C=0.5) on the raw names of the very same train + validation rows.
Both label the very same test rows. First everything is done once on the plain split by a hash of the name, where the
peer's figure is known: below .905 the data or the split is not what it should be and nothing is reported.
"""

import argparse
import lzma
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.result import ROOT, data_folder, finish
from jobs import ingest, normalize, shards, tokenize, train, vocabulary, word2vec
from lib import config, manifest, tables
from lib.artefact import Artefact
from lib.config import Config
from lib.evaluation.bootstrap import paired_difference
from lib.evaluation.peer import PeerAnswer, answer
from lib.feed.blocks import arrays
from lib.scoring.predictor import shared_predictor
from lib.session import open_session
from lib.sources.latest import latest_products
from schemas.products import PRODUCTS
from schemas.tokens import TOKENS

CONF = ROOT / "conf" / "naver_names.yaml"
NAMES = Path("naver_names") / "names.tsv.xz"
MONTH = "2019-04"
# Lines of the file, and its rows with rows_from_block_edge >= 30: a run over all of them is a full one.
FULL_ROWS = 201_377
FILE_LINES = 206_391
SEEDS = (1, 2)
PLAIN_PEER = 0.905
TRAIN_RATIO = 6.0
# Tenths of the plain split, which is this benchmark's own: train below, then validation, then test.
PLAIN_SALT, TENTHS, TRAIN_TENTHS = "plain", 10, 8
BATCH = 1024
BAR = (
    f"low >= 0 (95 % paired bootstrap of ours - peer over {len(SEEDS)} seeds) and train_ratio <= {TRAIN_RATIO:g}; "
    f"peer >= {PLAIN_PEER} on the plain split"
)


@dataclass(frozen=True)
class Rows:
    """What the peer learns from and is asked; `test` holds product_id -> cat_id in the order of `asked`."""

    names: list[str]
    cat_ids: list[str]
    asked: list[str]
    test: dict[str, str]


@dataclass(frozen=True)
class Ours:
    """One training of ours.

    Attributes:
        hits: [test rows], in the order of `Rows.test`.
        seconds: of the whole train stage: all fits, validation, temperature, writing.
    """

    hits: NDArray[np.bool_]
    seconds: float


def main() -> None:
    """Plain split first, then the split of the design; print accuracies, their difference and the cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="key=value, for trials")
    arguments = parser.parse_args()
    full = arguments.rows >= FULL_ROWS
    data = data_folder()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CATMATCH_DATA"] = str(data if full else thinned(data, Path(folder), arguments.rows))
        # Where the jobs keep everything: gone when the benchmark ends.
        settings = in_folder(config.load(CONF, arguments.overrides), Path(folder))
        spark = open_session(settings.spark, "accuracy_names")
        figures = measured(spark, settings, arguments.seeds, check_plain=full)
        spark.stop()
    passed = figures["low"] >= 0 and figures["train_ratio"] <= TRAIN_RATIO
    enough = full and not arguments.overrides and len(arguments.seeds) >= len(SEEDS)
    finish(
        "accuracy_names",
        figures,
        BAR,
        passed if enough else None,
        arguments.rows,
        seeds=arguments.seeds,
        data=[data / NAMES],
    )


def measured(spark: SparkSession, settings: Config, seeds: list[int], *, check_plain: bool) -> dict[str, Any]:
    """All figures; ends the benchmark where the peer on the plain split says that the set-up is wrong."""
    ingest.run(spark, settings, MONTH)
    tokenize.run(spark, settings, MONTH)
    tokens = tables.read_month(spark, settings.storage.warehouse, TOKENS, MONTH)
    of_design = tokens.select("product_id", "batch", "split").localCheckpoint()
    set_split(settings, tokens.withColumn("split", plain_split()))
    plain, plain_peer = compared(spark, settings, seeds[:1])
    if check_plain and plain_peer.mean() < PLAIN_PEER:
        print(
            f"error: the peer reaches {plain_peer.mean():.4f} on the plain split, not {PLAIN_PEER}",
            file=sys.stderr,
        )
        sys.exit(1)
    # Read anew: the rows that `tokens` refers to have just been replaced.
    tokens = tables.read_month(spark, settings.storage.warehouse, TOKENS, MONTH)
    set_split(settings, tokens.drop("split").join(of_design, ["product_id", "batch"], how="inner"))
    ours, peer = compared(spark, settings, seeds)
    hits = np.stack([one.hits for one in ours.runs])
    difference = paired_difference(hits, peer)
    return {
        "ours": round(float(hits.mean()), 5),
        "ours_by_seed": [round(float(one.mean()), 5) for one in hits],
        "peer": round(float(peer.mean()), 5),
        "ratio": round(float(hits.mean() / peer.mean()), 5),
        "difference": round(difference.value, 5),
        "low": round(difference.low, 5),
        "high": round(difference.high, 5),
        "train_ratio": round(max(one.seconds for one in ours.runs) / ours.peer_seconds, 3),
        "train_seconds": [round(one.seconds, 1) for one in ours.runs],
        "peer_seconds": round(ours.peer_seconds, 1),
        "test_rows": len(peer),
        "plain_ours": round(float(plain.runs[0].hits.mean()), 5),
        "plain_peer": round(float(plain_peer.mean()), 5),
    }


@dataclass(frozen=True)
class Runs:
    """Ours once a seed, and what the peer's training took beside it."""

    runs: list[Ours]
    peer_seconds: float


def compared(spark: SparkSession, settings: Config, seeds: list[int]) -> tuple[Runs, NDArray[np.bool_]]:
    """Ours for each seed and the peer on the split that `tokens` holds now; the peer's hits as the second value."""
    vocabulary.run(spark, settings, MONTH)
    if settings.shards.word_vocabulary == "word2vec" or settings.model.embedding == "word2vec":
        word2vec.run(spark, settings, MONTH)
    normalize.run(spark, settings, MONTH)
    shards.run(spark, settings, MONTH)
    made = manifest.artefact_of(settings.storage.warehouse, "shards", MONTH, "shards")
    rows = rows_of(spark, settings)
    check_same(rows, made)
    said: PeerAnswer = answer(rows.names, rows.cat_ids, rows.asked)
    truth = np.array(list(rows.test.values()))
    peer = said.predicted == truth
    print(f"peer {peer.mean():.5f} in {said.seconds:.0f} s", flush=True)
    runs = [ours(spark, settings, seed, made, rows) for seed in seeds]
    return Runs(runs, said.seconds), peer


def ours(spark: SparkSession, settings: Config, seed: int, made: Artefact, rows: Rows) -> Ours:
    """Train with the seed through the job and label the test rows."""
    seeded = settings.model_copy(update={"train": settings.train.model_copy(update={"seed": seed})})
    started = time.monotonic()
    train.run(spark, seeded, MONTH)
    seconds = time.monotonic() - started
    model = manifest.artefact_of(settings.storage.warehouse, "train", MONTH, "model")
    predicted = labelled(model, made)
    hits = np.array([predicted[product] == cat_id for product, cat_id in rows.test.items()])
    print(f"ours, seed {seed}: {hits.mean():.5f} in {seconds:.0f} s", flush=True)
    return Ours(hits, seconds)


def labelled(model: Artefact, made: Artefact) -> dict[str, str]:
    """product_id -> category that the model gives it, for the shards' test rows."""
    predictor = shared_predictor(str(model.folder))
    answers: dict[str, str] = {}
    for table in test_tables(made, [*predictor.columns, "product_id"]):
        for batch in table.to_batches(BATCH):
            block = pa.Table.from_batches([batch])
            inputs = predictor.of_rows(arrays(block.select(list(predictor.columns))))
            best = predictor.main_logits(inputs).argmax(axis=1)
            chosen = [predictor.cat_ids[label] for label in best]
            answers |= dict(zip(block["product_id"].to_pylist(), chosen, strict=True))
    return answers


def rows_of(spark: SparkSession, settings: Config) -> Rows:
    """The raw names by the split of `tokens`, ordered by product."""
    warehouse = settings.storage.warehouse
    products = latest_products(tables.read_month(spark, warehouse, PRODUCTS, MONTH))
    tokens = tables.read_month(spark, warehouse, TOKENS, MONTH).select("product_id", "split")
    joined = products.select("product_id", "prod_nm", "cat_id").join(tokens, "product_id", how="inner")
    frame = joined.where(F.col("cat_id").isNotNull()).orderBy("product_id").toPandas()
    test = frame["split"] == "test"
    learnt, asked = frame[~test], frame[test]
    return Rows(
        learnt["prod_nm"].tolist(),
        learnt["cat_id"].tolist(),
        asked["prod_nm"].tolist(),
        dict(zip(asked["product_id"], asked["cat_id"], strict=True)),
    )


def check_same(rows: Rows, made: Artefact) -> None:
    """Both sides must learn from as many rows and be asked the same ones."""
    sizes = {split: int(facts["rows"]) for split, facts in made.facts["splits"].items()}
    tested = {product for table in test_tables(made, ["product_id"]) for product in table["product_id"].to_pylist()}
    if sizes["train"] + sizes["validation"] != len(rows.names) or tested != set(rows.test):
        raise RuntimeError(
            f"ours and the peer do not see the same rows: shards {sizes}, peer {len(rows.names)} + {len(rows.test)}"
        )


def test_tables(made: Artefact, columns: list[str]) -> list[pa.Table]:
    """The test files of the shards, one table each."""
    names = sorted(name for name in made.files if name.startswith("test/"))
    return [pq.read_table(made.path(name), columns=columns) for name in names]


def plain_split() -> Any:
    """The split by a hash of the whole name: near copies of a test name may be among the train names."""
    tenth = F.pmod(F.xxhash64(F.lit(PLAIN_SALT), F.col("name")), F.lit(TENTHS))
    return F.when(tenth < TRAIN_TENTHS, "train").when(tenth == TRAIN_TENTHS, "validation").otherwise("test")


def set_split(settings: Config, tokens: DataFrame) -> None:
    """Store the month's tokens again with another split; the later stages then see other inputs."""
    held = tokens.localCheckpoint()
    for row in held.select("batch").distinct().collect():
        where = {"month": MONTH, "batch": str(row["batch"])}
        tables.write(held.where(F.col("batch") == row["batch"]), settings.storage.warehouse, TOKENS, where)


def in_folder(settings: Config, folder: Path) -> Config:
    """The same configuration with everything it writes under one folder."""
    storage = settings.storage.model_copy(
        update={name: str(folder / name) for name in ("warehouse", "state", "reports")}
    )
    taken = settings.ingest.model_copy(update={"staging": str(folder / "staging")}) if settings.ingest else None
    return settings.model_copy(update={"storage": storage, "ingest": taken})


def thinned(data: Path, folder: Path, rows: int) -> Path:
    """A data folder with about that many rows, taken at equal distances: every category stays."""
    step = max(1, FILE_LINES // max(1, rows))
    target = folder / "data" / NAMES
    target.parent.mkdir(parents=True)
    with (
        lzma.open(data / NAMES, "rt", encoding="utf-8") as source,
        lzma.open(target, "wt", encoding="utf-8") as kept,
    ):
        kept.write(source.readline())
        kept.writelines(line for number, line in enumerate(source) if number % step == 0)
    return target.parents[1]


if __name__ == "__main__":
    main()
