"""Both models' answers on the same offers, counted by Spark: what comes to the driver grows with categories only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.evaluation.calibration import BINS, Bin
from lib.evaluation.replacement import followed
from lib.images.portions import portions_for
from lib.promotion.bounds import Floats, Groups, Pairs, design_effect
from lib.scoring.chosen import Chosen
from lib.scoring.month_scores import MonthRows
from lib.sources.latest import latest_products
from lib.text.split import group_key
from schemas.tokens import TOKENS

# Confidences are counted in so many steps before they are put into bins of equal mass.
STEPS = 200
OFFER = ["batch", "product_id"]


@dataclass(frozen=True)
class Counted:
    """What the gates of a month are made of.

    Attributes:
        cat_ids: the given categories, as they are called now.
        pairs: of each; no gains and losses where there is nothing to compare with.
        effect: how many of the rows tell as much as an independent one (`bounds.design_effect`).
        bins: the candidate's confidences and how often it is right.
    """

    cat_ids: list[str]
    pairs: Pairs
    effect: float
    bins: list[Bin]


def labelled_test_side(spark: SparkSession, warehouse: str, month: str) -> DataFrame:
    """The month's test offers with their given labels: batch, product_id, truth, weight (1), group (of equal names)."""
    tokens = latest_products(tables.read_month(spark, warehouse, TOKENS, month))
    test = tokens.where((F.col("split") == "test") & F.col("cat_id").isNotNull())
    group = F.xxhash64(group_key(F.col("name"))).alias("group")
    return test.select("batch", "product_id", F.col("cat_id").alias("truth"), F.lit(1.0).alias("weight"), group)


def labelled_by_people(spark: SparkSession, warehouse: str, month: str, answers: DataFrame) -> DataFrame:
    """The month's offers that people answered, with their answers: batch, product_id, truth, weight.

    Args:
        answers: product_id, cat_id, weight.
    """
    tokens = latest_products(tables.read_month(spark, warehouse, TOKENS, month)).select("batch", "product_id")
    said = answers.select("product_id", F.col("cat_id").alias("truth"), "weight")
    return tokens.join(said, on="product_id", how="inner").select("batch", "product_id", "truth", "weight")


def compared(labelled: DataFrame, models: Sequence[MonthRows], replaced_by: Mapping[str, str]) -> DataFrame:
    """Whether each model is right, on cat_ids followed to what took their place.

    Args:
        labelled: batch, product_id, truth, weight and what else there is.
        models: the candidate, and what it is compared with if there is anything.

    Returns:
        `labelled` but for OFFER, confidence (the candidate's), right_0, and right_1 if there are two.
    """
    found = followed(labelled, "truth", replaced_by)
    for at, model in enumerate(models):
        wanted = model.rows.join(labelled.select(*OFFER), on=OFFER, how="left_semi")
        # Few bytes, which Spark would give to one task; but it is the model that takes the time.
        tasks = wanted.sparkSession.sparkContext.defaultParallelism
        answers = model.answered(wanted.repartition(tasks), OFFER)
        confidence = [F.col("confidence")] if at == 0 else []
        said = answers.select(*OFFER, F.col("cat_id").alias("said"), *confidence)
        joined = found.join(followed(said, "said", replaced_by), on=OFFER, how="inner")
        found = joined.withColumn(f"right_{at}", F.col("said") == F.col("truth")).drop("said")
    return found.drop(*OFFER)


def counted(spark: SparkSession, answered: DataFrame, models: Sequence[Chosen]) -> Counted:
    """Counts of `compared` rows, which have a group, by category and by confidence."""
    step = F.least(F.floor(F.col("confidence") * STEPS), F.lit(STEPS - 1)).alias("step")
    grouped = answered.groupBy("truth", step).agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(F.col("confidence").cast("double")).alias("confidence"),
        F.count_if("right_0").alias("right"),
        F.count_if(_gained(models)).alias("gains"),
        F.count_if(_lost(models)).alias("losses"),
    )
    answered.persist()
    try:
        with portions_for(spark, _pictures(models)):
            cells = grouped.toPandas()
        groups = _groups(answered, models)
    finally:
        answered.unpersist()
    by_category = cells.groupby("truth")[["rows", "gains", "losses"]].sum().sort_index()
    columns = (by_category[name].to_numpy(np.float64) for name in ("rows", "gains", "losses"))
    steps = cells.groupby("step")[["rows", "confidence", "right"]].sum().sort_index()
    rows, confidence, right = (steps[name].to_numpy(np.float64) for name in ("rows", "confidence", "right"))
    bins = equal_mass(rows, confidence, right)
    pairs = Pairs(*columns)
    return Counted([str(one) for one in by_category.index], pairs, design_effect(pairs.total, groups), bins)


def _groups(answered: DataFrame, models: Sequence[Chosen]) -> Groups:
    difference = F.count_if(_gained(models)) - F.count_if(_lost(models))
    each = answered.groupBy("group").agg(F.count(F.lit(1)).alias("rows"), difference.alias("difference"))
    products = {
        "sizes": ("rows", "rows"),
        "differences": ("difference", "difference"),
        "products": ("rows", "difference"),
    }
    sums = each.agg(*(F.sum(F.col(one) * F.col(other)).alias(name) for name, (one, other) in products.items()))
    row = sums.collect()[0]
    return Groups(*(float(row[name] or 0) for name in products))


def equal_mass(rows: Floats, confidence: Floats, right: Floats, bins: int = BINS) -> list[Bin]:
    """Neighbouring steps of confidence put together to bins of about equal mass.

    Args:
        rows, confidence, right: of each step in order, its rows (above 0), their summed confidence, how many are right.
    """
    place = np.floor((np.cumsum(rows) - rows / 2) / max(rows.sum(), 1) * bins).astype(np.int64)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (rows, confidence, right)]
    return [Bin(int(n), float(total / n), float(hits / n)) for n, total, hits in zip(*sums, strict=True) if n]


def signs(spark: SparkSession, answered: DataFrame, models: Sequence[Chosen]) -> tuple[list[int], list[float]]:
    """Of each `compared` row of an audit sample 1 where the candidate alone is right, -1 where the champion alone is,
    else 0; and its weight."""
    sign = F.when(_gained(models), 1).when(_lost(models), -1).otherwise(0).alias("sign")
    with portions_for(spark, _pictures(models)):
        rows = answered.select(sign, "weight").collect()
    return [int(row["sign"]) for row in rows], [float(row["weight"]) for row in rows]


def _gained(models: Sequence[Chosen]) -> Column:
    return F.col("right_0") & ~F.col("right_1") if len(models) > 1 else F.lit(False)


def _lost(models: Sequence[Chosen]) -> Column:
    return ~F.col("right_0") & F.col("right_1") if len(models) > 1 else F.lit(False)


def _pictures(models: Sequence[Chosen]) -> str | None:
    """'raw' if any of them sees raw pictures."""
    return "raw" if any(model.picture is not None and model.picture.kind == "raw" for model in models) else None
