"""Counts of two models' answers: bins of equal mass, and who is right once replaced categories are followed."""

import numpy as np
import pytest
from pyspark.sql import SparkSession

from lib.promotion import month_answers
from lib.promotion.latency import by_turns


def test_steps_become_bins_of_about_equal_mass() -> None:
    rows, confidence = np.array([10.0, 10, 10, 10, 40]), np.array([1.0, 2, 3, 4, 36])
    found = month_answers.equal_mass(rows, confidence, np.array([0.0, 2, 2, 6, 36]), bins=4)
    assert [one.rows for one in found] == [20, 20, 40]
    assert [one.confidence for one in found] == pytest.approx([3 / 20, 7 / 20, 0.9])
    assert [one.accuracy for one in found] == pytest.approx([2 / 20, 8 / 20, 0.9])
    assert month_answers.equal_mass(np.zeros(0), np.zeros(0), np.zeros(0)) == []


class Said:
    """Stands for a model: says a category and a confidence of each offer."""

    def __init__(self, spark: SparkSession, answers: dict[str, tuple[str, float]]) -> None:
        listed = [("b", product, cat_id, confidence) for product, (cat_id, confidence) in answers.items()]
        self.chosen = type("Chosen", (), {"picture": None})()
        self.rows = spark.createDataFrame(listed, "batch string, product_id string, cat_id string, confidence float")

    def answered(self, rows, kept):
        return rows.select(*kept, "cat_id", "confidence")


def test_who_is_right_is_counted_by_living_categories(spark: SparkSession) -> None:
    given = [
        ("b", "1", "old", 1.0, 7),
        ("b", "2", "new", 1.0, 8),
        ("b", "3", "new", 3.0, 9),
        ("b", "4", "other", 1.0, 9),
    ]
    labelled = spark.createDataFrame(given, "batch string, product_id string, truth string, weight double, group long")
    ours = Said(spark, {"1": ("new", 0.9), "2": ("new", 0.9), "3": ("other", 0.4), "4": ("other", 0.8)})
    peer = Said(spark, {"1": ("old", 0.9), "2": ("other", 0.9), "3": ("old", 0.4), "4": ("other", 0.8)})
    models = [ours, peer]
    answered = month_answers.compared(labelled, models, {"old": "new"}).cache()  # type: ignore[arg-type]
    chosen = [model.chosen for model in models]
    found = month_answers.counted(spark, answered, chosen)
    assert found.cat_ids == ["new", "other"]
    columns = (found.pairs.rows, found.pairs.gains, found.pairs.losses)
    assert [list(column) for column in columns] == [[3, 1], [1, 0], [1, 0]]
    assert found.effect == 1
    assert sum(one.rows for one in found.bins) == 4
    assert sum(one.rows * one.accuracy for one in found.bins) == pytest.approx(3)
    sign, weight = month_answers.signs(spark, answered, chosen)
    assert sorted(zip(sign, weight, strict=True)) == [(-1, 3.0), (0, 1.0), (0, 1.0), (1, 1.0)]


def test_offers_of_one_name_count_as_about_one(spark: SparkSession) -> None:
    """Each name is sold by ten malls, whose offers a model labels alike."""
    given = [("b", f"{name}-{mall}", "a", 1.0, name) for name in range(8) for mall in range(10)]
    labelled = spark.createDataFrame(given, "batch string, product_id string, truth string, weight double, group long")
    ours, peer = (
        Said(spark, {row[1]: ("a" if row[4] not in wrong else "b", 0.9) for row in given}) for wrong in ({0}, {1, 2})
    )
    answered = month_answers.compared(labelled, [ours, peer], {})  # type: ignore[list-item]
    found = month_answers.counted(spark, answered, [ours.chosen, peer.chosen])
    assert (found.pairs.gains.sum(), found.pairs.losses.sum()) == (20, 10)
    assert found.effect == pytest.approx(10)
    # Where nobody differs, ten rows of a name are one all the same.
    same = month_answers.compared(labelled, [ours, ours], {})  # type: ignore[list-item]
    assert month_answers.counted(spark, same, [ours.chosen, ours.chosen]).effect == pytest.approx(10)


def test_two_are_timed_by_turns() -> None:
    calls: list[str] = []
    first, second = by_turns(lambda: calls.append("a"), lambda: calls.append("b"), rounds=3)
    assert "".join(calls) == "ab" + "abbaab"
    assert (len(first), len(second)) == (3, 3)
    assert min(first + second) >= 0
