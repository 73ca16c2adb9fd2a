"""Collects what a month's page shows: stage manifests, the few tables it counts, and the distribution
artefact.

Whatever a stage has not done yet is absent here (None or empty), and the page says so in words.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import artefact, manifest, months, tables
from lib.errors import UserError
from lib.images.thumbnails import thumbnails
from lib.manifest import Manifest
from schemas.metrics import METRICS
from schemas.rejects import REJECTS

# In the order of the month; the contract of jobs/month.py.
STAGES = (
    "market",
    "crawl",
    "ingest",
    "images",
    "image_features",
    "tokenize",
    "vocabulary",
    "word2vec",
    "brands",
    "normalize",
    "shards",
    "train",
    "evaluate",
    "validation_set",
    "drift",
    "promote",
    "score",
    "review",
)
STAGE_WORDS = {
    "market": "The simulated market sets out its month",
    "crawl": "Sites and APIs are asked for their pages",
    "ingest": "Feeds and pages become products or rejects",
    "images": "Pictures are fetched and brought to one size",
    "image_features": "A pretrained network looks at the pictures",
    "tokenize": "Names and mall categories become tokens; every name gets its side of the split",
    "vocabulary": "Words and character grams that are frequent enough get an id",
    "word2vec": "Word vectors are learnt from the names",
    "brands": "Brand fields and malls become a dictionary that names are searched with",
    "normalize": "Large categories are sampled down, small ones weighted",
    "shards": "Rows of fixed length, shuffled and cut into files",
    "train": "The model learns; its temperature is fitted; a version is registered",
    "evaluate": "The model is measured on names it never saw",
    "validation_set": "Test offers are drawn for people to label",
    "drift": "The month is held against those before it",
    "promote": "The new version is held against the champion, and takes its place or not",
    "score": "Every product of the month gets its category",
    "review": "The offers that people's answers help most are put on a sheet",
}
# A real month has no market, one that comes in files has no crawl, and one of texts has no pictures.
OPTIONAL = ("market", "crawl", "images", "image_features")
# Far more than there are codes; a bound all the same, since reasons are text from a table.
MAX_REASONS = 50


@dataclass(frozen=True)
class CategoryCount:
    """Train rows of one category before and after normalisation."""

    cat_id: str
    before: int
    after: int


@dataclass(frozen=True)
class Reject:
    """How many records of a source carry a reason."""

    source: str
    reason: str
    rows: int


@dataclass(frozen=True)
class PastFigure:
    """The main head's accuracy of one month, on the test split or on the month after training."""

    month: str
    split: str
    value: float


@dataclass(frozen=True)
class MonthFacts:
    """All that the page is made from.

    Attributes:
        fix_scores: (month, cat_id) -> F1 on the test split, of categories that fixes touch.
    """

    month: str
    stages: dict[str, Manifest | None]
    rejects: list[Reject] | None = None
    distribution: list[CategoryCount] = field(default_factory=list)
    history: list[PastFigure] = field(default_factory=list)
    thumbnails: dict[str, str] = field(default_factory=dict)
    fix_scores: dict[tuple[str, str], float] = field(default_factory=dict)

    def facts(self, stage: str) -> dict[str, Any]:
        """The stage's facts; empty where it has not finished."""
        found = self.stages.get(stage)
        return found.facts if found else {}

    @property
    def missing(self) -> list[str]:
        """Stages that have not finished, but for those that a month may do without."""
        return [name for name, found in self.stages.items() if found is None and name not in OPTIONAL]

    @property
    def simulated(self) -> bool:
        """Whether the month's offers were made by the embedded market."""
        return self.stages.get("market") is not None


def gather(spark: SparkSession, warehouse: str, month: str, history_months: int) -> MonthFacts:
    """Read a month's facts.

    Raises:
        UserError: no stage has finished for the month, so there is nothing to report.
    """
    stages = {name: manifest.find(warehouse, name, month) for name in STAGES}
    if not any(stages.values()):
        raise UserError(
            f"no stage has finished for month {month} in {warehouse}; run jobs/month.py --month {month} first"
        )
    metrics = tables.read_if_there(spark, warehouse, METRICS)
    return MonthFacts(
        month,
        stages,
        _rejects(spark, warehouse, month) if stages["ingest"] is not None else None,
        _distribution(warehouse, stages["normalize"]),
        history(metrics.where(F.col("month").isin(months.window(month, history_months)))),
        thumbnails(spark, warehouse, month, _example_products(stages["evaluate"])),
        fix_scores(metrics, month, stages["normalize"]),
    )


def _example_products(evaluate: Manifest | None) -> set[str]:
    """The products whose names the page shows as examples."""
    facts = evaluate.facts if evaluate is not None else {}
    named = [*facts.get("examples", {}).values()]
    named += [one.get("examples", []) for one in facts.get("uncertain", {}).get("categories", [])]
    return {str(one["product_id"]) for examples in named for one in examples if "product_id" in one}


def _rejects(spark: SparkSession, warehouse: str, month: str) -> list[Reject]:
    """The month's rejects; the table is only made when there are any."""
    if not tables.exists(spark, warehouse, REJECTS):
        return []
    return rejects_by_reason(tables.read(spark, warehouse, REJECTS, month=month))


def rejects_by_reason(rejects: DataFrame) -> list[Reject]:
    """Records per source and reason, most frequent first; a record with two reasons counts under both."""
    counted = (
        rejects.select("source", F.explode("reasons").alias("reason"))
        .groupBy("source", "reason")
        .agg(F.count(F.lit(1)).alias("rows"))
        .orderBy(F.desc("rows"), "source", "reason")
        .limit(MAX_REASONS)
    )
    return [Reject(row["source"], row["reason"], row["rows"]) for row in counted.collect()]


def history(metrics: DataFrame) -> list[PastFigure]:
    """Accuracy of the main head by month; of several versions measured in one month the newest."""
    wanted = metrics.where(
        (F.col("slice") == "head=output")
        & (F.col("name") == "accuracy")
        & F.col("split").isin("test", "next_month")
        & F.col("model_version").rlike("^[0-9]+$")
    )
    newest = wanted.groupBy("month", "split").agg(F.max_by("value", F.col("model_version").cast("int")).alias("value"))
    return [PastFigure(row["month"], row["split"], row["value"]) for row in newest.orderBy("split", "month").collect()]


def fix_scores(metrics: DataFrame, month: str, normalize: Manifest | None) -> dict[tuple[str, str], float]:
    """(month, cat_id) -> F1 on the test split of each category that a fix touches, in this month and in the one before
    the fix began; of several versions measured in one month the newest. A category with few test rows has none."""
    fixes = normalize.facts.get("fixes", []) if normalize is not None else []
    if not fixes:
        return {}
    wanted = {month, *(months.shift(fix["from_month"], -1) for fix in fixes)}
    slices = {f"category={cat_id}" for fix in fixes for cat_id in fix["categories"]}
    found = metrics.where(
        F.col("month").isin(sorted(wanted))
        & (F.col("split") == "test")
        & (F.col("name") == "f1")
        & F.col("slice").isin(sorted(slices))
        & F.col("model_version").rlike("^[0-9]+$")
    )
    newest = found.groupBy("month", "slice").agg(F.max_by("value", F.col("model_version").cast("int")).alias("value"))
    return {(row["month"], row["slice"].removeprefix("category=")): row["value"] for row in newest.collect()}


def _distribution(warehouse: str, normalize: Manifest | None) -> list[CategoryCount]:
    if normalize is None or "distribution" not in normalize.artefacts:
        return []
    made = artefact.load(Path(warehouse) / normalize.artefacts["distribution"])
    table = pq.read_table(made.path("categories.parquet"), columns=["cat_id", "before", "after"])
    return [CategoryCount(row["cat_id"], row["before"], row["after"]) for row in table.to_pylist()]
