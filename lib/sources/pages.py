"""Crawled pages as a delivery: the month's pages are parsed into records, which then go the way of all others.

Parsing happens here and not in the crawl, so a mended parser needs no new crawl. A page that does not parse is a record
with the code of its parser, at its address.
"""

from collections.abc import Callable, Iterable, Iterator
from gzip import BadGzipFile
from gzip import decompress as unpacked
from typing import Any
from zlib import error as ZlibError

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.crawl.parsers import Item, NotParsedError, parse
from lib.errors import UserError
from lib.sources.columns import Columns
from lib.sources.records import RAW_BYTES, as_bytes, clean, text_problem
from schemas.pages import PAGES

KINDS = ("product", "list", "api")
PAGE_COLUMNS = ("url", "host", "kind", "content_type", "body")
PARSED = "file string, host string, kind string, position long, raw binary, problem string, cells array<string>"
# A batch of records goes back to Spark when it holds so many, or so many bytes.
ROWS_A_BATCH = 5000
BYTES_A_BATCH = 16 << 20
# The address's hash fills the lower bits of a record's block; product pages come before the others in the upper.
HASH_BITS = 62


def parsed_pages(spark: SparkSession, warehouse: str, month: str, columns: Columns, longest: int) -> DataFrame:
    """One row a record of the month's pages.

    Args:
        columns: `cells` are its `wanted` ones.
        longest: items of more bytes are rejected.

    Returns:
        file (the page's address), host, kind, position (of the item in the page), raw (the item as JSON, or the
        address), problem (the parser's code or null), cells (texts in the order of columns.wanted).
    """
    pages = tables.read(spark, warehouse, PAGES, month=month).where(F.col("kind").isin(*KINDS))
    fresh = pages.where("status = 200").select(*PAGE_COLUMNS)
    unchanged = pages.where("status = 304").drop("body")
    # Bodies are nearly all of the table: only months that unchanged pages refer to are looked at.
    months = [row.body_month for row in unchanged.select("body_month").distinct().collect()]
    if months:
        earlier = tables.read(spark, warehouse, PAGES, month=[month for month in months if month is not None])
        bodies = earlier.where("status = 200").select("url", F.col("month").alias("body_month"), "body")
        known = unchanged.join(bodies, ["url", "body_month"], how="left").select(*PAGE_COLUMNS)
        fresh = fresh.unionByName(known)
    return fresh.mapInArrow(_parsing(columns, longest), PARSED)


def records(parsed: DataFrame, part: int) -> DataFrame:
    """The parsed records as all deliveries are read: part, block, row, position, file, raw, problem, cells."""
    return parsed.select(
        F.lit(part).cast("long").alias("part"), _block().alias("block"), F.col("position").alias("row"), "position",
        "file", "raw", "problem", "cells",
    )  # fmt: skip


def _block() -> Column:
    """A page's place in the order in which records count as the first of their id: products, then by hash."""
    later = F.when(F.col("kind") == "product", F.lit(0)).otherwise(F.lit(1)).cast("long")
    return F.shiftleft(later, HASH_BITS) + F.shiftrightunsigned(F.xxhash64("file"), 64 - HASH_BITS)


def check_layout(parsed: DataFrame, columns: Columns, month: str, fewest: int) -> None:
    """Notice a site that was made over: of all pages of a host, or of those of one kind, most yield no offer.

    Pages that say themselves that they are empty count for neither side.

    Args:
        fewest: pages of a host (and kind) below which nothing is concluded.

    Raises:
        UserError: most pages of a host yield no offer.
    """
    pages = parsed.groupBy("host", "kind", "file").agg(F.max(_names_an_offer(columns)).alias("useful"))
    counted = pages.rollup("host", "kind").agg(
        F.count(F.lit(1)).alias("pages"), F.count_if(~F.col("useful")).alias("barren"),
        F.min(F.when(~F.col("useful"), F.col("file"))).alias("example"),
    )  # fmt: skip
    changed = counted.where(F.col("host").isNotNull() & (F.col("pages") >= fewest) & (F.expr("barren * 2 > pages")))
    worst = changed.orderBy(F.desc("barren"), "host", F.asc_nulls_first("kind")).first()
    if worst is not None:
        kind = f"{worst.kind} " if worst.kind else ""
        raise UserError(
            f"{worst.barren} of {worst.pages} crawled {kind}pages of {worst.host} in {month} yield no offer (such as "
            f"{worst.example}): the site's layout seems to have changed; nothing was replaced, mend lib/crawl/parsers "
            "and run `jobs/ingest.py --source` again, or raise ingest.min_pages_checked if that is how the site is"
        )


def _names_an_offer(columns: Columns) -> Column:
    """Whether the record was read and says of whom, which and what it is."""
    read = F.col("problem").isNull()
    for field in ("mall_id", "id", "prod_nm"):
        read = read & F.get("cells", F.lit(columns.wanted.index(field))).isNotNull()
    return read


def _parsing(columns: Columns, longest: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that Spark runs over pages."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        size = 0
        for page in _pages(batches):
            for row in _page_rows(page, columns, longest):
                rows.append(row)
                size += len(row["raw"]) + sum(len(cell or "") for cell in row["cells"])
                if len(rows) == ROWS_A_BATCH or size >= BYTES_A_BATCH:
                    yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)
                    rows, size = [], 0
        yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)

    return work


def _pages(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """One page at a time: Spark's batches hold up to 256 MB of bodies."""
    for batch in batches:
        for place in range(batch.num_rows):
            yield {name: batch.column(name)[place].as_py() for name in PAGE_COLUMNS}


_SCHEMA = pa.schema(
    [
        ("file", pa.string()), ("host", pa.string()), ("kind", pa.string()), ("position", pa.int64()),
        ("raw", pa.binary()), ("problem", pa.string()), ("cells", pa.list_(pa.string())),
    ]
)  # fmt: skip


def _page_rows(page: dict[str, Any], columns: Columns, longest: int) -> list[dict[str, Any]]:
    where = {"file": page["url"], "host": page["host"], "kind": page["kind"]}
    if page["body"] is None:
        return [_unparsed(where, columns, "body_missing")]
    try:
        items = parse(page["kind"], page["url"], unpacked(page["body"]), page["content_type"])
    except NotParsedError as error:
        return [_unparsed(where, columns, error.code)]
    except (EOFError, BadGzipFile, ZlibError):
        return [_unparsed(where, columns, "damaged_body")]
    return [_row(where, place, item, columns, longest) for place, item in enumerate(items)]


def _unparsed(where: dict[str, Any], columns: Columns, code: str) -> dict[str, Any]:
    nothing: list[str | None] = [None] * len(columns.wanted)
    return {**where, "position": 0, "raw": where["file"].encode(), "problem": code, "cells": nothing}


def _row(where: dict[str, Any], place: int, item: Item, columns: Columns, longest: int) -> dict[str, Any]:
    raw = as_bytes(dict(item))
    cells = [item.get(name) for name in columns.wanted]
    problem = "overlong_line" if len(raw) > longest else text_problem(cells)
    cleaned = [None if problem else _cleaned(name, cell) for name, cell in zip(columns.wanted, cells, strict=True)]
    return {**where, "position": place, "raw": raw[:RAW_BYTES], "problem": problem, "cells": cleaned}


def _cleaned(name: str, cell: str | None) -> str | None:
    """Without control characters; tabs stand between the levels of a path."""
    if cell is None or name != "path":
        return clean(cell)
    return "\t".join(clean(level) or "" for level in cell.split("\t"))
