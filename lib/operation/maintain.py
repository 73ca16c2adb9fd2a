"""Upkeep of a warehouse: what has had its time goes, small files are put together, files that nothing needs go.

Everything may be run at any time, also while stages run, and again: what went is gone, what stays stays the same.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import SparkSession

from lib import tables
from lib.artefact import MANIFEST
from lib.config import Config
from lib.errors import UserError
from lib.images.portions import small_portions
from lib.lock import only_one
from lib.operation import unneeded
from lib.operation.retention import expired
from schemas.document import TABLES
from schemas.table import Table

LOG = logging.getLogger(__name__)
UNITS = ("bytes", "kB", "MB", "GB", "TB")
# Delta lists no more files than these when it is only asked.
MOST_LISTED = 1000


def maintain(spark: SparkSession, config: Config, *, dry_run: bool) -> list[str]:
    """Do the upkeep, or only say what it would do.

    Returns:
        What went (or would go), a line each, with sizes.

    Raises:
        UserError: there is no warehouse, another upkeep is under way, or `unneeded` cannot tell what is needed.
    """
    warehouse = Path(config.storage.warehouse)
    if not warehouse.is_dir():
        raise UserError(f"there is no warehouse {warehouse}; run jobs/month.py first, or mend storage.warehouse")
    # Rows of pages and pictures are large: Spark's own portions of them would fill the memory.
    with (
        only_one(warehouse / "manifests" / "maintain.lock", "the warehouse is being maintained"),
        small_portions(spark),
    ):
        done = [line for table in TABLES for line in _table(spark, config, table, dry_run)]
        return [*done, *_folders(config, dry_run)]


def _table(spark: SparkSession, config: Config, table: Table, dry_run: bool) -> Iterator[str]:
    """Retention first: what goes need not be put together."""
    warehouse, hours = config.storage.warehouse, config.maintain.vacuum_hours
    if not tables.exists(spark, warehouse, table):
        return
    going = expired(spark, config, table)
    if going is not None and going.rows:
        yield f"{going}{f', {_words(going.size)}' if going.size else ''}"
        if not dry_run:
            going.delete(warehouse, spark)
    if dry_run:
        yield from _vacuumed(spark, warehouse, table, hours)
        return
    before, after = tables.optimize(spark, warehouse, table)
    if before:
        yield f"table {table.name}: {before:,} small files are now {after:,}"
    tables.vacuum(spark, warehouse, table, hours)


def _vacuumed(spark: SparkSession, warehouse: str, table: Table, hours: int) -> Iterator[str]:
    listed = tables.vacuumed(spark, warehouse, table, hours)
    files = [place for place in map(_local, listed) if place.is_file()]
    if files:
        more = " or more" if len(listed) >= MOST_LISTED else ""
        size = sum(file.stat().st_size for file in files)
        yield f"table {table.name}: {len(files):,}{more} files of old versions, {_words(size)}{more}"


def _folders(config: Config, dry_run: bool) -> Iterator[str]:
    warehouse = Path(config.storage.warehouse).resolve()
    for place in unneeded.unneeded(config):
        yield f"{place.relative_to(warehouse)}, {_words(unneeded.size(place))}"
        if not dry_run:
            # First, so that what is half removed counts as unfinished and is never read.
            (place / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(place)


def _local(name: str) -> Path:
    return Path(name.removeprefix("file:"))


def _words(size: int) -> str:
    """Bytes as a person reads them."""
    number, unit = float(size), 0
    while number >= 1000 and unit < len(UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {UNITS[unit]}" if unit == 0 else f"{number:.1f} {UNITS[unit]}"
