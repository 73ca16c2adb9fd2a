"""What drift compares: how many offers, words and labels each month has, by mall and by category.

Spark counts; of malls and categories the largest are told apart and the others are one, so what reaches the driver is
bounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import manifest, months, tables
from lib.categories.taxonomy import replacements
from lib.evaluation.replacement import successor
from lib.sources.latest import latest_products
from lib.sources.product_ids import mall_column
from lib.text.counts import WORD
from schemas.metrics import METRICS
from schemas.products import PRODUCTS
from schemas.taxonomy import TAXONOMY
from schemas.token_counts import TOKEN_COUNTS
from schemas.tokens import TOKENS

# Twice the platform's leaves, and more malls than have a ten-thousandth of the offers each.
MOST_KEYS = 10_000
# All smaller malls or categories; no id is empty.
REST = ""
MAIN_HEAD = "head=output"
Counts = dict[str, dict[str, int]]
# Slice of what is of all malls together; no mall's id holds a space.
ALL = "all malls"


@dataclass(frozen=True)
class Rate:
    """A share, or a mean of values from 0 to 1, and of how many rows it is."""

    value: float
    rows: int


Rates = dict[str, Rate]
# Slice -> a mean then and now.
Confidence = dict[str, tuple[Rate, Rate]]


@dataclass(frozen=True)
class MonthCounts:
    """One month.

    Attributes:
        malls: mall id (or REST) -> offers, branded, labelled.
        categories: given category (or REST), after replaced ones were followed -> {"offers": …}.
        tokens: mean tokens of a name, and of how many names; None where the month is not tokenized.
        unknown: share of its train words that the vocabulary of the month before lacks; None where it cannot be said.
        mall_tokens, mall_unknown: the two by mall, there of all words; malls beyond the MOST_KEYS largest are left out.
    """

    malls: Counts
    categories: Counts
    tokens: Rate | None = None
    unknown: Rate | None = None
    mall_tokens: Rates = field(default_factory=dict)
    mall_unknown: Rates = field(default_factory=dict)

    @property
    def offers(self) -> int:
        """Of all malls."""
        return total(self.malls, "offers")


def total(counts: Counts, what: str) -> int:
    """Sum over all keys."""
    return sum(one[what] for one in counts.values())


def months_there(spark: SparkSession, warehouse: str, month: str, back: int) -> list[str]:
    """Of the months before, those that have products, in order."""
    wanted = months.window(months.shift(month, -1), back)
    found = tables.read(spark, warehouse, PRODUCTS, month=wanted).select("month").distinct().collect()
    return sorted(str(row["month"]) for row in found)


def inputs_of(spark: SparkSession, warehouse: str, compared: Sequence[str]) -> dict[str, str]:
    """Everything that the counts of these months are of, as fingerprints."""
    found = {}
    for table in (PRODUCTS, TOKENS, TOKEN_COUNTS, TAXONOMY):
        there = tables.exists(spark, warehouse, table)
        for month in compared:
            value = str(tables.fingerprint(spark, warehouse, table, month=month)) if there else "none"
            found[f"{table.name} {month}"] = value
    for stage in ("vocabulary", "evaluate"):
        for month in [months.shift(compared[0], -1), *compared]:
            made = manifest.find(warehouse, stage, month)
            found[f"{stage} {month}"] = made.key if made else "none"
    return found


def count(spark: SparkSession, warehouse: str, compared: Sequence[str]) -> dict[str, MonthCounts]:
    """Month -> its counts.

    Args:
        compared: months in order, the last of them the one that is looked at; its taxonomy says what was replaced.
    """
    products = latest_products(tables.read(spark, warehouse, PRODUCTS, month=list(compared)))
    malls = _by_key(products, F.col("mall_id"), {
        "offers": F.count(F.lit(1)),
        "branded": F.count_if(F.coalesce("brnd_nm", "mall_brnd_nm").isNotNull()),
        "labelled": F.count("cat_id"),
    })  # fmt: skip
    categories = _by_key(products.where(F.col("cat_id").isNotNull()), F.col("cat_id"), {"offers": F.count(F.lit(1))})
    replaced = replacements(tables.read_if_there(spark, warehouse, TAXONOMY, month=compared[-1]))
    tokens, mall_tokens = (_tokens(spark, warehouse, compared, key) for key in (F.lit(ALL), mall_column()))
    made = {}
    for month in compared:
        unknown, mall_unknown = _unknown(spark, warehouse, month)
        made[month] = MonthCounts(
            malls.get(month, {}),
            _followed(categories.get(month, {}), replaced),
            tokens.get(month, {}).get(ALL),
            unknown.get(ALL),
            mall_tokens.get(month, {}),
            mall_unknown,
        )
    return made


def category_names(spark: SparkSession, warehouse: str, month: str, cat_ids: Sequence[str]) -> dict[str, str]:
    """cat_id -> 'top > … > leaf', of those that the month's taxonomy has."""
    leaves = tables.read_if_there(spark, warehouse, TAXONOMY, month=month).where(F.col("cat_id").isin(list(cat_ids)))
    return {str(row["cat_id"]): " > ".join(row["path"]) for row in leaves.select("cat_id", "path").collect()}


def confidence(spark: SparkSession, warehouse: str, month: str) -> Confidence:
    """Mean confidence of last month's model on the test side that it was measured on, and on this month's test names.

    Returns:
        ALL, or a mall's id -> both; empty where `evaluate` has not put last month's model before this month's names.
    """
    before = manifest.find(warehouse, "train", months.shift(month, -1))
    if before is None or not tables.exists(spark, warehouse, METRICS):
        return {}
    version = str(before.facts["version"])
    then = _mean_confidence(spark, warehouse, before.month, version, "test")
    now = _mean_confidence(spark, warehouse, month, version, "next_month")
    overall = {} if then is None or now is None else {ALL: (then, now)}
    return overall | _mall_confidence(warehouse, before.month, month, version)


def _mall_confidence(warehouse: str, before: str, month: str, version: str) -> Confidence:
    """By the mall of sampled test names, of malls of which both months have some."""
    own, fresh = (manifest.find(warehouse, "evaluate", one) for one in (before, month))
    older = (fresh.facts.get("next_month") or {}) if fresh is not None else {}
    if own is None or (own.facts["model_version"], older.get("model_version")) != (version, version):
        return {}
    then, now = (facts.get("mall_confidence", {}) for facts in (own.facts, older))
    return {mall: (Rate(*then[mall]), Rate(*now[mall])) for mall in sorted(then.keys() & now.keys())}


def _mean_confidence(spark: SparkSession, warehouse: str, month: str, version: str, split: str) -> Rate | None:
    rows = tables.read(spark, warehouse, METRICS, month=month, model_version=version, split=split)
    wanted = rows.where(F.col("slice").isin("all", MAIN_HEAD) & F.col("name").isin("mean_confidence", "rows"))
    found = {(row["slice"], row["name"]): row["value"] for row in wanted.collect()}
    try:
        return Rate(found["all", "mean_confidence"], int(found[MAIN_HEAD, "rows"]))
    except KeyError:
        return None


def _by_key(rows: DataFrame, key: Column, counted: Mapping[str, Column]) -> dict[str, Counts]:
    """Month -> key -> counts; all but the MOST_KEYS largest keys are REST."""
    by_key = rows.groupBy("month", key.alias("key")).agg(*(made.alias(name) for name, made in counted.items()))
    by_key.persist()
    try:
        sizes = by_key.groupBy("key").agg(F.sum("offers").alias("size"))
        largest = sizes.orderBy(F.desc("size"), "key").limit(MOST_KEYS).select("key", F.lit(True).alias("large"))
        named = F.when(F.col("large"), F.col("key")).otherwise(F.lit(REST)).alias("key")
        joined = by_key.join(F.broadcast(largest), on="key", how="left").select("month", named, *counted)
        found = joined.groupBy("month", "key").agg(*(F.sum(name).alias(name) for name in counted)).collect()
    finally:
        by_key.unpersist()
    made: dict[str, Counts] = {}
    for row in found:
        made.setdefault(row["month"], {})[row["key"]] = {name: int(row[name]) for name in counted}
    return made


def _followed(categories: Counts, replaced: Mapping[str, str]) -> Counts:
    """Counts of the leaves that live."""
    made: Counts = {}
    for cat_id, counts in categories.items():
        living = made.setdefault(successor(cat_id, replaced), {"offers": 0})
        living["offers"] += counts["offers"]
    return made


def _tokens(spark: SparkSession, warehouse: str, compared: Sequence[str], key: Column) -> dict[str, Rates]:
    """Month -> key -> mean tokens of a name, of those months whose names were cut as the last one's are."""
    if not tables.exists(spark, warehouse, TOKENS):
        return {}
    stored = tables.read(spark, warehouse, TOKENS, month=list(compared))
    keys = stored.select("month", "tokenizer_key").distinct().collect()
    by = {row["tokenizer_key"] for row in keys if row["month"] == compared[-1]}
    if len(by) != 1:
        return {}
    alike = stored.where(F.col("tokenizer_key") == by.pop()).groupBy("month", key.alias("key"))
    counted = alike.agg(F.avg(F.size("name_tokens")).alias("mean"), F.count(F.lit(1)).alias("rows"))
    made: dict[str, Rates] = {}
    for row in counted.orderBy(F.desc("rows"), "key").limit(MOST_KEYS * len(compared)).collect():
        made.setdefault(row["month"], {})[row["key"]] = Rate(row["mean"], row["rows"])
    return made


def _unknown(spark: SparkSession, warehouse: str, month: str) -> tuple[Rates, Rates]:
    """Shares of words that the vocabulary of the month before lacks: ALL -> of the month's train words; mall -> of all
    words of its names."""
    before = months.shift(month, -1)
    if manifest.find(warehouse, "vocabulary", before) is None:
        return {}, {}
    vocabulary = manifest.artefact_of(warehouse, "vocabulary", before, "vocabulary")
    words = spark.read.parquet(str(vocabulary.path("words.parquet"))).select("token", F.lit(True).alias("known"))
    same = F.col("tokenizer_key") == vocabulary.facts["tokenizer_key"]
    train = tables.read(spark, warehouse, TOKEN_COUNTS, month=month).where(same & (F.col("field") == WORD))
    names = tables.read(spark, warehouse, TOKENS, month=month).where(same)
    of_all = train.select(F.lit(ALL).alias("key"), "token", "count")
    by_mall = names.select(mall_column().alias("key"), F.explode("name_tokens").alias("token"), F.lit(1).alias("count"))
    return _missing(of_all, words), _missing(by_mall, words)


def _missing(counts: DataFrame, words: DataFrame) -> Rates:
    """Key -> share of the words that are unknown, of the MOST_KEYS keys with most words.

    Args:
        counts: key, token, count.
        words: token, known.
    """
    joined = counts.join(F.broadcast(words), on="token", how="left").groupBy("key")
    missing = F.sum(F.when(F.col("known").isNull(), F.col("count")).otherwise(0))
    sums = joined.agg(F.sum("count").alias("rows"), missing.alias("missing"))
    found = sums.orderBy(F.desc("rows"), "key").limit(MOST_KEYS).collect()
    return {row["key"]: Rate(row["missing"] / row["rows"], int(row["rows"])) for row in found}
