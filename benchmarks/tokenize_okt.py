"""Tokenizing through the lexicon against plain Okt and against a memo of eojeols in one process.

python -m benchmarks.tokenize_okt [--rows 5000]

All of it on one core. Ours is jobs/tokenize.py as it is, reading products and writing tokens; the peers only tokenize,
from memory to memory. JVMs are started, and Okt loaded, before any clock runs.
"""

import argparse
import gc
import lzma
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.result import data_folder, finish
from jobs import tokenize
from lib import tables
from lib.config import Config
from lib.session import open_session
from lib.text.normalize import eojeols, normalize
from lib.text.tokenizers import TokenizerSettings, load
from schemas.products import PRODUCTS
from schemas.tokens import TOKENS

FULL_ROWS = 200_000
MONTH, WARM_UP_MONTH = "2019-04", "2019-03"
WARM_UP_NAMES = 1_000
WARM_REPEATS = 3
MEMO_REPEATS = 1
BAR = "cold >= 3 x plain Okt, cold >= 0.7 x memo loop (memo), warm >= 20 x plain Okt, identical tokens"


def main() -> None:
    """Measure, compare every name's tokens, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="only so many names (a trial)")
    rows = parser.parse_args().rows
    # One core for this process and all that it starts: the two JVMs and Spark's Python worker.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    data = data_folder() / "naver_names" / "names.tsv.xz"
    names = read_names(data)[:rows]
    with tempfile.TemporaryDirectory(prefix="tokenize-okt-") as scratch:
        cold, warm, stored = measure_ours(names, Path(scratch))
    plain, expected = measure_plain(names)
    memo = measure_memo(names)
    identical = stored == expected
    figures = {
        "cold": plain / cold,
        "memo": memo / cold,
        "warm": plain / warm,
        "identical": identical,
        "plain_names_per_second": len(names) / plain,
        "memo_names_per_second": len(names) / memo,
        "cold_names_per_second": len(names) / cold,
        "warm_names_per_second": len(names) / warm,
        "names": len(names),
    }
    held = figures["cold"] >= 3 and figures["memo"] >= 0.7 and figures["warm"] >= 20 and identical
    full = len(names) >= FULL_ROWS
    finish("tokenize_okt", figures, BAR, held if full else None, len(names), data=[data])


def read_names(data: Path) -> list[str]:
    """All offer names of the file, in its order."""
    with lzma.open(data, "rt", encoding="utf-8", newline="\n") as stream:
        place = next(stream).rstrip("\n").split("\t").index("name")
        return [line.rstrip("\n").split("\t")[place] for line in stream]


def configuration(scratch: Path, warehouse: str) -> Config:
    """One core, and otherwise what conf/naver_names.yaml says of text."""
    record = {
        "storage": {
            "warehouse": f"{scratch}/{warehouse}",
            "state": f"{scratch}/state",
            "reports": f"{scratch}/reports",
        },
        "spark": {"master": "local[1]", "driver_memory": "3g", "shuffle_partitions": 4},
        "text": {"tokenizer": "okt"},
    }
    return Config.model_validate(record)


def measure_ours(names: Sequence[str], scratch: Path) -> tuple[float, float, list[list[str]]]:
    """Seconds of jobs/tokenize.py with an empty lexicon and with a full one, and the tokens it stored, in order."""
    config = configuration(scratch, "measured")
    spark = open_session(config.spark, "benchmark tokenize_okt")
    # A month of another warehouse: its words are not learned for the measured one.
    aside = configuration(scratch, "warm-up")
    deliver(spark, aside, WARM_UP_MONTH, [f"{name} 예열" for name in names[:WARM_UP_NAMES]])
    deliver(spark, config, MONTH, names)
    timed(lambda: tokenize.run(spark, aside, WARM_UP_MONTH, force=True))
    cold = timed(lambda: tokenize.run(spark, config, MONTH))
    warm = statistics.median(timed(lambda: tokenize.run(spark, config, MONTH, force=True)) for _ in range(WARM_REPEATS))
    stored = stored_tokens(tables.read(spark, config.storage.warehouse, TOKENS, month=MONTH))
    spark.stop()
    return cold, warm, stored


def measure_plain(names: Sequence[str]) -> tuple[float, list[list[str]]]:
    """Seconds of Okt on one name after the other, and its tokens."""
    okt, limit = load(settings()), limit_of()
    for name in names[:WARM_UP_NAMES]:
        okt.tokenize(normalize(name, limit))
    found: list[list[str]] = []
    seconds = timed(lambda: found.extend(okt.tokenize(normalize(name, limit)) for name in names))
    return seconds, found


def measure_memo(names: Sequence[str]) -> float:
    """Seconds of the same with each eojeol's tokens remembered in a dictionary that starts empty."""
    okt, limit = load(settings()), limit_of()

    def loop() -> None:
        memo: dict[str, list[str]] = {}
        found: list[list[str]] = []
        for name in names:
            tokens: list[str] = []
            for eojeol in eojeols(normalize(name, limit)):
                known = memo.get(eojeol)
                if known is None:
                    known = memo[eojeol] = okt.tokenize(eojeol)
                tokens += known
            found.append(tokens)

    return statistics.median(timed(loop) for _ in range(MEMO_REPEATS))


def deliver(spark: SparkSession, config: Config, month: str, names: Sequence[str]) -> None:
    """Store the names as one delivery of products."""
    frame = pd.DataFrame({"product_id": [f"m:{place}" for place in range(len(names))], "prod_nm": list(names)})
    where = {"month": month, "batch": f"{month}-01"}
    tables.write(_as_products(spark.createDataFrame(frame), where), config.storage.warehouse, PRODUCTS, where)


def _as_products(frame: DataFrame, where: dict[str, str]) -> DataFrame:
    known = {name: F.lit(value) for name, value in {**where, "mall_id": "m", "source": "benchmark"}.items()}
    absent = {
        column.name: F.lit(None).cast(column.dataType)
        for column in PRODUCTS.struct
        if column.name not in {*frame.columns, *known}
    }
    return frame.withColumns({**known, **absent})


def stored_tokens(tokens: DataFrame) -> list[list[str]]:
    """Each name's tokens in the order of the names."""
    number = F.substring_index("product_id", ":", -1).cast("int").alias("number")
    table = tokens.select(number, "name_tokens").orderBy("number").toArrow()
    return list(table.column("name_tokens").to_pylist())


def settings() -> TokenizerSettings:
    """The tokenizer of the job, for the peers."""
    return TokenizerSettings.of(configuration(Path(), "").text)


def limit_of() -> int:
    """The job's longest name, for the peers."""
    return configuration(Path(), "").text.max_name_length


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of the work."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
