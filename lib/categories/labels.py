"""Label ids: the integer that stands for a leaf in every month and every model.

An id is given once and never again. Two runs at once can both see the same free id; so the merge (schemas/labels.py)
inserts a row only where neither its id nor its leaf is there, and whoever lost looks again and takes the next one.
"""

import itertools
from collections.abc import Collection
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from lib import tables
from lib.errors import UserError
from schemas.labels import LABELS

# Each attempt can lose only to a run that made progress; four runs over one table at once is already a mistake.
ATTEMPTS = 5

LabelRow = tuple[int, str, str, str | None]


@dataclass(frozen=True)
class LabelChange:
    """What a month changed: leaves that got an id, leaves that were retired, ids given so far."""

    new: int
    retired: int
    total: int


def assign(spark: SparkSession, warehouse: str, month: str, cat_ids: Collection[str]) -> LabelChange:
    """Give every living leaf of the month an id and retire those that are gone; doing it again changes nothing.

    Args:
        cat_ids: the month's living leaves.

    Raises:
        UserError: other runs kept changing the table.
    """
    tables.create(spark, warehouse, LABELS)
    new = retired = 0
    for _ in range(ATTEMPTS):
        stored = _stored(tables.read(spark, warehouse, LABELS))
        inserted, ended = _changes(stored, month, cat_ids)
        if not inserted and not ended:
            return LabelChange(new, retired, len(stored))
        tables.merge(spark.createDataFrame(inserted + ended, LABELS.struct), warehouse, LABELS)
        new, retired = max(new, len(inserted)), max(retired, len(ended))
    raise UserError(
        f"table labels keeps being changed by other runs while {month} is added; let them end, then run again"
    )


def label_ids(labels: DataFrame) -> dict[str, int]:
    """cat_id -> label_id."""
    return {row.cat_id: row.label_id for row in labels.select("cat_id", "label_id").collect()}


def _stored(labels: DataFrame) -> list[LabelRow]:
    # As many rows as the platform ever had leaves: some thousands.
    return [(row.label_id, row.cat_id, row.first_month, row.retired_month) for row in labels.collect()]


def _changes(
    stored: Collection[LabelRow], month: str, cat_ids: Collection[str]
) -> tuple[list[LabelRow], list[LabelRow]]:
    """Rows to insert (free ids from the lowest up, in cat_id order) and rows to retire.

    A leaf that first appeared after `month` is not retired by it: months may be run in any order.
    """
    used = {row[0] for row in stored}
    known = {row[1] for row in stored}
    free = (number for number in itertools.count() if number not in used)
    inserted: list[LabelRow] = [
        (number, cat_id, month, None) for cat_id, number in zip(sorted(set(cat_ids) - known), free, strict=False)
    ]
    ended: list[LabelRow] = [
        (label_id, cat_id, first_month, month)
        for label_id, cat_id, first_month, retired_month in stored
        if retired_month is None and first_month <= month and cat_id not in cat_ids
    ]
    return inserted, ended
