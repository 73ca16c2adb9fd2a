"""A month's deliveries -> `products` and `rejects`, every record in one of the two.

The records are passed over three times, each time as light as it can be, which is faster than to keep them in between:
once for lines per stretch and repeated ids, once for everything that may not become a product (bad rows, and all rows
of a repeated id; few, so they are kept in the staging folder), once to write the rest.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lib import tables
from lib.config import IngestSettings, Source, TaxonomySettings
from lib.errors import UserError
from lib.manifest import Outcome
from lib.sources import files
from lib.sources.columns import Columns, columns_of
from lib.sources.lines import TAB, by_header, read_lines
from lib.sources.offers import TRACE, offers
from lib.sources.positions import with_positions
from lib.sources.records import RAW_BYTES, convert
from lib.sources.staging import Delivery, Part, Staging
from schemas.products import PRODUCTS
from schemas.rejects import REJECTS

# Repeated ids fit in every worker's memory up to here; beyond, Spark may shuffle.
BROADCAST_IDS = 2_000_000
OFFER_FIELDS = [name for name in PRODUCTS.columns if name not in ("month", "batch")]


@dataclass
class Reading:
    """The staged deliveries of one batch.

    Attributes:
        offers: all records as `offers.offers` gives them.
        lines: part, block, block_bytes, row of everything that Spark cuts into lines itself; None if nothing is.
        parts: all parts; headers: how many of the files begin with a header that Spark reads as a line.
        converted: records of the files that were staged record by record.
    """

    offers: DataFrame
    lines: DataFrame | None
    parts: list[Part]
    headers: int
    files: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Group:
    """Files of one source that are read alike."""

    offers: DataFrame
    lines: DataFrame | None
    parts: list[Part]
    headers: int


def fingerprints(settings: IngestSettings, month: str) -> dict[str, str]:
    """Content of each source's files of the month (and of its taxonomy), for the skip key.

    Raises:
        UserError: a source has no file.
    """
    found = {}
    for source in settings.sources:
        found[source.name] = files.fingerprint(files.delivered(source, month))
        if source.taxonomy is not None:
            found[f"{source.name} taxonomy"] = files.fingerprint([_taxonomy_file(source.taxonomy, month)])
    return found


def ingest(spark: SparkSession, settings: IngestSettings, warehouse: str, month: str) -> Outcome:
    """Replace the month's batches in `products` and `rejects` by what the sources deliver.

    Raises:
        UserError: a file is missing, damaged or of another form than declared, the staging bound is passed, or no
            record becomes a product. Nothing stored is touched in these cases.
    """
    outcome = Outcome(rows_in=0, exits={"products": 0, "rejects": 0}, facts={"sources": {}})
    by_batch = sorted(settings.sources, key=lambda source: source.batch or f"{month}-01")
    for batch, sources in groupby(by_batch, key=lambda source: source.batch or f"{month}-01"):
        with Staging(settings.staging, settings.max_bytes) as staging:
            _ingest_batch(spark, settings, warehouse, month, batch, list(sources), staging, outcome)
    return outcome


def _ingest_batch(
    spark: SparkSession, settings: IngestSettings, warehouse: str, month: str, batch: str,
    sources: Sequence[Source], staging: Staging, outcome: Outcome,
) -> None:  # fmt: skip
    """Read, sort out and write one batch."""
    reading = read_deliveries(spark, settings, sources, month, staging)
    blocks = _blocks(reading, staging)
    repeated = _repeated(reading.offers, staging)
    kept = _suspects(reading.offers, repeated, staging)
    good = reading.offers.where("valid AND row >= 0")
    if repeated is not None:
        good = good.join(repeated, "product_id", how="left_anti")
    products = good.select(OFFER_FIELDS).unionByName(kept.where("size(reasons) = 0").select(OFFER_FIELDS))
    rejects = _rejects(spark, kept.where("size(reasons) > 0"), blocks, reading.parts, staging)
    records = _records(blocks, reading)
    rejected = rejects.count()
    _check_some_products(records, rejected, rejects, sources, month)
    labels = {"month": F.lit(month), "batch": F.lit(batch)}
    slice_ = {"month": month, "batch": batch}
    written = tables.write(products.withColumns(labels), warehouse, PRODUCTS, slice_)
    outcome.wrote(PRODUCTS, slice_, written)
    rejects_written = _write_rejects(spark, rejects.withColumns(labels), warehouse, sources, slice_, outcome)
    outcome.rows_in = (outcome.rows_in or 0) + records
    outcome.exits["products"] += written.rows
    outcome.exits["rejects"] += rejects_written
    outcome.facts["sources"].update(_facts(spark, warehouse, rejects, sources, slice_, reading.files))


# --- reading ---------------------------------------------------------------------------------------------------------


def read_deliveries(
    spark: SparkSession, settings: IngestSettings, sources: Sequence[Source], month: str, staging: Staging
) -> Reading:
    """Stage the sources' files and read them."""
    groups: list[_Group] = []
    counted: dict[str, int] = {}
    rank = 0
    for source in sources:
        deliveries = list(_deliveries(source, files.delivered(source, month), rank))
        rank += len(deliveries)
        counted[source.name] = len(deliveries)
        groups += _read_source(spark, settings, source, deliveries, month, staging)
    lines = [group.lines for group in groups if group.lines is not None]
    return Reading(
        offers=reduce(DataFrame.unionByName, [group.offers for group in groups]),
        lines=reduce(DataFrame.unionByName, lines) if lines else None,
        parts=[part for group in groups for part in group.parts],
        headers=sum(group.headers for group in groups),
        files=counted,
    )


def _deliveries(source: Source, found: Iterable[Path], first_rank: int) -> Iterator[Delivery]:
    named_by_column = source.kind == "api" or "mall_id" in source.columns or "mall_id" in source.constants
    for rank, file in enumerate(found, start=first_rank):
        mall = None if named_by_column else source.mall or file.name.partition(".")[0]
        known = source.malls.get(mall or "")
        if mall is not None and ":" in mall:
            raise UserError(
                f"{file}: mall id {mall!r} contains a colon, which separates it from the offer's id; rename it"
            )
        yield Delivery(rank, file, mall, (known.encoding if known else None) or source.encoding)


def _read_source(
    spark: SparkSession, settings: IngestSettings, source: Source, deliveries: Sequence[Delivery], month: str,
    staging: Staging,
) -> list[_Group]:  # fmt: skip
    """The source's files in groups that are read alike."""
    columns = columns_of(source)
    longest = settings.max_line_bytes
    with ThreadPoolExecutor(files.THREADS) as pool:
        if source.format == "tsv":
            staged = list(pool.map(lambda delivery: staging.lines(delivery, longest), deliveries))
        else:
            staged = list(
                pool.map(lambda delivery: [convert(staging, source, delivery, columns, longest)], deliveries)
            )
    if source.format != "tsv":
        return [
            _converted_group(
                spark, settings, source, columns, [part for parts in staged for part in parts], month
            )
        ]
    separator = source.separator or TAB
    groups = []
    for header, parts in by_header(staged, columns, separator, longest).items():
        records = read_lines(spark, parts, header, separator, longest)
        places = {name: place for place, name in enumerate(header.names)}
        found = offers(_with_malls(spark, records, source, parts), places, columns, source, settings)
        headers = len({part.delivery.rank for part in parts})
        groups.append(
            _Group(_with_taxonomy(spark, found, source, month), _stretches(records), parts, headers)
        )
    return groups


def _converted_group(
    spark: SparkSession,
    settings: IngestSettings,
    source: Source,
    columns: Columns,
    parts: list[Part],
    month: str,
) -> _Group:
    """Files that were staged record by record."""
    records = spark.read.parquet(*[str(part.path) for part in parts]).select(
        F.substring("_metadata.file_name", 2, 19).cast("long").alias("part"),
        F.lit(0).cast("long").alias("block"),
        F.col("position").alias("row"),
        "position", "raw", "problem", "cells",
    )  # fmt: skip
    places = {name: place for place, name in enumerate(columns.wanted)}
    found = offers(_with_malls(spark, records, source, parts), places, columns, source, settings)
    return _Group(_with_taxonomy(spark, found, source, month), None, parts, 0)


def _stretches(records: DataFrame) -> DataFrame:
    return records.select("part", "block", "block_bytes", "row")


def _with_malls(spark: SparkSession, records: DataFrame, source: Source, parts: Sequence[Part]) -> DataFrame:
    """Add mall and mall_name: of the file, where files are named after malls."""
    malls = {part.delivery.mall for part in parts}
    names = {mall: known.name for mall, known in source.malls.items()}
    if len(malls) == 1:
        mall = malls.pop()
        return records.withColumns({"mall": _text(mall), "mall_name": _text(names.get(mall or ""))})
    rows = [(part.number, part.delivery.mall, names.get(part.delivery.mall or "")) for part in parts]
    known = spark.createDataFrame(rows, "part long, mall string, mall_name string")
    return records.join(F.broadcast(known), "part", how="left")


def _text(value: str | None) -> Any:
    return F.lit(value).cast("string")


def _with_taxonomy(spark: SparkSession, found: DataFrame, source: Source, month: str) -> DataFrame:
    """Fill cat_id of API items by looking their path up; drop the path."""
    if source.taxonomy is None:
        return found.drop("path")
    rows = list(_leaves(_taxonomy_file(source.taxonomy, month), source.taxonomy))
    leaves = spark.createDataFrame(rows, "path string, leaf string").dropDuplicates(["path"])
    looked_up = found.join(F.broadcast(leaves), "path", how="left")
    return looked_up.withColumn("cat_id", F.col("leaf")).drop("path", "leaf")


def _taxonomy_file(settings: TaxonomySettings, month: str) -> Path:
    file = Path(settings.path.replace("{month}", month))
    if not file.is_file():
        raise UserError(f"ingest.sources taxonomy: there is no file {file}; correct its path")
    return file


def _leaves(file: Path, settings: TaxonomySettings) -> Iterator[tuple[str, str]]:
    """(path joined by tabs, cat_id) of every leaf."""
    text = b"".join(files.chunks(file)).decode("utf-8-sig", "replace")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t" if settings.format == "tsv" else ",")
    missing = [name for name in (settings.cat_id, *settings.levels) if name not in (rows.fieldnames or ())]
    if missing:
        raise UserError(f"{file} has no column {', '.join(missing)}; correct taxonomy of the ingest source")
    for row in rows:
        yield (
            "\t".join((row[level] or "").strip() for level in settings.levels if row[level]),
            row[settings.cat_id],
        )


# --- passing over the records ----------------------------------------------------------------------------------------


def _blocks(reading: Reading, staging: Staging) -> DataFrame | None:
    """First row and number of lines of each stretch of file that Spark reads at once."""
    if reading.lines is None:
        return None
    counted = reading.lines.groupBy("part", "block", "block_bytes").agg(
        F.min("row").alias("first_row"), F.count(F.lit(1)).alias("lines")
    )
    return _kept(counted, staging, "blocks")


def _records(blocks: DataFrame | None, reading: Reading) -> int:
    """How many records came in, counted without looking into them."""
    converted = [part for part in reading.parts if part.path.suffix == ".parquet"]
    spark = reading.offers.sparkSession
    count = spark.read.parquet(*[str(part.path) for part in converted]).count() if converted else 0
    if blocks is None:
        return count
    lines = blocks.agg(F.sum("lines")).collect()[0][0] or 0
    return int(lines) - reading.headers + count


def _repeated(found: DataFrame, staging: Staging) -> DataFrame | None:
    """Ids that more than one valid record has; None when there are none."""
    counted = found.where("valid AND row >= 0").groupBy("product_id").agg(F.count(F.lit(1)).alias("times"))
    repeated = _kept(counted.where("times > 1").select("product_id"), staging, "repeated")
    count = repeated.count()
    if count == 0:
        return None
    return F.broadcast(repeated) if count <= BROADCAST_IDS else repeated


def _suspects(found: DataFrame, repeated: DataFrame | None, staging: Staging) -> DataFrame:
    """Bad records, and all records of repeated ids, of which the first by file and position is good.

    Returns:
        As `offers`, with reasons empty for what is a product after all.
    """
    if repeated is None:
        suspects = found.where("NOT valid AND row >= 0").withColumn("times", F.lit(None).cast("boolean"))
    else:
        marked = repeated.withColumn("times", F.lit(True))
        suspects = found.join(marked, "product_id", how="left").where("(NOT valid OR times) AND row >= 0")
    short = suspects.withColumn("raw", F.substring("raw", 1, RAW_BYTES))
    kept = _kept(short, staging, "suspects")
    first = F.row_number().over(Window.partitionBy("product_id").orderBy("part", "block", "row"))
    doubled = kept.where("valid").withColumn("times", first)
    marked = doubled.withColumn(
        "reasons", F.when(F.col("times") > 1, F.array(F.lit("duplicate"))).otherwise(F.col("reasons"))
    )
    return kept.where("NOT valid").drop("times").unionByName(marked.drop("times"))


def _rejects(
    spark: SparkSession, bad: DataFrame, blocks: DataFrame | None, parts: Sequence[Part], staging: Staging
) -> DataFrame:
    """The columns of `rejects` but month and batch; header lines at their place are no records."""
    traced = bad.select(*TRACE, "reasons", "source")
    if blocks is not None:
        traced = with_positions(traced, blocks, str(staging.folder))
    rows = [
        (part.number, part.delivery.file.as_posix(), part.origin, part.path.suffix == ".txt")
        for part in parts
    ]
    origins = spark.createDataFrame(rows, "part long, file string, origin long, lines boolean")
    placed = traced.join(F.broadcast(origins), "part", how="inner").withColumn(
        "position", F.col("position") + F.col("origin")
    )
    header = F.col("lines") & (F.col("position") == 0)
    rejects = placed.where(~header).select("source", "file", "position", "reasons", "raw")
    return _kept(rejects, staging, "rejects")


def _kept(frame: DataFrame, staging: Staging, name: str) -> DataFrame:
    """The frame, written into the staging folder and read from there."""
    place = staging.place(name)
    frame.write.parquet(place)
    return frame.sparkSession.read.schema(frame.schema).parquet(place)


# --- writing ---------------------------------------------------------------------------------------------------------


def _check_some_products(
    records: int, rejected: int, rejects: DataFrame, sources: Sequence[Source], month: str
) -> None:
    """Refuse to replace a month's offers by nothing."""
    names = ", ".join(source.name for source in sources)
    if records == 0:
        raise UserError(
            f"the files of ingest source {names} hold no records for {month}; nothing was replaced, deliver them again"
        )
    if records == rejected:
        common = rejects.select(F.explode("reasons").alias("reason")).groupBy("reason").count()
        reason = common.orderBy(F.desc("count"), "reason").first()
        example = rejects.orderBy("file", "position").first()
        assert reason is not None
        assert example is not None
        raise UserError(
            f"none of the {records} records of ingest source {names} for {month} became a product, mostly for "
            f"{reason['reason']!r} (first in {example['file']} at {example['position']}); nothing was replaced, "
            "correct the source's columns and encoding"
        )


def _write_rejects(
    spark: SparkSession, rejects: DataFrame, warehouse: str, sources: Sequence[Source], slice_: dict[str, str],
    outcome: Outcome,
) -> int:  # fmt: skip
    """Replace the rejects of every source of the batch, and clear those of sources that deliver no more."""
    names = {source.name for source in sources}
    stored: set[str] = set()
    if tables.exists(spark, warehouse, REJECTS):
        old = tables.read(spark, warehouse, REJECTS, **slice_).select("source").distinct()
        stored = {row["source"] for row in old.collect()}
    bad = {row["source"] for row in rejects.select("source").distinct().collect()}
    count = 0
    for name in sorted(bad | (stored - names) | (stored & names)):
        where = {**slice_, "source": name}
        written = tables.write(rejects.where(F.col("source") == name), warehouse, REJECTS, where)
        outcome.wrote(REJECTS, where, written)
        count += written.rows
    return count


def _facts(
    spark: SparkSession, warehouse: str, rejects: DataFrame, sources: Sequence[Source], slice_: dict[str, str],
    counted_files: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    """Per source: files, products, how many without category, malls; rejects by reason."""
    facts: dict[str, Any] = {
        source.name: {
            "batch": slice_["batch"], "files": counted_files[source.name], "products": 0, "without_category": 0,
            "malls": 0, "rejects": {},
        }
        for source in sources
    }  # fmt: skip
    products = (
        tables.read(spark, warehouse, PRODUCTS, **slice_)
        .groupBy("source")
        .agg(
            F.count(F.lit(1)).alias("products"),
            F.count_if(F.col("cat_id").isNull()).alias("without_category"),
            F.approx_count_distinct("mall_id").alias("malls"),
        )
    )
    for row in products.collect():
        facts[row["source"]].update(
            products=row["products"], without_category=row["without_category"], malls=row["malls"]
        )
    reasons = (
        rejects.select("source", F.explode("reasons").alias("reason")).groupBy("source", "reason").count()
    )
    for row in reasons.orderBy("source", "reason").collect():
        facts[row["source"]]["rejects"][row["reason"]] = row["count"]
    return facts
