"""The audit sample: test offers of a month that people label, so that machine and people can be compared (R1).

A stratified random sample, proportional to the top-level categories of the given labels and with at least one offer of
each (Cochran, Sampling Techniques, 3rd ed. 1977, ch. 5), so that a small category is looked at too; the weight of an
offer is how many of its stratum it stands for. It is drawn once a month and kept for ever: nobody learns from it.
"""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lib import tables
from lib.categories.answers import answered, majority
from lib.categories.taxonomy import Leaf, living
from lib.sources.latest import latest_products
from schemas.audit_sample import AUDIT_SAMPLE
from schemas.products import PRODUCTS
from schemas.reviews import REVIEWS
from schemas.tokens import TOKENS

# Never change them: other salts would draw, and lay out, other samples than those that were drawn.
DRAW_SALT, SHEET_SALT = "catmatch-audit", "catmatch-audit-sheet"
NO_LEAF = "no known label"
# Where there are more top-level categories than offers to draw, the smallest share a stratum.
POOLED = "small categories"


def population(spark: SparkSession, warehouse: str, month: str) -> DataFrame:
    """What the month's sample is drawn from, as `drawable` says.

    Raises:
        UserError: the month has no tokens or no products.
    """
    tables.read_month(spark, warehouse, TOKENS, month)  # says so where there are none
    products = latest_products(tables.read_month(spark, warehouse, PRODUCTS, month))
    return drawable(tables.read(spark, warehouse, TOKENS), products, month)


def drawable(tokens: DataFrame, products: DataFrame, month: str) -> DataFrame:
    """The month's test offers: month, batch, product_id, cat_id.

    A product that was on the train side in any month, under another name, is none of them: models have learnt from it.

    Args:
        tokens: of all months that there are.
        products: the month's latest row of each product.
    """
    offers = tokens.where((F.col("month") == month) & (F.col("split") == "test"))
    offers = offers.select("month", "batch", "product_id", "cat_id")
    delivered = products.select("batch", "product_id")
    trained = tokens.where("split = 'train'").select("product_id")
    offers = offers.join(delivered, on=["batch", "product_id"], how="left_semi")
    return offers.join(trained, on="product_id", how="left_anti")


def draw(offers: DataFrame, leaves: Sequence[Leaf], size: int) -> DataFrame:
    """The rows of `audit_sample`: the same for the same offers, whatever their order and partitioning.

    Args:
        offers: month, batch, product_id, cat_id of one month.
        leaves: the month's taxonomy; a label that is not in it counts as none.
        size: offers to draw; all of them where there are no more.
    """
    stratified = with_stratum(offers, leaves, size)
    counts = {row["stratum"]: int(row["count"]) for row in stratified.groupBy("stratum").count().collect()}
    shares = [(stratum, taken, counts[stratum] / taken) for stratum, taken in allocate(counts, size).items()]
    drawn = offers.sparkSession.createDataFrame(shares, "stratum string, taken int, weight double")
    # The month is part of the hash: each month draws anew.
    rank = F.row_number().over(Window.partitionBy("stratum").orderBy(*_shuffled(DRAW_SALT)))
    ranked = stratified.withColumn("rank", rank).join(F.broadcast(drawn), on="stratum", how="inner")
    sample = ranked.where("rank <= taken")
    return sample.withColumn("position", F.row_number().over(Window.orderBy(*_shuffled(SHEET_SALT)))).select(
        *AUDIT_SAMPLE.columns
    )


def with_stratum(offers: DataFrame, leaves: Sequence[Leaf], size: int) -> DataFrame:
    """Adds `stratum`, the top-level category of the given label; at most `size` different ones."""
    paths = {leaf.cat_id: leaf.path for leaf in leaves}
    tops = [(cat_id, paths[leaf][0]) for cat_id, leaf in living(leaves).items()]
    known = offers.sparkSession.createDataFrame(sorted(tops), "cat_id string, stratum string")
    named = offers.join(F.broadcast(known), on="cat_id", how="left").fillna(NO_LEAF, subset=["stratum"])
    largest = named.groupBy("stratum").count().orderBy(F.desc("count"), "stratum").limit(size + 1).collect()
    if len(largest) <= size:
        return named
    kept = [row["stratum"] for row in largest[: size - 1]]
    return named.withColumn("stratum", F.when(F.col("stratum").isin(kept), F.col("stratum")).otherwise(POOLED))


def allocate(counts: Mapping[str, int], size: int) -> dict[str, int]:
    """How many to draw of each stratum: its share of `size`, at least one, never more than there are.

    Args:
        counts: stratum -> offers in it, above 0; no more strata than `size`.

    Returns:
        Numbers that sum to `size`, or to all offers where there are fewer.
    """
    total = sum(counts.values())
    size = min(size, total)
    shares = {stratum: size * count / total for stratum, count in counts.items()}
    taken = {stratum: max(1, int(share)) for stratum, share in shares.items()}
    while (missing := size - sum(taken.values())) != 0:
        step = 1 if missing > 0 else -1
        # The one that its number serves worst; ties by name, so that the order of the strata decides nothing.
        free = [s for s in sorted(counts) if (taken[s] < counts[s] if step > 0 else taken[s] > 1)]
        taken[max(free, key=lambda stratum: step * (shares[stratum] - taken[stratum]))] += step
    return taken


def answered_rows(spark: SparkSession, warehouse: str, month: str) -> DataFrame:
    """The audit offers of the month for which most people named a category.

    Returns:
        product_id, cat_id (what they named), weight (how many test offers it stands for), people (how many answered);
        no rows where nobody answered or nothing was drawn.
    """
    sample = stored(spark, warehouse, month).select("product_id", "weight")
    said = majority(answers(spark, warehouse, month)).where(F.col("cat_id").isNotNull())
    joined = said.join(sample, on="product_id", how="inner")
    return joined.select("product_id", "cat_id", "weight", "people")


def stored(spark: SparkSession, warehouse: str, month: str) -> DataFrame:
    """The month's sample; no rows where none was drawn."""
    return tables.read_if_there(spark, warehouse, AUDIT_SAMPLE, month=month)


def answers(spark: SparkSession, warehouse: str, month: str) -> DataFrame:
    """What people said of the month's sample, rows of `reviews`."""
    return answered(tables.read_if_there(spark, warehouse, REVIEWS, month=month, kind="audit"), "audit")


def _shuffled(salt: str) -> list[Column]:
    return [F.xxhash64("product_id", "month", F.lit(salt)), F.col("product_id")]
