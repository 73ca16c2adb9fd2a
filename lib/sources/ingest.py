"""A month's deliveries -> `products` and `rejects`, every record in one of the two."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from lib import manifest, tables
from lib.config import IngestSettings, Source
from lib.crawl import parsers
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Written
from lib.sources import files
from lib.sources.deliveries import taxonomy_file
from lib.sources.sorting import Sorted, sort_out
from lib.sources.staging import Staging
from schemas.frontier import FRONTIER
from schemas.pages import PAGES
from schemas.products import PRODUCTS
from schemas.rejects import REJECTS

_TABLES = {table.name: table for table in (PRODUCTS, REJECTS)}


def fingerprints(spark: SparkSession, warehouse: str, month: str, sources: Sequence[Source]) -> dict[str, str]:
    """Content of each of the sources' files or pages of the month (and of its taxonomy), for the skip key.

    Raises:
        UserError: a source has no file, or the month was not crawled.
    """
    found = {}
    for source in sources:
        if source.kind == "pages":
            found[source.name] = _pages_fingerprint(spark, warehouse, source, month)
        else:
            found[source.name] = files.fingerprint(files.delivered(source, month))
        if source.taxonomy is not None:
            found[f"{source.name} taxonomy"] = files.fingerprint([taxonomy_file(source.taxonomy, month)])
    return found


def _pages_fingerprint(spark: SparkSession, warehouse: str, source: Source, month: str) -> str:
    if tables.exists(spark, warehouse, FRONTIER) and not tables.read(spark, warehouse, FRONTIER, month=month).isEmpty():
        manifest.require(warehouse, "crawl", month)  # half a crawl would be taken for the whole month
    stored = (
        tables.fingerprint(spark, warehouse, PAGES, month=month) if tables.exists(spark, warehouse, PAGES) else None
    )
    if stored is None or stored.rows == 0:
        raise UserError(
            f"ingest source {source.name}: no page of {month} is stored; run jobs/crawl.py --month {month} first"
        )
    return f"{stored} parsers {parsers.REVISION}"


def ingest(
    spark: SparkSession, settings: IngestSettings, warehouse: str, month: str, sources: Sequence[Source],
    others: Outcome | None = None,
) -> Outcome:  # fmt: skip
    """Replace the batches of the month in `products` and `rejects` that the sources deliver.

    Args:
        others: what is known of the month's other batches, which stay as they are.

    Raises:
        UserError: a file is missing, damaged or of another form than declared, the staging bound is passed, or no
            record becomes a product. Nothing stored is touched in these cases.
    """
    outcome = others or Outcome(rows_in=0, exits={"products": 0, "rejects": 0}, facts={"sources": {}})
    for batch, delivering in _by_batch([_of_month(source, month) for source in sources], month):
        with Staging(settings.staging, settings.max_bytes) as staging:
            found = sort_out(spark, settings, delivering, month, staging, warehouse)
            _ingest_batch(spark, warehouse, {"month": month, "batch": batch}, delivering, found, outcome)
    return outcome


def _of_month(source: Source, month: str) -> Source:
    """The source with its filters' {month} filled in."""
    filters = [
        one.model_copy(update={"value": one.value.replace("{month}", month)}) if isinstance(one.value, str) else one
        for one in source.filters
    ]
    return source.model_copy(update={"filters": filters})


def _by_batch(sources: Sequence[Source], month: str) -> list[tuple[str, list[Source]]]:
    """Batches and their sources; pages come first, as they may stop the month before any batch is replaced."""
    ordered = sorted(sources, key=lambda source: batch_of(source, month))
    batches = [(batch, list(found)) for batch, found in groupby(ordered, key=lambda source: batch_of(source, month))]
    return sorted(batches, key=lambda batch: all(source.kind != "pages" for source in batch[1]))


def sharing_batches(settings: IngestSettings, name: str, month: str) -> list[Source]:
    """The source of that name and all that deliver to its batch: a batch is replaced whole.

    Raises:
        UserError: there is no such source.
    """
    named = [source for source in settings.sources if source.name == name]
    if not named:
        known = ", ".join(source.name for source in settings.sources)
        raise UserError(f"there is no ingest source {name!r}; conf has {known}")
    return [source for source in settings.sources if batch_of(source, month) == batch_of(named[0], month)]


def carry_over(spark: SparkSession, warehouse: str, last: Manifest, sources: Sequence[Source], month: str) -> Outcome:
    """What the month's last manifest says of all batches but those of the sources.

    Raises:
        UserError: one of them is not stored as the manifest says.
    """
    replaced = {batch_of(source, month) for source in sources}
    others = {name: facts for name, facts in last.facts["sources"].items() if facts["batch"] not in replaced}
    outcome = Outcome(rows_in=0, exits={"products": 0, "rejects": 0}, facts={"sources": others})
    for entry in (Written(**entry) for entry in last.written if entry["where"]["batch"] not in replaced):
        stored = tables.fingerprint(spark, warehouse, _TABLES[entry.table], **entry.where)
        if (stored.rows, stored.total) != (entry.rows, entry.total):
            raise UserError(
                f"batch {entry.where['batch']} of table {entry.table} changed after the month was taken in "
                f"({last.finished}); run jobs/ingest.py without --source"
            )
        outcome.written.append(entry)
        outcome.rows_in = (outcome.rows_in or 0) + entry.rows
        outcome.exits[entry.table] += entry.rows
    return outcome


def batch_of(source: Source, month: str) -> str:
    """The delivery that the source's files are."""
    return source.batch or f"{month}-01"


def _ingest_batch(
    spark: SparkSession, warehouse: str, slice_: dict[str, str], sources: Sequence[Source], found: Sorted,
    outcome: Outcome,
) -> None:  # fmt: skip
    """Write one batch and account for it."""
    _check_some_products(found, sources, slice_["month"])
    labels = {name: F.lit(value) for name, value in slice_.items()}
    # Beside each other: rejects are few, and most of their time is waiting for one small job after the other.
    with ThreadPoolExecutor(1) as pool:
        rejecting = pool.submit(_write_rejects, spark, found, labels, warehouse, slice_)
        written = tables.write(found.products.withColumns(labels), warehouse, PRODUCTS, slice_)
        rejected = rejecting.result()
    outcome.wrote(PRODUCTS, slice_, written)
    for name, count in rejected.items():
        outcome.wrote(REJECTS, {**slice_, "source": name}, count)
    outcome.rows_in = (outcome.rows_in or 0) + found.records
    outcome.exits["products"] += written.rows
    outcome.exits["rejects"] += sum(count.rows for count in rejected.values())
    outcome.facts["sources"].update(_facts(spark, warehouse, found, sources, slice_))


def _check_some_products(found: Sorted, sources: Sequence[Source], month: str) -> None:
    """Refuse to replace a month's offers by nothing."""
    names = ", ".join(source.name for source in sources)
    if found.records == 0:
        raise UserError(
            f"the files of ingest source {names} hold no records for {month}; nothing was replaced, deliver them again"
        )
    if not found.any_good:
        common = found.rejects.select(F.explode("reasons").alias("reason")).groupBy("reason").count()
        reason = common.orderBy(F.desc("count"), "reason").first()
        example = found.rejects.orderBy("file", "position").first()
        assert reason is not None
        assert example is not None
        raise UserError(
            f"none of the {found.records} records of ingest source {names} for {month} became a product, mostly for "
            f"{reason['reason']!r} (first in {example['file']} at {example['position']}); nothing was replaced, "
            "correct the source's columns and encoding"
        )


def _write_rejects(
    spark: SparkSession, found: Sorted, labels: Mapping[str, Column], warehouse: str, slice_: Mapping[str, str]
) -> dict[str, tables.Fingerprint]:
    """Replace the rejects of every source of the batch, and clear those of sources that deliver no more.

    Returns:
        source -> what was written.
    """
    stored: set[str] = set()
    if tables.exists(spark, warehouse, REJECTS):
        old = tables.read(spark, warehouse, REJECTS, **slice_).select("source").distinct()
        stored = {row["source"] for row in old.collect()}
    rejects = found.rejects.withColumns(dict(labels))
    bad = {row["source"] for row in rejects.select("source").distinct().collect()}
    return {
        name: tables.write(rejects.where(F.col("source") == name), warehouse, REJECTS, {**slice_, "source": name})
        for name in sorted(bad | stored)
    }


def _facts(
    spark: SparkSession, warehouse: str, found: Sorted, sources: Sequence[Source], slice_: dict[str, str]
) -> dict[str, Any]:
    """Per source: files, products, how many without category, malls; rejects by reason."""
    facts: dict[str, Any] = {
        source.name: {
            "batch": slice_["batch"], "files": found.reading.files[source.name], "products": 0, "without_category": 0,
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
    reasons = found.rejects.select("source", F.explode("reasons").alias("reason")).groupBy("source", "reason").count()
    for row in reasons.orderBy("source", "reason").collect():
        facts[row["source"]]["rejects"][row["reason"]] = row["count"]
    return facts
