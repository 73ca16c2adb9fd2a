"""Which rows of the tables have had their time: the months beyond what a schema keeps, and what no kept row needs.

Months are counted as they are stored, from the newest, and not by the calendar: a gap, or a month that was given by
mistake and lies far ahead, makes nothing go earlier.
"""

import os
from dataclasses import dataclass
from urllib.parse import unquote, urlparse

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.config import Config
from lib.text.lexicon import eojeols_by_block
from lib.text.tokens import PRODUCT_COLUMNS, cleaned
from schemas.lexicon import LEXICON
from schemas.pages import PAGES
from schemas.products import PRODUCTS
from schemas.table import Table

NOT_MODIFIED = 304


@dataclass(frozen=True)
class Expired:
    """Rows of a table that are to go.

    Attributes:
        months: whole months, deleted without reading a row.
        keys: single rows, by the table's key; None where whole months go.
        rows: how many they are together.
        size: bytes of their files, or of the bodies in them; 0 where the files hold other rows too.
    """

    table: Table
    months: tuple[str, ...]
    keys: DataFrame | None
    rows: int
    size: int

    def __str__(self) -> str:
        of = f" of {', '.join(self.months)}" if self.months else ""
        return f"table {self.table.name}: {self.rows:,} rows{of}"

    def delete(self, warehouse: str, spark: SparkSession) -> None:
        """Delete them; their files stay until the table is vacuumed."""
        if self.keys is None:
            tables.delete_months(spark, warehouse, self.table, self.months)
        else:
            tables.delete_rows(self.keys, warehouse, self.table)


def expired(spark: SparkSession, config: Config, table: Table) -> Expired | None:
    """The table's rows that are to go; None where there are none."""
    warehouse = config.storage.warehouse
    if not tables.exists(spark, warehouse, table):
        return None
    if table is LEXICON:
        return _unused_eojeols(spark, config)
    months = _months(spark, warehouse, table)
    kept = kept_months(config, table, sorted(months))
    old = tuple(month for month in sorted(months) if month not in kept)
    if not old:
        return None
    if table is PAGES and (bodies := _pages(spark, warehouse, kept, old)) is not None:
        return bodies
    size = _file_bytes(tables.read(spark, warehouse, table, month=old))
    return Expired(table, old, None, sum(months[month] for month in old), size)


def kept_months(config: Config, table: Table, stored: list[str]) -> list[str]:
    """The months of a table that stay, of those that are stored (ascending).

    A training window longer than the schema's months keeps what it reads.
    """
    if table.keep_months is None:
        return stored
    return stored[-max(table.keep_months, config.shards.months_back, config.vocabulary.history_months) :]


def _months(spark: SparkSession, warehouse: str, table: Table) -> dict[str, int]:
    """Month -> its rows; none for a table that is kept for ever."""
    if table.keep_months is None:
        return {}
    counted = tables.read(spark, warehouse, table).groupBy("month").count().collect()
    return {str(row["month"]): int(row["count"]) for row in counted}


def _pages(spark: SparkSession, warehouse: str, kept: list[str], old: tuple[str, ...]) -> Expired | None:
    """Old pages without those whose body a kept 304 refers to; None where none is referred to."""
    again = tables.read(spark, warehouse, PAGES, month=kept).where(F.col("status") == NOT_MODIFIED)
    needed = (
        again.where(F.col("body_month").isin(list(old))).select(F.col("body_month").alias("month"), "url").distinct()
    )
    if needed.isEmpty():
        return None
    stored = tables.read(spark, warehouse, PAGES, month=old)
    going = stored.join(needed, on=list(PAGES.key), how="left_anti")
    size = F.sum(F.coalesce(F.octet_length("body"), F.lit(0)))
    found = going.agg(F.count(F.lit(1)).alias("rows"), F.coalesce(size, F.lit(0)).alias("size")).collect()[0]
    if not found["rows"]:
        return Expired(PAGES, (), None, 0, 0)
    return Expired(PAGES, old, going.select(*PAGES.key), int(found["rows"]), int(found["size"]))


def _unused_eojeols(spark: SparkSession, config: Config) -> Expired | None:
    """Eojeols that no kept product contains.

    What was first analysed in a kept month is in a product of it, so where nothing is older no product is looked at.
    """
    warehouse = config.storage.warehouse
    if not tables.exists(spark, warehouse, PRODUCTS):
        return None
    kept = kept_months(config, PRODUCTS, sorted(_months(spark, warehouse, PRODUCTS)))
    if not kept:
        return None
    older = tables.read(spark, warehouse, LEXICON).where(F.col("first_month") < kept[0])
    if older.isEmpty():
        return None
    products = tables.read(spark, warehouse, PRODUCTS, month=kept).select(*PRODUCT_COLUMNS)
    named = cleaned(products, config.text).withColumn("block", F.lit(0))
    unused = older.join(eojeols_by_block(named).select("eojeol"), on="eojeol", how="left_anti")
    rows = unused.count()
    return Expired(LEXICON, (), unused.select(*LEXICON.key), rows, 0) if rows else None


def _file_bytes(rows: DataFrame) -> int:
    """Bytes of the data files of whole partitions, which lie in a local or mounted folder."""
    return sum(os.stat(unquote(urlparse(name).path)).st_size for name in rows.inputFiles())  # noqa: PTH116
