"""Delivers a month: every mall's EP feed (unless the offers are only on the site), the taxonomy, the true labels.

Spark makes the offers in ranges of slots, each range into one plain part file a mall; then each mall's parts are
joined in order into the feed as the mall delivers it. So the feeds are byte for byte the same however the work was cut,
and neither step holds more than one range or one block in memory. `deliveries` must be a folder that the driver and
all workers see.
"""

import contextlib
import errno
import gzip
import hashlib
import json
import lzma
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib.config import Mall, MarketSettings
from lib.errors import UserError
from lib.marketplace.chance import Integers
from lib.marketplace.ep import COLUMNS, columns
from lib.marketplace.names import Names
from lib.marketplace.offers import Market, market_of, settings_text

TAXONOMY_FILE = "taxonomy.csv"
SUFFIX = {"none": ".tsv", "gz": ".tsv.gz", "xz": ".tsv.xz"}
# About 20 MB of Python strings a range: small beside a worker, large enough that opening files does not matter.
RANGE_ROWS = 20_000
COPY_BYTES = 1 << 20
# Two runs that end at once collide once or twice; more means that something keeps delivering.
PLACING_ATTEMPTS = 20
# A simulated delivery is compressed to be read as one, not to be small.
GZ_LEVEL, XZ_PRESET = 4, 1
_COUNTS = "mall_id string, rows long, branded long, wrong long"
_COUNTED = ["mall_id", "rows", "branded", "wrong"]


@dataclass(frozen=True)
class Delivery:
    """What a month's delivery holds.

    Attributes:
        folder: where it lies.
        rows: mall id -> offers.
        branded, wrong: share of offers with a brand field, and with a wrong label.
        listing: hash of the file names and sizes.
    """

    folder: Path
    rows: dict[str, int]
    branded: float
    wrong: float
    listing: str

    def facts(self, market: Market) -> dict[str, Any]:
        """Figures for the manifest and the report."""
        return {
            "simulated": True,
            "folder": str(self.folder),
            "offers": sum(self.rows.values()),
            "offers_by_mall": self.rows,
            "leaves": len(market.taxonomy),
            "brand_filled": round(self.branded, 4),
            "label_noise": round(self.wrong, 4),
            "listing": self.listing,
        }


def folder(settings: MarketSettings, month: str) -> Path:
    """Where a month's delivery lies."""
    return Path(settings.deliveries) / month


def file_name(mall: Mall) -> str:
    """The mall's feed file."""
    return mall.id + SUFFIX[mall.compression]


def deliver(spark: SparkSession, settings: MarketSettings, month: str) -> Delivery:
    """Write the month's delivery whole, in place of an earlier one.

    Raises:
        UserError: the month lies before the market's first.
    """
    text = settings_text(settings)
    market = market_of(text)
    market.month_number(month)
    target = folder(settings, month)
    work = target.parent / f".{month}-{uuid.uuid4().hex[:8]}"
    (work / "parts").mkdir(parents=True)
    try:
        rows, branded, wrong = _write_parts(spark, text, month, work / "parts")
        if settings.feeds:
            _join_parts(spark, text, work)
        market.taxonomy.write(work / TAXONOMY_FILE)
        shutil.rmtree(work / "parts")
        _put_in_place(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    total = max(1, sum(rows.values()))
    return Delivery(target, rows, branded / total, wrong / total, listing(target))


def listing(place: Path) -> str:
    """Hash of the names and sizes of the folder's files; '' when it is not there."""
    if not place.is_dir():
        return ""
    files = sorted((file.name, file.stat().st_size) for file in place.iterdir())
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:32]


def truth(spark: SparkSession, settings: MarketSettings, month: str) -> DataFrame:
    """True labels of the month's offers: month, product_id, cat_id."""
    text = settings_text(settings)
    market_of(text).month_number(month)

    def label(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        market = market_of(text)
        for batch in batches:
            listings = market.listings(month, batch.column(0).to_numpy())
            columns = [market.product_ids(listings), market.taxonomy.cat_ids[listings.leaf]]
            yield pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], _TRUTH)

    made = spark.range(settings.offers_per_month).mapInArrow(label, "product_id string, cat_id string")
    return made.select(F.lit(month).alias("month"), "product_id", "cat_id")


def offers(market: Market, month: str, slots: Integers) -> pd.DataFrame:
    """The month's offers in the given slots: the feed's columns as text; beside them mall (index), wrong (label)."""
    at = market.listings(month, slots)
    return pd.DataFrame(columns(market, month, at) | {"mall": at.mall, "wrong": at.leaf != at.given})


_TRUTH = ["product_id", "cat_id"]


def _write_parts(spark: SparkSession, text: str, month: str, parts: Path) -> tuple[dict[str, int], int, int]:
    """One part file a mall and range of slots, where malls deliver feeds.

    Returns:
        Offers by mall, how many have a brand, how many a wrong label.
    """
    market = market_of(text)
    count_range = _write_range if market.settings.feeds else _count_range
    total = market.settings.offers_per_month
    rows = min(RANGE_ROWS, -(-total // spark.sparkContext.defaultParallelism))
    ranges = -(-total // rows)

    def write(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for number in (int(n) for batch in batches for n in batch["id"]):
            slots = np.arange(number * rows, min(total, (number + 1) * rows))
            yield count_range(market_of(text), month, slots, parts, number)

    counted = (
        spark.range(0, ranges, 1, numPartitions=ranges)
        .mapInPandas(write, _COUNTS)
        .groupBy("mall_id")
        .agg(F.sum("rows").alias("rows"), F.sum("branded").alias("branded"), F.sum("wrong").alias("wrong"))
        .collect()  # one row a mall
    )
    by_mall = {row["mall_id"]: int(row["rows"]) for row in sorted(counted, key=lambda row: str(row["mall_id"]))}
    return by_mall, sum(int(row["branded"]) for row in counted), sum(int(row["wrong"]) for row in counted)


def _write_range(market: Market, month: str, slots: Integers, parts: Path, number: int) -> pd.DataFrame:
    """Write one range's part files; each appears whole, so a task that is tried again does no harm."""
    made = offers(market, month, slots)
    counts = []
    for mall, rows in made.groupby("mall", sort=True):
        seller = market.malls.malls[int(str(mall))]
        lines = map("\t".join, zip(*(rows[column].tolist() for column in COLUMNS), strict=True))
        data = "".join(f"{line}\n" for line in lines).encode(seller.encoding)
        unfinished = parts / f"{seller.id}.{number}.{uuid.uuid4().hex}"
        unfinished.write_bytes(data)
        unfinished.replace(parts / f"{seller.id}.{number:08d}")
        counts.append((seller.id, len(rows), int((rows["brand"] != "").sum()), int(rows["wrong"].sum())))
    return pd.DataFrame(counts, columns=_COUNTED)


def _count_range(market: Market, month: str, slots: Integers, _parts: Path, _number: int) -> pd.DataFrame:
    """The same figures of a range that nobody delivers as a file."""
    at = market.listings(month, slots)
    branded = Names(market, month, at).brand_column() != ""
    made = pd.DataFrame({"mall_id": market.malls.ids[at.mall], "branded": branded, "wrong": at.leaf != at.given})
    counted = made.groupby("mall_id", sort=True).agg(
        rows=("wrong", "size"), branded=("branded", "sum"), wrong=("wrong", "sum")
    )
    return counted.reset_index()[_COUNTED]


def _join_parts(spark: SparkSession, text: str, work: Path) -> None:
    """For each mall, header and parts in order, as the mall compresses them."""
    malls = len(market_of(text).malls.malls)

    def join(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for mall in (market_of(text).malls.malls[int(n)] for batch in batches for n in batch["id"]):
            _join_mall(mall, work)
            yield pd.DataFrame({"mall_id": [mall.id]})

    tasks = min(malls, spark.sparkContext.defaultParallelism)
    joined = spark.range(0, malls, 1, numPartitions=tasks).mapInPandas(join, "mall_id string").count()
    if joined != malls:
        raise RuntimeError(f"{joined} of {malls} malls were delivered to {work}")


def _join_mall(mall: Mall, work: Path) -> None:
    target = work / file_name(mall)
    unfinished = work / "parts" / f"{target.name}.{uuid.uuid4().hex}"
    with unfinished.open("wb") as plain, _compressed(plain, mall.compression) as stream:
        stream.write(("\t".join(COLUMNS) + "\n").encode(mall.encoding))
        for part in sorted((work / "parts").glob(f"{mall.id}.????????")):
            with part.open("rb") as source:
                shutil.copyfileobj(source, stream, COPY_BYTES)
    unfinished.replace(target)


def _compressed(plain: BinaryIO, compression: str) -> Any:
    """A stream that compresses into `plain`; neither name nor time goes into the file, only the content."""
    if compression == "gz":
        return gzip.GzipFile(filename="", mode="wb", fileobj=plain, compresslevel=GZ_LEVEL, mtime=0)
    if compression == "xz":
        return lzma.LZMAFile(plain, mode="wb", preset=XZ_PRESET)
    return plain


def _put_in_place(work: Path, target: Path) -> None:
    """Rename the finished folder to its name; an earlier delivery goes only then.

    A folder cannot replace a full one in one step, so of runs that end at the same moment each moves away what the
    other has just put there, until its own stays or its tries are over.

    Raises:
        UserError: other runs keep delivering the same month.
    """
    for attempt in range(PLACING_ATTEMPTS):
        old = work.with_name(f"{work.name}-old-{attempt}")
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)
        try:
            work.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        finally:
            shutil.rmtree(old, ignore_errors=True)
    raise UserError(f"{target} is being delivered by other runs; let them end, then run this stage again")
