"""What the page's facts are read from: manifests, rejects, the metrics of past months."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lib.errors import UserError
from lib.report import gather
from lib.report.gather import PastFigure, Reject
from schemas.metrics import METRICS
from schemas.rejects import REJECTS
from tests.report.example_month import manifest_of


def test_rejects_are_counted_by_source_and_reason(spark: SparkSession) -> None:
    rows = [("a", ["duplicate"]), ("a", ["duplicate", "no_name"]), ("b", ["no_name"])]
    frame = spark.createDataFrame(
        [("2026-01", "2026-01-01", source, "f", i, reasons, None) for i, (source, reasons) in enumerate(rows)],
        REJECTS.struct,
    )
    assert gather.rejects_by_reason(frame) == [
        Reject("a", "duplicate", 2), Reject("a", "no_name", 1), Reject("b", "no_name", 1)
    ]  # fmt: skip


def test_history_is_the_newest_version_of_each_month_and_no_peer(spark: SparkSession) -> None:
    frame = spark.createDataFrame(
        [
            ("2026-01", "9", "test", "head=output", "accuracy", 0.7, None, None),
            ("2026-01", "10", "test", "head=output", "accuracy", 0.8, None, None),
            ("2026-01", "peer-x", "test", "head=output", "accuracy", 0.9, None, None),
            ("2026-02", "10", "next_month", "head=output", "accuracy", 0.75, None, None),
            ("2026-02", "11", "test", "head=output", "macro_f1", 0.5, None, None),
        ],
        METRICS.struct,
    )
    assert gather.history(frame) == [
        PastFigure("2026-02", "next_month", 0.75),
        PastFigure("2026-01", "test", 0.8),
    ]


def test_fix_scores_are_of_the_newest_version_before_a_fix_began_and_now(spark: SparkSession) -> None:
    rows = [
        ("2026-01", "9", "test", "category=a", "f1", 0.3), ("2026-01", "10", "test", "category=a", "f1", 0.4),
        ("2026-03", "12", "test", "category=a", "f1", 0.8), ("2026-03", "12", "validation", "category=a", "f1", 0.9),
        ("2026-02", "11", "test", "category=a", "f1", 0.6), ("2026-03", "12", "test", "category=b", "f1", 0.5),
        ("2026-03", "12", "test", "category=a", "accuracy", 0.1), ("2026-01", "peer", "test", "category=a", "f1", 0.2),
    ]  # fmt: skip
    metrics = spark.createDataFrame([(*row, None, None) for row in rows], METRICS.struct)
    fixes = [{"from_month": "2026-02", "categories": {"a": ["A"], "c": ["C"]}}]
    found = gather.fix_scores(metrics, "2026-03", manifest_of("normalize", {"fixes": fixes}, None, {}))
    assert found == {("2026-01", "a"): 0.4, ("2026-03", "a"): 0.8}
    assert gather.fix_scores(metrics, "2026-03", manifest_of("normalize", {}, None, {})) == {}
    assert gather.fix_scores(metrics, "2026-03", None) == {}


def test_a_month_without_any_stage_is_refused(spark: SparkSession, warehouse: str) -> None:
    with pytest.raises(UserError, match="no stage has finished for month 2026-01"):
        gather.gather(spark, warehouse, "2026-01", 24)


def test_a_month_with_one_stage_is_gathered(spark: SparkSession, warehouse: str) -> None:
    folder = Path(warehouse) / "manifests" / "ingest"
    folder.mkdir(parents=True)
    record = {
        "stage": "ingest", "revision": 1, "month": "2026-01", "key": "k", "inputs": {}, "settings": {}, "rows_in": 3,
        "exits": {"products": 3}, "written": [], "artefacts": {}, "facts": {}, "seconds": 1.0, "finished": "now",
        "code": "c", "packages": {},
    }  # fmt: skip
    (folder / "2026-01.json").write_text(json.dumps(record))
    facts = gather.gather(spark, warehouse, "2026-01", 24)
    assert facts.stages["ingest"] is not None
    assert "train" in facts.missing
    assert facts.rejects == [], "ingest has run and rejected nothing"
    assert not facts.simulated
