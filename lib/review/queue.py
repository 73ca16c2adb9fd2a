"""The review queue: the offers of the train side whose answers teach the next model most.

How useful an answer is thought to be is a product of three figures:

- doubt, 1 minus the margin between the two most probable categories (margin sampling: Scheffer, Decomain and Wrobel,
  Active hidden Markov models for information extraction, 2001);
- how frequent the name is: log2(1 + offers of its name group), so that a name of a hundred malls comes before that of
  one, and not a hundred times before;
- its mall: 1 + the mean doubt of the mall's offers, as where many are doubtful the mall's ways are not yet learnt.

Of a name group one offer is asked, what scoring sent to people comes before the rest, and no category or mall fills the
sheet (the simplest of what Settles, Active Learning Literature Survey, 2009, 3.6, calls diversity).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import Column, DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from lib import manifest, tables
from lib.categories.answers import answered, majority
from lib.config import ReviewSettings
from lib.review.sheet import Category
from lib.sources.product_ids import mall_column
from lib.text.split import group_key
from schemas.predictions import PREDICTIONS, REVIEW
from schemas.reviews import NOBODY, REVIEWS
from schemas.tokens import TOKENS


@dataclass(frozen=True)
class Chosen:
    """One offer of the queue.

    Attributes:
        score: how useful an answer is thought to be.
        why: the figures that it follows from, in words.
        suggestions: ids of the machine's most probable categories, best first.
    """

    product_id: str
    score: float
    why: str
    suggestions: tuple[str, ...]


@dataclass(frozen=True)
class Sources:
    """What a month's queue is chosen from.

    Attributes:
        version: model that the month was last scored with.
        predictions: its rows.
        tokens: the month's.
        answers: everybody's answers to queues, of all months.
        fingerprints: content of these, for the stage's inputs.
    """

    version: str
    predictions: DataFrame
    tokens: DataFrame
    answers: DataFrame
    fingerprints: dict[str, str]


def sources(spark: SparkSession, warehouse: str, month: str) -> Sources:
    """The month's.

    Raises:
        UserError: the month was not scored.
    """
    version = str(manifest.require(warehouse, "score", month).facts["model_version"])
    where = {"month": month, "model_version": version}
    answers = answered(tables.read_if_there(spark, warehouse, REVIEWS, kind="queue"), "queue")
    fingerprints = {
        "predictions": f"{version} {tables.fingerprint(spark, warehouse, PREDICTIONS, **where)}",
        "tokens": str(tables.fingerprint(spark, warehouse, TOKENS, month=month)),
        "answers": str(tables.scan_fingerprint(answers)),
    }
    predictions = tables.read(spark, warehouse, PREDICTIONS, **where)
    tokens = tables.read_month(spark, warehouse, TOKENS, month)
    return Sources(version, predictions, tokens, answers, fingerprints)


def choose(given: Sources, settings: ReviewSettings) -> list[Chosen]:
    """The offers to ask about, most useful first: the same for the same tables.

    Offers that anybody answered, in whatever month, are not asked again.
    """
    rows = candidates(given)
    picked = pick(rows, settings).collect()
    tops = given.predictions.join(
        F.broadcast(rows.sparkSession.createDataFrame([(row["product_id"],) for row in picked], "product_id string")),
        on="product_id",
        how="left_semi",
    )
    suggested = {row["product_id"]: row["top"] for row in tops.select("product_id", "top").collect()}
    return [_chosen(row, tuple(one["cat_id"] for one in suggested[row["product_id"]])) for row in picked]


def candidates(given: Sources) -> DataFrame:
    """One row a name group of the train side.

    Returns:
        product_id (the group's most doubtful offer), cat_id (predicted), mall, sent (whether scoring sent it to
        people), margin, offers (of the group), mall_doubt, score.
    """
    train = given.tokens.where("split = 'train'")
    named = train.select("batch", "product_id", F.xxhash64(group_key(F.col("name"))).alias("group"))
    rows = given.predictions.join(named, on=["batch", "product_id"], how="inner")
    asked = given.answers.select("product_id").distinct()
    rows = rows.join(F.broadcast(asked), on="product_id", how="left_anti").select(
        "product_id",
        "cat_id",
        "group",
        mall_column().alias("mall"),
        (F.col("route") == REVIEW).alias("sent"),
        _margin().alias("margin"),
    )
    order = ("sent", F.negative("margin").alias("nearness"), "product_id")
    doubtful = F.max(F.struct(*order, "cat_id", "mall", "margin")).alias("one")
    groups = rows.groupBy("group").agg(doubtful, F.count(F.lit(1)).alias("offers")).select("one.*", "offers")
    malls = rows.groupBy("mall").agg(F.avg(1 - F.col("margin")).alias("mall_doubt"))
    score = (1 - F.col("margin")) * F.log2(1 + F.col("offers")) * (1 + F.col("mall_doubt"))
    return groups.drop("nearness").join(F.broadcast(malls), on="mall", how="inner").withColumn("score", score)


def pick(rows: DataFrame, settings: ReviewSettings) -> DataFrame:
    """At most `review.size` of `candidates`, in order, within the bounds of a category and of a mall."""
    of_category = rows.withColumn("place", _place("cat_id")).where(F.col("place") <= settings.max_per_category)
    of_mall = of_category.withColumn("place", _place("mall")).where(F.col("place") <= settings.max_per_mall)
    return of_mall.drop("place").orderBy(*_order()).limit(settings.size)


def sent_rows(spark: SparkSession, month: str, chosen: Sequence[Chosen]) -> DataFrame:
    """The rows of `reviews` that say that these offers were sent to people."""
    noted = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows = [(month, "queue", one.product_id, NOBODY, None, one.why, one.score, noted) for one in chosen]
    return spark.createDataFrame(rows, REVIEWS.struct).coalesce(1)


def suggestions(chosen: Sequence[Chosen], categories: Sequence[Category]) -> dict[str, list[Category]]:
    """product_id -> the machine's most probable categories that live."""
    known = {category.cat_id: category for category in categories}
    return {one.product_id: [known[cat_id] for cat_id in one.suggestions if cat_id in known] for one in chosen}


def answer_facts(answers: DataFrame, month: str) -> dict[str, int]:
    """How many of the month's offers people answered, of how many most said that none fits, and how many people."""
    of_month = answers.where(F.col("month") == month)
    row = majority(of_month).agg(F.count(F.lit(1)).alias("n"), F.count_if(F.col("cat_id").isNull()).alias("none"))
    counted = row.collect()[0]
    people = of_month.select("reviewer").distinct().count()
    return {"answered": int(counted["n"]), "none_fits": int(counted["none"]), "reviewers": people}


def _margin() -> Column:
    """Between the two most probable categories, 0 to 1; a model of one category has no second."""
    first, second = (F.coalesce(F.get("top", F.lit(place))["probability"], F.lit(0.0)) for place in (0, 1))
    return (first - second).cast("double")


def _order() -> list[Column]:
    return [F.desc("sent"), F.desc("score"), F.col("product_id")]


def _place(column: str) -> Column:
    return F.row_number().over(Window.partitionBy(column).orderBy(*_order()))


def _chosen(row: Row, top: tuple[str, ...]) -> Chosen:
    why = (
        f"{'sent to people by scoring; ' if row['sent'] else ''}margin {row['margin']:.3f}, "
        f"{row['offers']} offers of the name, mean doubt of the mall {row['mall_doubt']:.2f}"
    )
    return Chosen(row["product_id"], float(row["score"]), why, top)
