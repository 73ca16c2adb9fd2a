"""Label ids are given once and for ever, whatever the order of months and whoever runs at the same time."""

import pytest
from pyspark.sql import SparkSession

from lib import tables
from lib.categories import labels
from lib.categories.labels import LabelChange, assign, label_ids
from lib.errors import UserError
from schemas.labels import LABELS


def stored(spark: SparkSession, warehouse: str) -> set[tuple[int, str, str, str | None]]:
    return {tuple(row) for row in tables.read(spark, warehouse, LABELS).collect()}


def test_three_months_with_a_leaf_that_goes_and_comes_back(spark: SparkSession, warehouse: str) -> None:
    assert assign(spark, warehouse, "2026-01", {"b", "a"}) == LabelChange(new=2, retired=0, total=2)
    assert assign(spark, warehouse, "2026-02", {"a", "c"}) == LabelChange(new=1, retired=1, total=3)
    # The returned leaf keeps its id, and the month it was first retired in: labels of old models stay readable.
    assert assign(spark, warehouse, "2026-03", {"a", "b", "c"}) == LabelChange(new=0, retired=0, total=3)
    expected = {(0, "a", "2026-01", None), (1, "b", "2026-01", "2026-02"), (2, "c", "2026-02", None)}
    assert stored(spark, warehouse) == expected
    # An earlier month again retires nothing that came later.
    assert assign(spark, warehouse, "2026-01", {"b", "a"}) == LabelChange(new=0, retired=0, total=3)
    assert stored(spark, warehouse) == expected


def test_two_runs_at_once_never_share_an_id(
    spark: SparkSession, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run commits between our look at the table and our merge."""
    merge = tables.merge
    others = [[(0, "x", "2026-01", None)]]

    def merge_after_the_other(frame, *arguments, **options):  # type: ignore[no-untyped-def]
        if others:
            merge(spark.createDataFrame(others.pop(), LABELS.struct), warehouse, LABELS)
        return merge(frame, *arguments, **options)

    monkeypatch.setattr(labels.tables, "merge", merge_after_the_other)
    # We chose w: 0 and x: 1, the other gave x: 0. A merge on the id alone would give x a second id.
    assert assign(spark, warehouse, "2026-01", {"w", "x"}).total == 2
    assert label_ids(tables.read(spark, warehouse, LABELS)) == {"x": 0, "w": 1}
    assert len(stored(spark, warehouse)) == 2


def test_a_table_that_never_rests_is_an_error(
    spark: SparkSession, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels.tables, "merge", lambda *_: None)
    with pytest.raises(UserError, match="keeps being changed by other runs"):
        assign(spark, warehouse, "2026-01", {"a"})
