"""Compares a month of the warehouse with the months before it, and says so in words."""

from typing import Any

from pyspark.sql import SparkSession

from lib.config import DriftSettings
from lib.scoring import drift, month_counts
from lib.scoring.drift import NAME_LENGTH, most_moved


def month_drift(
    spark: SparkSession, warehouse: str, month: str, against: list[str], settings: DriftSettings
) -> dict[str, Any]:
    """Facts of the stage: drifted, words, against, figures, alarms.

    Args:
        against: months that say what is usual; may be empty.
    """
    if not against:
        return drift.facts_of(month, [], [], [])
    counts = month_counts.count(spark, warehouse, [*against, month])
    confidence = month_counts.confidence(spark, warehouse, month)
    judged = drift.judge(month, counts, confidence, settings)
    now, before = counts[month], [counts[one] for one in against]
    moved = []
    mall = most_moved(now.malls, [one.malls for one in before])
    if mall is not None:
        moved.append(f"mall {_shown(mall[0])} {_shares(mall)}")
    category = most_moved(now.categories, [one.categories for one in before])
    if category is not None:
        names = month_counts.category_names(spark, warehouse, month, [category[0]])
        moved.append(f"category {_shown(names.get(category[0], category[0]))} {_shares(category)}")
    return drift.facts_of(month, against, judged, moved)


def _shown(name: str) -> str:
    return " ".join(name.split())[:NAME_LENGTH]


def _shares(moved: tuple[str, float, float]) -> str:
    _, usual, now = moved
    return f"({usual:.1%} to {now:.1%} of the offers)"
