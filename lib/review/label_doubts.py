"""Rows of `label_doubts`: what a training put in a label's place, and what the label audit found."""

import json
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lib.artefact import Artefact
from schemas.label_doubts import LABEL_DOUBTS


def refurbished(rows: DataFrame, labels: DataFrame, members: int) -> DataFrame:
    """Train rows that all of the model's networks learnt from under one other label: row_id, given, proposed, score.

    Args:
        rows: row_id, label of the train rows.
        labels: member, row_id, label, as the model's artefact has them.
    """
    agreed = labels.groupBy("row_id", F.col("label").alias("proposed")).agg(
        (F.count_distinct("member") / F.lit(members)).alias("score")
    )
    joined = agreed.where("score = 1").join(rows, on="row_id", how="inner")
    return joined.where("proposed <> label").select("row_id", F.col("label").alias("given"), "proposed", "score")


def table_rows(
    spark: SparkSession, found: DataFrame, rows: DataFrame, shards: Artefact, month: str, method: str
) -> DataFrame:
    """Rows of `label_doubts`; of a product that is in several months of the window the most doubted.

    Args:
        found: row_id, given, proposed (labels of the shards) and score.
        rows: row_id, product_id of the train rows.
    """
    records = json.loads(shards.path("label_map.json").read_text(encoding="utf-8"))
    named = spark.createDataFrame([(one["label"], one["cat_id"]) for one in records], "label int, leaf string")
    given, proposed = (
        F.broadcast(named.select(F.col("label").alias(name), F.col("leaf").alias(f"{name}_leaf")))
        for name in ("given", "proposed")
    )
    joined = found.join(rows.select("row_id", "product_id"), on="row_id", how="inner")
    joined = joined.join(given, on="given", how="inner").join(proposed, on="proposed", how="inner")
    most = F.row_number().over(Window.partitionBy("product_id").orderBy(F.desc("score"), F.desc("row_id")))
    return (
        joined.withColumn("most", most)
        .where("most = 1")
        .select(
            F.lit(month).alias("month"), F.lit(method).alias("method"), "product_id",
            F.col("given_leaf").alias("cat_id"), F.col("proposed_leaf").alias("proposed"),
            F.col("score").cast("double").alias("score"),
        )
        .select(*LABEL_DOUBTS.columns)
    )  # fmt: skip


def facts(doubted: DataFrame, shown: int) -> dict[str, Any]:
    """How many, of which leaves into which most often, and the most doubted."""
    pairs = doubted.groupBy("cat_id", "proposed").count().orderBy(F.desc("count"), "cat_id", "proposed").limit(shown)
    most = doubted.orderBy(F.desc("score"), "product_id").limit(shown)
    return {
        "doubted": doubted.count(),
        "pairs": [list(row) for row in pairs.collect()],
        "most": [[row["product_id"], row["cat_id"], row["proposed"], row["score"]] for row in most.collect()],
    }


def read(spark: SparkSession, place: Path) -> DataFrame:
    """A Parquet file that the driver wrote."""
    return spark.read.parquet(str(place.resolve()))
