"""Scores a month of the warehouse into `predictions`, one slice per delivery; killed, it goes on where it stopped.

The products are cut into chunks by their ids' hash; each chunk's answers lie in the staging folder until all are there.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from lib import tables
from lib.chunks import Chunks
from lib.images.portions import portions_for
from lib.manifest import Outcome
from lib.scoring.batch import ANSWER
from lib.scoring.chosen import Chosen
from lib.scoring.pictures import with_pictures
from lib.sources.latest import latest_products
from lib.text.tokens import MALL_LEVELS, brand_fields
from schemas.predictions import AUTOMATIC, PREDICTIONS, REVIEW
from schemas.products import PRODUCTS
from schemas.tokens import TOKENS

LOG = logging.getLogger(__name__)
# Enough for the last ones to end together, and few enough for each to be worth its start.
TASKS_PER_SLOT = 4
STAGED = StructType([PREDICTIONS.struct[name] for name in ("batch", "product_id")] + ANSWER.fields)
# Confidences are told in tenths: how many products fall into each.
TENTHS = 10


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


def score_month(
    spark: SparkSession, warehouse: str, month: str, chosen: Chosen, chunk_rows: int, chunks: Chunks
) -> Outcome:
    """Label every product that the month's tokens hold, chunk by chunk, then write one slice per batch.

    Where the tokens are another tokenizer's than the model's, the names are cut anew in the workers.

    Args:
        chunk_rows: products of a chunk, about.
        chunks: of this work, forgotten when all is stored.

    Raises:
        UserError: the month has no tokens, or not the pictures that the model sees, or names cannot be cut here as in
            the model's training.
    """
    tokens = tables.read_month(spark, warehouse, TOKENS, month)
    month_rows = MonthRows.of(spark, warehouse, month, chosen)
    count = chunks.cut(tokens.count, chunk_rows)
    with portions_for(spark, chosen.picture.kind if chosen.picture else None):
        for number in range(count):
            if not chunks.is_done(number):
                chunk = month_rows.rows.where(F.pmod(F.xxhash64("product_id"), F.lit(count)) == number)
                _score(month_rows, chunk, chunks.result(number))
                LOG.info("score %s: chunk %d of %d", month, number + 1, count)
    places = [str(chunks.result(number)) for number in range(count)]
    staged = spark.read.schema(STAGED).option("basePath", str(chunks.results)).parquet(*places)
    answers = staged.select(*STAGED.names)
    outcome = Outcome(facts={"model_version": chosen.version, "tokens_reused": month_rows.tokens_reused})
    for batch in sorted(_batches(tokens) | _scored_batches(spark, warehouse, month, chosen.version)):
        where = {"month": month, "batch": batch, "model_version": chosen.version}
        stamped = answers.where(F.col("batch") == batch).withColumns({name: F.lit(of) for name, of in where.items()})
        outcome.wrote(PREDICTIONS, where, tables.write(stamped, warehouse, PREDICTIONS, where))
    # Named in the manifest, so that upkeep leaves them where a champion of any age is at work.
    outcome.artefacts = {} if chosen.routing is None else {"thresholds": chosen.routing}
    outcome.exits = {"predictions": sum(entry.rows for entry in outcome.written)}
    predictions = tables.read(spark, warehouse, PREDICTIONS, month=month, model_version=chosen.version)
    outcome.facts |= confidences(predictions) | {"thresholds": chosen.routed_by}
    chunks.forget()
    return outcome


def _score(month_rows: MonthRows, chunk: DataFrame, place: Path) -> None:
    """Stage the answers to some products."""
    if month_rows.chosen.picture is None:
        # Files of tokens are of any size; tasks of equal size keep every core at work to the end. Rows with pictures
        # were spread by the join that brought them, and are too large to be moved twice.
        tasks = TASKS_PER_SLOT * chunk.sparkSession.sparkContext.defaultParallelism
        chunk = chunk.repartition(tasks, "product_id")
    answered = month_rows.answered(chunk, ["batch", "product_id"])
    answered.write.mode("overwrite").partitionBy("batch").parquet(str(place))


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
        "batch",
        "product_id",
        F.col("prod_nm").alias("name"),
        F.concat_ws(" ", *MALL_LEVELS).alias("category"),
        brand_fields(chosen.max_length).alias("brand_fields"),
    )


def _batches(frame: DataFrame) -> set[str]:
    return {str(row["batch"]) for row in frame.select("batch").distinct().collect()}


def _scored_batches(spark: SparkSession, warehouse: str, month: str, version: str) -> set[str]:
    """Deliveries scored before: one that is gone since is emptied."""
    if not tables.exists(spark, warehouse, PREDICTIONS):
        return set()
    return _batches(tables.read(spark, warehouse, PREDICTIONS, month=month, model_version=version))
