"""The dictionary of brands (R2): built from the brand fields and the malls of a history's train rows.

A written form belongs to the brand that most rows with its key name; a mall's own form of the platform's brand, where
the two nearly always stand in the same rows, to that one. Names are searched only for the forms that, in names whose
brand is given, nearly always stand for that brand: 'apple' in 'apple 사과' would otherwise be a brand's.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lib.categories.brand_names import (
    BRANDS_SCHEMA,
    LOOKED_UP,
    SHORTEST,
    BrandDictionary,
    brand_key,
    brands_of,
    mall_form,
)
from lib.config.brands import BrandsSettings
from lib.sources.product_ids import mall_column
from lib.text.lexicon import cached
from lib.text.normalize import normalize
from lib.text.tokens import applied
from schemas.brands import BRANDS
from schemas.tokens import BRAND_FIELDS, SPLITS

PLATFORM, MALL = BRAND_FIELDS[:2]
# Of a mall's name; longer ones are no brand.
MALL_NAME_LENGTH = 100
FORMS = "form string, brand string, searched boolean, rows long, malls long, found long, agreed long"
FOUND = "form string, own boolean"
SEEN = "split string, given boolean, known boolean, found boolean, agreed boolean"
Batches = Iterable[pa.RecordBatch]


def dictionary(tokens: DataFrame, malls: DataFrame, settings: BrandsSettings) -> pa.Table:
    """All written forms of the brands that are kept, as BRANDS_SCHEMA: the most frequent brand first.

    Its size is bounded by `most`, and so is that of what comes to the driver.

    Args:
        tokens: of the history.
        malls: mall_id, mall_nm.
    """
    with ExitStack() as stack:
        train = cached(train_rows(tokens), stack)
        found = cached(forms(train, malls, settings), stack)
        nothing = {name: F.lit(0) for name in ("found", "agreed")}
        tried = _ordered(found.withColumns({"searched": F.length("form") >= SHORTEST, **nothing}))
        return _ordered(chosen(found, searched_for(train, tried), settings))


def _ordered(found: DataFrame) -> pa.Table:
    total = F.sum("rows").over(Window.partitionBy("brand"))
    ordered = found.withColumn("total", total).orderBy(F.desc("total"), "brand", F.desc("rows"), "form")
    return ordered.select(*BRANDS_SCHEMA.names).toArrow().cast(BRANDS_SCHEMA)


def train_rows(tokens: DataFrame) -> DataFrame:
    """mall_id, name and brand_fields of the rows that may be learnt from."""
    return tokens.where(F.col("split") == SPLITS[0]).select(mall_column().alias("mall_id"), "name", "brand_fields")


def forms(train: DataFrame, malls: DataFrame, settings: BrandsSettings) -> DataFrame:
    """form, brand, rows, malls, names: the written forms of the brands that at least `min_count` train rows name; and
    of a form that is a mall's own name how many of its names hold it."""
    given = F.explode(F.array_distinct(F.array_compact(F.array(*(f"brand_fields.{name}" for name in BRAND_FIELDS)))))
    fields = train.select("mall_id", given.alias("form")).groupBy("form").agg(*_counts(), F.lit(0).alias("names"))
    written = fields.unionByName(_of_malls(train, malls, settings)).groupBy("form")
    sums = (F.sum(name).alias(name) for name in ("rows", "names"))
    counted = written.agg(*sums, F.max("malls").alias("malls"))
    keyed = counted.withColumn("own_key", applied(brand_key, F.col("form"))).where("own_key <> ''")
    same = _same_brands(train, settings)
    joined = keyed.join(same, on="own_key", how="left").withColumn("key", F.coalesce("platform_key", "own_key"))
    named = joined.groupBy("key").agg(
        F.sum("rows").alias("total"), F.max_by("form", F.struct("rows", "form")).alias("brand")
    )
    kept = named.where(F.col("total") >= settings.min_count).orderBy(F.desc("total"), "key").limit(settings.most)
    columns = ("form", "brand", "rows", "malls", "names")
    return joined.join(kept.select("key", "brand"), on="key", how="inner").select(*columns)


def searched_for(train: DataFrame, tried: pa.Table) -> DataFrame:
    """form, found, agreed: how many names whose brand is known hold the form, and how many of them are that brand's.

    Args:
        tried: the dictionary that they are searched with.
    """
    seen = train.select("name", "brand_fields").mapInArrow(_search(_shared(train, tried)), FOUND)
    return seen.groupBy("form").agg(F.count(F.lit(1)).alias("found"), F.count_if("own").alias("agreed"))


def chosen(found: DataFrame, seen: DataFrame, settings: BrandsSettings) -> DataFrame:
    """The forms with what `searched_for` saw, and `searched`: whether that is enough, and precise enough.

    Names that hold their mall's own name agree with it.
    """
    joined = found.join(seen, on="form", how="left").fillna(0, ["found", "agreed"])
    joined = joined.withColumns({name: F.col(name) + F.col("names") for name in ("found", "agreed")})
    precise = (F.col("agreed") >= settings.min_count) & (F.col("agreed") >= settings.precision * F.col("found"))
    return joined.withColumn("searched", precise)


def table_rows(spark: SparkSession, made: pa.Table, month: str) -> DataFrame:
    """Rows of `brands` from the dictionary."""
    by_rows = F.sort_array(F.collect_list(F.struct((-F.col("rows")).alias("order"), "form", "searched")))
    grouped = spark.createDataFrame(made.to_pandas(), FORMS).groupBy("brand").agg(
        by_rows.alias("forms"),
        *(F.sum(name).alias(name) for name in ("rows", "found", "agreed")),
        F.max("malls").alias("malls"),
    )  # fmt: skip
    columns = {
        "month": F.lit(month),
        "aliases": F.col("forms.form"),
        "searched": F.expr("transform(filter(forms, one -> one.searched), one -> one.form)"),
    }
    return grouped.withColumns(columns).select(*BRANDS.columns)


def fill_rates(tokens: DataFrame, made: pa.Table) -> dict[str, dict[str, int]]:
    """By side of the split: rows, with a given brand, with a known one, with one in the name, with either; and of those
    with a known one and one in the name, how many agree.

    Args:
        tokens: of a month.
        made: the dictionary.
    """
    seen = tokens.select("split", "name", "brand_fields").mapInArrow(_seen_by(_shared(tokens, made)), SEEN)
    counts = {
        "given": F.col("given"),
        "known": F.col("known"),
        "found": F.col("found"),
        "either": F.col("given") | F.col("found"),
        "judged": F.col("known") & F.col("found"),
        "agreed": F.col("agreed"),
    }
    rows = seen.groupBy("split").agg(
        F.count(F.lit(1)).alias("rows"), *(F.count_if(one).alias(name) for name, one in counts.items())
    )
    return {row["split"]: {name: int(row[name]) for name in ("rows", *counts)} for row in rows.collect()}


def _counts() -> tuple[Column, Column]:
    return F.count(F.lit(1)).alias("rows"), F.count_distinct("mall_id").alias("malls")


def _of_malls(train: DataFrame, malls: DataFrame, settings: BrandsSettings) -> DataFrame:
    """form, rows, malls, names: names of malls that sell one brand, their own, which stands in their offers' names."""
    form = applied(_mall_form, F.col("mall_nm"))
    named = malls.where("mall_nm IS NOT NULL").groupBy("mall_id").agg(F.max("mall_nm").alias("mall_nm"))
    short = named.withColumn("form", form).where(F.length("form") >= SHORTEST).select("mall_id", "form")
    holds = F.col("name").contains(F.col("form"))
    own = train.join(F.broadcast(short), on="mall_id", how="inner").groupBy("mall_id", "form")
    counted = own.agg(F.count_if(holds).alias("rows"), F.count(F.lit(1)).alias("names"))
    single = counted.where((F.col("rows") > 0) & (F.col("rows") >= settings.mall_share * F.col("names")))
    total = F.sum("rows")
    return single.groupBy("form").agg(total.alias("rows"), F.count(F.lit(1)).alias("malls"), total.alias("names"))


def _same_brands(train: DataFrame, settings: BrandsSettings) -> DataFrame:
    """own_key, platform_key: what malls write for a brand that the platform writes otherwise ('nike', '나이키').

    No key that others stand for stands for another itself.
    """
    pairs = train.groupBy(
        F.col(f"brand_fields.{MALL}").alias("written"), F.col(f"brand_fields.{PLATFORM}").alias("platform")
    ).count()
    both = pairs.where("written IS NOT NULL AND platform IS NOT NULL")
    keyed = both.select(
        applied(brand_key, F.col("written")).alias("own_key"),
        applied(brand_key, F.col("platform")).alias("platform_key"),
        "count",
    )
    counted = keyed.where("own_key <> '' AND platform_key <> ''").groupBy("own_key", "platform_key")
    total = F.sum("count").over(Window.partitionBy("own_key"))
    shares = counted.agg(F.sum("count").alias("count")).withColumn("total", total)
    enough = (F.col("count") >= settings.min_count) & (F.col("count") >= settings.alias_share * F.col("total"))
    best = F.row_number().over(Window.partitionBy("own_key").orderBy(F.desc("count"), "platform_key"))
    found = shares.where(enough).withColumn("best", best).where("best = 1").where("own_key <> platform_key")
    same = found.select("own_key", "platform_key")
    others = same.select(F.col("own_key").alias("platform_key"))
    return same.join(others, on="platform_key", how="left_anti").select("own_key", "platform_key")


def _mall_form(name: str) -> str:
    return mall_form(normalize(name, MALL_NAME_LENGTH))


def _shared(rows: DataFrame, made: pa.Table) -> "Broadcast[pa.Table]":
    """What lookups need of a dictionary, on every worker."""
    return rows.sparkSession.sparkContext.broadcast(made.select(LOOKED_UP))


def _search(shared: "Broadcast[pa.Table]") -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def search(batches: Batches) -> Iterator[pa.RecordBatch]:
        dictionary = BrandDictionary.of_table(shared.value)
        for batch in batches:
            pairs = [pair for name, fields in _rows(batch) for pair in _told(dictionary, name, fields)]
            columns = [
                pa.array([form for form, _ in pairs], pa.string()),
                pa.array([own for _, own in pairs], pa.bool_()),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=["form", "own"])

    return search


def _rows(batch: pa.RecordBatch) -> Iterable[tuple[str, list[str]]]:
    """Name and given brands of each row."""
    return zip(batch.column("name").to_pylist(), brands_of(batch.column("brand_fields")), strict=True)


def _told(dictionary: BrandDictionary, name: str, fields: list[str]) -> Iterator[tuple[str, bool]]:
    """Each form in the name and whether it is the given brand's; nothing where that is unknown."""
    given = dictionary.given(fields)
    if dictionary.is_brand(given):
        for form in dictionary.found_forms(name):
            yield form, dictionary.forms[form] == given


def _seen_by(shared: "Broadcast[pa.Table]") -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def see(batches: Batches) -> Iterator[pa.RecordBatch]:
        dictionary = BrandDictionary.of_table(shared.value)
        for batch in batches:
            seen = [_row_seen(dictionary, name, fields) for name, fields in _rows(batch)]
            columns = [batch.column("split"), *(pa.array(list(one), pa.bool_()) for one in zip(*seen, strict=True))]
            if batch.num_rows:
                yield pa.RecordBatch.from_arrays(columns, names=["split", "given", "known", "found", "agreed"])

    return see


def _row_seen(dictionary: BrandDictionary, name: str, fields: list[str]) -> tuple[Any, ...]:
    given, found = dictionary.given(fields), dictionary.found(name)
    known = dictionary.is_brand(given)
    return bool(given), known, bool(found), known and bool(found) and found[0] == given
