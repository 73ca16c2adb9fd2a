"""Does taking a feed in, with every check and every record accounted for, stay near a bare copy of the same file?

python -m benchmarks.ingest            1,000,000 EP rows, 1 % bad and 1 % duplicate, against Spark CSV -> Delta
python -m benchmarks.ingest --rows 50000   a trial
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from benchmarks.result import finish
from jobs import ingest
from lib.config import Config, IngestSettings, Source, SparkSettings, Storage
from lib.session import open_session

ROWS = 1_000_000
# Java compiles what runs often; after two rounds a round takes no longer than the next.
WARM_UPS, REPEATS = 2, 5
SEED = 20260101
MONTH = "2026-01"
BAR = "ratio >= 0.35 (aim 0.5)"
LIMIT = 0.35
# One row in a hundred is bad, another one repeats the id of the row before it.
BAD_PLACE, REPEATED_PLACE, EVERY = 17, 53, 100
HEADER = (
    "id\ttitle\tprice_pc\tlink\timage_link\tcategory_name1\tcategory_name2\tcategory_name3\tcategory_name4\t"
    "naver_category\tbrand\tmaker\n"
)


def write_feed(file: Path, rows: int) -> None:
    """An EP feed of that many rows; made-up Korean words, the same at every run."""
    random = np.random.default_rng(SEED)
    words = ["".join(chr(0xAC00 + int(c)) for c in random.integers(0, 11172, 3)) for _ in range(5000)]
    with file.open("w", encoding="utf-8") as stream:
        stream.write(HEADER)
        for number, picks in enumerate(random.integers(0, len(words), (rows, 12))):
            stream.write(_row(number, [words[pick] for pick in picks]))


def _row(number: int, words: list[str]) -> str:
    own_id = number - 1 if number % EVERY == REPEATED_PLACE else number
    price = "free" if number % EVERY == BAD_PLACE else str(1000 + number % 90_000)
    link = f"https://shop.example/product/{number}\thttps://img.example/{number % 100}/{number}.jpg"
    category = 50_000_000 + number % 4800
    return "\t".join([str(own_id), " ".join(words[:6]), price, link, *words[6:10], str(category), *words[10:]]) + "\n"


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.monotonic()
    action()
    return time.monotonic() - started


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=ROWS)
    rows = arguments.parse_args().rows
    spark = open_session(SparkSettings(), "benchmark ingest")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        write_feed(folder / "in" / "mall.tsv", rows)
        measure(spark, folder, rows)


def measure(spark: SparkSession, folder: Path, rows: int) -> None:
    """Time both sides in turn, after rounds that are not counted."""
    source = Source(name="mall", kind="ep", path=f"{folder}/in/*.tsv")
    config = Config(
        storage=Storage(warehouse=f"{folder}/warehouse", state=f"{folder}/state", reports=f"{folder}/reports"),
        ingest=IngestSettings(sources=[source], staging=f"{folder}/staging"),
    )

    def ours() -> None:
        shutil.rmtree(folder / "warehouse", ignore_errors=True)
        exits = ingest.run(spark, config, MONTH, force=True).exits
        assert sum(exits.values()) == rows, f"{exits} of {rows} rows"

    def peer() -> None:
        shutil.rmtree(folder / "peer", ignore_errors=True)
        feed = spark.read.csv(f"{folder}/in/mall.tsv", sep="\t", header=True)
        feed.write.format("delta").save(f"{folder}/peer")

    for _ in range(WARM_UPS):
        ours()
        peer()
    timings = [(seconds(ours), seconds(peer)) for _ in range(REPEATS)]
    own = statistics.median(pair[0] for pair in timings)
    bare = statistics.median(pair[1] for pair in timings)
    figures = {"ours": round(rows / own), "peer": round(rows / bare), "ratio": round(bare / own, 4)}
    finish("ingest", figures, BAR, figures["ratio"] >= LIMIT if rows >= ROWS else None, rows, [SEED])


if __name__ == "__main__":
    main()
