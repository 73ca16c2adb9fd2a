"""Scores a month of the warehouse into `predictions`, one slice per delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.images.portions import portions_for
from lib.manifest import Outcome
from lib.scoring.chosen import Chosen
from lib.scoring.pictures import with_pictures
from lib.sources.latest import latest_products
from schemas.predictions import AUTOMATIC, PREDICTIONS, REVIEW
from schemas.products import PRODUCTS
from schemas.tokens import TOKENS

# Confidences are told in tenths: how many products fall into each.
TENTHS = 10
LEVELS = ("mall_cat_nm_1", "mall_cat_nm_2", "mall_cat_nm_3", "mall_cat_nm_4")


@dataclass(frozen=True)
class MonthRows:
    """A month's products as a model reads them.

    Attributes:
        chosen: the model.
        rows: batch, product_id, and what the model takes.
        tokens_reused: whether that is the month's own tokens; otherwise names are cut anew in the workers.
    """

    chosen: Chosen
    rows: DataFrame
    tokens_reused: bool

    @classmethod
    def of(cls, spark: SparkSession, warehouse: str, month: str, chosen: Chosen) -> "MonthRows":
        """The products that the month's tokens hold.

        Raises:
            UserError: the month has no tokens, or not the pictures that the model sees, or names cannot be cut here as
                in the model's training.
        """
        tokens = tables.read_month(spark, warehouse, TOKENS, month)
        made_by = {str(row["tokenizer_key"]) for row in tokens.select("tokenizer_key").distinct().collect()}
        same = made_by == {str(chosen.tokenizer["key"])}
        rows = tokens if same else _texts(spark, warehouse, month, chosen)
        return cls(chosen, with_pictures(rows, warehouse, month, chosen.picture), same)

    def answered(self, rows: DataFrame, kept: Sequence[str]) -> DataFrame:
        """Some of `rows`, labelled: the columns `kept`, then the model's answer (`lib.scoring.batch.ANSWER`)."""
        scorer = self.chosen.scorer
        return (scorer.score_tokens if self.tokens_reused else scorer.score_texts)(rows, kept)


def score_month(spark: SparkSession, warehouse: str, month: str, chosen: Chosen) -> Outcome:
    """Label every product that the month's tokens hold and write one slice per batch.

    Where the tokens are another tokenizer's than the model's, the names are cut anew in the workers.

    Raises:
        UserError: the month has no tokens, or not the pictures that the model sees, or names cannot be cut here as in
            the model's training.
    """
    tokens = tables.read_month(spark, warehouse, TOKENS, month)
    month_rows = MonthRows.of(spark, warehouse, month, chosen)
    outcome = Outcome(facts={"model_version": chosen.version, "tokens_reused": month_rows.tokens_reused})
    total = 0
    for batch in sorted(_batches(tokens) | _scored_batches(spark, warehouse, month, chosen.version)):
        where = {"month": month, "batch": batch, "model_version": chosen.version}
        answered = month_rows.answered(month_rows.rows.where(F.col("batch") == batch), ["product_id"])
        stamped = answered.withColumns({name: F.lit(value) for name, value in where.items()})
        with portions_for(spark, chosen.picture.kind if chosen.picture else None):
            written = tables.write(stamped, warehouse, PREDICTIONS, where)
        outcome.wrote(PREDICTIONS, where, written)
        total += written.rows
    outcome.exits = {"predictions": total}
    predictions = tables.read(spark, warehouse, PREDICTIONS, month=month, model_version=chosen.version)
    outcome.facts |= confidences(predictions) | {"thresholds": chosen.routing}
    return outcome


def confidences(predictions: DataFrame) -> dict[str, Any]:
    """Mean confidence, mean entropy, products with a picture, products in each tenth of confidence and of each route.

    The precision to expect of automatic answers is their mean confidence: it is calibrated.
    """
    tenth = F.least(F.floor(F.col("confidence") * TENTHS), F.lit(TENTHS - 1))
    automatic = F.col("route") == AUTOMATIC
    row = predictions.agg(
        F.avg("confidence").alias("mean_confidence"),
        F.avg("entropy").alias("mean_entropy"),
        F.count_if("with_picture").alias("with_picture"),
        F.count(F.lit(1)).alias("rows"),
        F.count_if(automatic).alias("automatic"),
        F.avg(F.when(automatic, F.col("confidence"))).alias("expected_precision"),
        *(F.count_if(tenth == step).alias(f"tenth_{step}") for step in range(TENTHS)),
    ).collect()[0]
    return {
        "mean_confidence": float(row["mean_confidence"] or 0),
        "mean_entropy": float(row["mean_entropy"] or 0),
        "with_picture": int(row["with_picture"]),
        "routes": {AUTOMATIC: row["automatic"], REVIEW: row["rows"] - row["automatic"]},
        "automatic_share": row["automatic"] / max(row["rows"], 1),
        "expected_precision": row["expected_precision"],
        "by_tenth_of_confidence": [int(row[f"tenth_{step}"]) for step in range(TENTHS)],
    }


def _texts(spark: SparkSession, warehouse: str, month: str, chosen: Chosen) -> DataFrame:
    """The products behind the tokens, as their malls wrote them."""
    chosen.check_tokenizer()
    products = latest_products(tables.read_month(spark, warehouse, PRODUCTS, month))
    return products.select(
        "batch", "product_id", F.col("prod_nm").alias("name"), F.concat_ws(" ", *LEVELS).alias("category")
    )


def _batches(frame: DataFrame) -> set[str]:
    return {str(row["batch"]) for row in frame.select("batch").distinct().collect()}


def _scored_batches(spark: SparkSession, warehouse: str, month: str, version: str) -> set[str]:
    """Deliveries scored before: one that is gone since is emptied."""
    if not tables.exists(spark, warehouse, PREDICTIONS):
        return set()
    return _batches(tables.read(spark, warehouse, PREDICTIONS, month=month, model_version=version))
