"""How long does it take to look for 100,000 brands in a million names?

python -m benchmarks.brands [--rows 1000000]

As jobs/brands.py does it, on two task slots: rows of `tokens` from Parquet to what their brand fields and names say.
The names are real ones, taken again and again until there are enough; the brands are the most frequent of their words,
so that nearly every name holds several. The clock runs from the first row to the counts; Spark and its Python workers
have been started. What stands in the brand field is the name's first word.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.accuracy_names import NAMES
from benchmarks.result import data_folder, finish
from benchmarks.tokenize_okt import read_names
from lib.categories.brand_names import BRANDS_SCHEMA
from lib.categories.brands import fill_rates
from lib.config import SparkSettings
from lib.session import open_session
from lib.text.normalize import normalize
from schemas.tokens import BRAND_FIELDS

FULL_ROWS, BRANDS, WARM_UP_ROWS = 1_000_000, 100_000, 1_000
CORES = 2
# Four for each task slot, so that both end together.
FILES = 4 * CORES
LIMIT = 60.0
BAR = f"under {LIMIT:g} s for {FULL_ROWS:,} names and {BRANDS:,} brands on {CORES} cores"


def main() -> None:
    """Make the rows and the dictionary, search, print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    rows = parser.parse_args().rows
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    data = data_folder() / NAMES
    cleaned = [normalize(name, 200) for name in read_names(data)]
    made = dictionary(cleaned)
    with tempfile.TemporaryDirectory() as folder:
        write_tokens(cleaned, rows, Path(folder))
        spark = open_session(SparkSettings(master=f"local[{CORES}]", driver_memory="2g"), "brands")
        tokens = spark.read.parquet(folder)
        fill_rates(tokens.limit(WARM_UP_ROWS), made)
        started = time.monotonic()
        found = fill_rates(tokens, made)["train"]
        seconds = time.monotonic() - started
        spark.stop()
    figures = {"seconds": round(seconds, 1), "names": found["rows"], "brands": made.num_rows, "found": found["found"]}
    passed = seconds < LIMIT and found["rows"] == rows and made.num_rows == BRANDS
    finish("brands", figures, BAR, passed if rows >= FULL_ROWS else None, rows, data=[data])


def write_tokens(names: list[str], rows: int, folder: Path) -> None:
    """So many rows of the columns that are looked at, in files of equal size."""
    struct = pa.struct([(name, pa.string()) for name in BRAND_FIELDS])
    absent = dict.fromkeys(BRAND_FIELDS)
    for number, first in enumerate(range(0, rows, -(-rows // FILES))):
        many = [names[row % len(names)] for row in range(first, min(first - (-rows // FILES), rows))]
        fields = [{**absent, "mall_brnd_nm": name.partition(" ")[0]} for name in many]
        columns = {"split": ["train"] * len(many), "name": many, "brand_fields": pa.array(fields, struct)}
        pq.write_table(pa.table(columns), folder / f"{number}.parquet")


def dictionary(names: list[str]) -> pa.Table:
    """The most frequent words of the names as brands that names are searched for."""
    counts = Counter(word for name in names for word in set(name.split()) if len(word) > 1)
    nothing = dict.fromkeys(("rows", "malls", "found", "agreed"), 0)
    rows = [{"form": word, "brand": word, "searched": True, **nothing} for word, _ in counts.most_common(BRANDS)]
    return pa.Table.from_pylist(rows, schema=BRANDS_SCHEMA)


if __name__ == "__main__":
    main()
