"""Crawled pages as a delivery: the month's pages are parsed into records, which then go the way of all others.

Parsing happens here and not in the crawl, so a mended parser needs no new crawl. A page that does not parse is a record
with the code of its parser, at its address.
"""

from collections.abc import Iterable, Iterator
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
PARSED = "file string, host string, kind string, position long, raw binary, problem string, cells array<string>"
# A host of fewer pages is too small to tell a new layout from a bad day.
FEWEST_PAGES = 5
ROWS_A_BATCH = 5000
# The address's hash fills the lower bits of a record's block; product pages come before the others in the upper.
HASH_BITS = 62


def parsed_pages(spark: SparkSession, warehouse: str, month: str, columns: Columns) -> DataFrame:
    """One row a record of the month's pages.

    Returns:
        file (the page's address), host, kind, position (of the item in the page), raw (the item as JSON, or the
        address), problem (the parser's code or null), cells (texts in the order of columns.wanted).
    """
    pages = tables.read(spark, warehouse, PAGES, month=month).where(F.col("kind").isin(*KINDS))
    fresh = pages.where("status = 200").select("url", "host", "kind", "content_type", "body")
    unchanged = pages.where("status = 304").select("url", "host", "kind", "content_type", "body_month")
    earlier = tables.read(spark, warehouse, PAGES).where(F.col("body").isNotNull())
    bodies = earlier.select("url", F.col("month").alias("body_month"), "body")
    known = unchanged.join(bodies, ["url", "body_month"], how="left").drop("body_month")
    return fresh.unionByName(known).mapInArrow(_parsing(columns), PARSED)


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


def check_layout(parsed: DataFrame, columns: Columns, month: str) -> None:
    """Notice a site that was made over.

    Raises:
        UserError: most pages of a host yield no offer.
    """
    names, own = (
        F.get("cells", F.lit(columns.wanted.index("prod_nm"))),
        F.get("cells", F.lit(columns.wanted.index("id"))),
    )
    useful = F.col("problem").isNull() & names.isNotNull() & own.isNotNull()
    pages = parsed.groupBy("host", "file").agg(F.max(useful).alias("useful"))
    counted = pages.groupBy("host").agg(
        F.count(F.lit(1)).alias("pages"), F.count_if(~F.col("useful")).alias("barren"),
        F.min(F.when(~F.col("useful"), F.col("file"))).alias("example"),
    )  # fmt: skip
    changed = counted.where((F.col("pages") >= FEWEST_PAGES) & (F.col("barren") * 2 > F.col("pages")))
    worst = changed.orderBy(F.desc("barren"), "host").first()
    if worst is not None:
        raise UserError(
            f"{worst.barren} of {worst.pages} crawled pages of {worst.host} in {month} yield no offer (such as "
            f"{worst.example}): its layout seems to have changed; nothing was replaced, mend lib/crawl/parsers and "
            "run `jobs/ingest.py --source` again"
        )


def _parsing(columns: Columns) -> Any:
    """The function that Spark runs over pages."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        for batch in batches:
            for page in batch.to_pylist():
                rows += _page_rows(page, columns)
                if len(rows) >= ROWS_A_BATCH:
                    yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)
                    rows = []
        yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)

    return work


_SCHEMA = pa.schema(
    [
        ("file", pa.string()), ("host", pa.string()), ("kind", pa.string()), ("position", pa.int64()),
        ("raw", pa.binary()), ("problem", pa.string()), ("cells", pa.list_(pa.string())),
    ]
)  # fmt: skip


def _page_rows(page: dict[str, Any], columns: Columns) -> list[dict[str, Any]]:
    where = {"file": page["url"], "host": page["host"], "kind": page["kind"]}
    try:
        items = parse(page["kind"], unpacked(page["body"] or b""), page["content_type"])
    except NotParsedError as error:
        return [_unparsed(where, columns, error.code)]
    except (EOFError, BadGzipFile, ZlibError):
        return [_unparsed(where, columns, "damaged_body")]
    return [_row(where, place, item, columns) for place, item in enumerate(items)]


def _unparsed(where: dict[str, Any], columns: Columns, code: str) -> dict[str, Any]:
    nothing: list[str | None] = [None] * len(columns.wanted)
    return {**where, "position": 0, "raw": where["file"].encode(), "problem": code, "cells": nothing}


def _row(where: dict[str, Any], place: int, item: Item, columns: Columns) -> dict[str, Any]:
    cells = [item.get(name) for name in columns.wanted]
    problem = text_problem(cells)
    cleaned = [None if problem else _cleaned(name, cell) for name, cell in zip(columns.wanted, cells, strict=True)]
    return {**where, "position": place, "raw": as_bytes(dict(item))[:RAW_BYTES], "problem": problem, "cells": cleaned}


def _cleaned(name: str, cell: str | None) -> str | None:
    """Without control characters; tabs stand between the levels of a path."""
    if cell is None or name != "path":
        return clean(cell)
    return "\t".join(clean(level) or "" for level in cell.split("\t"))
