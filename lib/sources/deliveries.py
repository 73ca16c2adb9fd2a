"""Stages the files of a batch's sources and reads them as one frame of offers, good and bad."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lib.config import IngestSettings, Source, TaxonomySettings
from lib.errors import UserError
from lib.sources import files
from lib.sources.columns import Columns, columns_of
from lib.sources.lines import TAB, by_header, read_lines
from lib.sources.offers import offers
from lib.sources.pages import PARSED, check_layout, parsed_pages, records
from lib.sources.records import convert
from lib.sources.staging import Delivery, Part, Staging


@dataclass(frozen=True)
class Reading:
    """The staged deliveries of one batch.

    Attributes:
        offers: all records as `offers.offers` gives them.
        lines: part, block, block_bytes, row of everything that Spark cuts into lines itself; None if nothing is.
        parts: all parts.
        headers: how many of the files begin with a header that Spark reads as a line.
        files: source -> how many files it delivered.
    """

    offers: DataFrame
    lines: DataFrame | None
    parts: list[Part]
    headers: int
    files: dict[str, int]


@dataclass(frozen=True)
class _Group:
    """Files of one source that are read alike; attributes as of Reading."""

    offers: DataFrame
    lines: DataFrame | None
    parts: list[Part]
    headers: int


def read_deliveries(
    spark: SparkSession, settings: IngestSettings, sources: Sequence[Source], month: str, staging: Staging,
    warehouse: str = "",
) -> Reading:  # fmt: skip
    """Stage the sources' files and read them.

    Args:
        warehouse: where crawled pages are, for sources of that kind.
    """
    groups: list[_Group] = []
    counted: dict[str, int] = {}
    rank = 0
    for source in sources:
        if source.kind == "pages":
            groups.append(_page_group(spark, settings, source, month, staging, warehouse, rank))
            rank += 1
            # No files; the manifest counts the pages where the crawl does.
            counted[source.name] = 0
            continue
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
            staged = list(pool.map(lambda delivery: [convert(staging, source, delivery, columns, longest)], deliveries))
    if source.format != "tsv":
        return [_converted_group(spark, settings, source, columns, [part for parts in staged for part in parts], month)]
    separator = source.separator or TAB
    groups = []
    for header, parts in by_header(staged, columns, separator, longest).items():
        records = read_lines(spark, parts, header, separator, longest)
        places = {name: place for place, name in enumerate(header.names)}
        found = offers(_with_malls(spark, records, source, parts), places, columns, source, settings)
        headers = len({part.delivery.rank for part in parts})
        groups.append(_Group(_with_taxonomy(spark, found, source, month), _stretches(records), parts, headers))
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
        "position", F.lit(None).cast("string").alias("file"), "raw", "problem", "cells",
    )  # fmt: skip
    places = {name: place for place, name in enumerate(columns.wanted)}
    found = offers(_with_malls(spark, records, source, parts), places, columns, source, settings)
    return _Group(_with_taxonomy(spark, found, source, month), None, parts, 0)


def _page_group(
    spark: SparkSession, settings: IngestSettings, source: Source, month: str, staging: Staging, warehouse: str,
    rank: int,
) -> _Group:  # fmt: skip
    """The month's crawled pages, parsed once into the staging folder."""
    columns = columns_of(source)
    part = staging.part(Delivery(rank, Path("pages"), None, source.encoding), suffix="parquet")
    parsed_pages(spark, warehouse, month, columns, settings.max_line_bytes).write.parquet(str(part.path))
    staging.spend(sum(file.stat().st_size for file in part.path.iterdir()), part.delivery.file)
    parsed = spark.read.schema(PARSED).parquet(str(part.path))
    check_layout(parsed, columns, month, settings.min_pages_checked)
    places = {name: place for place, name in enumerate(columns.wanted)}
    found = offers(_with_malls(spark, records(parsed, part.number), source, [part]), places, columns, source, settings)
    return _Group(_with_taxonomy(spark, found, source, month), None, [part], 0)


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


def _text(value: str | None) -> Column:
    return F.lit(value).cast("string")


def _with_taxonomy(spark: SparkSession, found: DataFrame, source: Source, month: str) -> DataFrame:
    """Fill cat_id of items that carry only a path by looking it up; drop the path."""
    if source.taxonomy is None:
        return found.drop("path")
    rows = list(_leaves(taxonomy_file(source.taxonomy, month), source.taxonomy))
    leaves = spark.createDataFrame(rows, "path string, leaf string").dropDuplicates(["path"])
    looked_up = found.join(F.broadcast(leaves), "path", how="left")
    return looked_up.withColumn("cat_id", F.coalesce("cat_id", "leaf")).drop("path", "leaf")


def taxonomy_file(settings: TaxonomySettings, month: str) -> Path:
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
    try:
        for row in rows:
            yield (
                "\t".join((row[level] or "").strip() for level in settings.levels if row[level]),
                row[settings.cat_id],
            )
    except csv.Error as error:
        raise UserError(f"{file} is no CSV at line {rows.line_num} ({error}); correct it there") from None
