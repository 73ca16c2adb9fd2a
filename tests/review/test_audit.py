"""The audit sample: how it is divided and drawn, and that no train shard knows its products or their names."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import artefact as artefacts
from lib import tables
from lib.artefact import ArtefactWriter
from lib.categories.answers import Corrections
from lib.categories.taxonomy import Leaf
from lib.config import ShardsSettings
from lib.review import audit
from lib.shards.build import Categories, build
from lib.shards.encode import Encoding
from lib.text.grams import GRAMS_SCHEMA
from lib.text.split import group_key, split
from lib.text.vocabulary import write_words
from schemas.audit_sample import AUDIT_SAMPLE
from schemas.reviews import REVIEWS

MONTH = "2026-02"
MONTHS = ("2026-01", MONTH, "2026-03")
LEAVES = (
    Leaf("apple", ("식품", "사과")),
    Leaf("pear", ("식품", "배")),
    Leaf("old", ("옛것",), "apple"),
    Leaf("shirt", ("의류", "셔츠")),
)
WORDS = ("사과", "배", "셔츠", "선물", "특가", "제철", "국산", "꿀", "햇", "명품")


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 5000), min_size=1, max_size=40), st.data())
def test_every_stratum_gets_its_share_and_at_least_one(counts: dict[str, int], data: st.DataObject) -> None:
    size = data.draw(st.integers(len(counts), 6000))
    taken = audit.allocate(counts, size)
    total = sum(counts.values())
    assert sum(taken.values()) == min(size, total)
    assert all(1 <= taken[stratum] <= count for stratum, count in counts.items())
    # Rounding and the ones given to small strata aside, nobody gets more than his share.
    assert all(taken[s] <= max(1, min(size, total) * count / total + 1) for s, count in counts.items())
    assert taken == audit.allocate(dict(reversed(counts.items())), size)


def offers(spark: SparkSession) -> DataFrame:
    labels = ["apple"] * 30 + ["old"] * 10 + ["pear"] * 20 + ["shirt"] * 30 + [None] * 9 + ["unheard"]
    rows = [(MONTH, f"{MONTH}-05", f"m:{n}", cat_id) for n, cat_id in enumerate(labels)]
    return spark.createDataFrame(rows, "month string, batch string, product_id string, cat_id string")


def test_a_sample_is_stratified_weighted_and_the_same_whenever_drawn(spark: SparkSession) -> None:
    rows = audit.draw(offers(spark), LEAVES, 20).orderBy("position").collect()
    by_stratum: dict[str, list[float]] = {}
    for row in rows:
        by_stratum.setdefault(row.stratum, []).append(row.weight)
    # A replaced leaf is of its successor's category; a label that nobody knows counts as none.
    assert by_stratum == {"식품": [5.0] * 12, "의류": [5.0] * 6, audit.NO_LEAF: [5.0] * 2}
    assert [row.position for row in rows] == list(range(1, 21))
    assert [row.stratum for row in rows] != sorted(row.stratum for row in rows)
    again = audit.draw(offers(spark).repartition(3, "product_id"), LEAVES, 20).orderBy("position").collect()
    assert again == rows
    later = audit.draw(offers(spark).withColumn("month", F.lit("2026-03")), LEAVES, 20).collect()
    assert {row.product_id for row in later} != {row.product_id for row in rows}
    assert {row.weight for row in audit.draw(offers(spark), LEAVES, 1000).collect()} == {1.0}


def test_more_categories_than_offers_share_a_stratum(spark: SparkSession) -> None:
    rows = audit.draw(offers(spark), LEAVES, 2).collect()
    assert {(row.stratum, row.weight) for row in rows} == {("식품", 60.0), (audit.POOLED, 40.0)}


@pytest.fixture(scope="module")
def tokens(spark: SparkSession) -> DataFrame:
    """Three months of names on their real sides, each month with another promotion.

    m:early is a train name before it is a test name; m:late is a test name before it is a train name.
    """
    names = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[:2]]
    frame = spark.createDataFrame([(f"m:{n}", name) for n, name in enumerate(names)], "product_id string, name string")
    sides = {row.split: row.name for row in frame.select("name", split(F.col("name")).alias("split")).collect()}
    rows = [(month, f"m:{n}", f"[{month}] {name} 3") for month in MONTHS for n, name in enumerate(names)]
    for month, early, late in zip(MONTHS, ("train", "test", "test"), ("test", "test", "train"), strict=True):
        rows += [(month, "m:early", sides[early]), (month, "m:late", sides[late])]
    made = spark.createDataFrame(rows, "month string, product_id string, name string").withColumns(
        {
            "batch": F.concat("month", F.lit("-05")),
            "split": split(F.col("name")),
            "name_tokens": F.split("name", " "),
            "category_tokens": F.array().cast("array<string>"),
            "cat_id": F.when(F.col("name").contains("셔츠"), "shirt").otherwise("apple"),
            "fix": F.lit(None).cast("int"),
        }
    )
    return made.cache()


def test_no_audit_product_nor_its_name_is_in_a_train_shard(tokens: DataFrame, tmp_path: Path) -> None:
    products = tokens.where(F.col("month") == MONTH).select("batch", "product_id")
    offered = audit.drawable(tokens.where(F.col("month") <= MONTH), products, MONTH)
    sample = audit.draw(offered, LEAVES, 1000)
    audited = {row.product_id for row in sample.collect()}
    assert len(audited) > 10
    assert "m:late" in audited
    assert "m:early" not in audited

    # The window of the month after, as normalize and shards take it.
    window = Corrections(None, sample.select("product_id"))
    assert window.facts(tokens) == {"held_back_for_audit": 1}
    trained = train_rows(window.applied(tokens), tmp_path)
    assert len(trained) > 100
    assert "m:early" in trained
    assert not audited & trained
    named = tokens.select("*", group_key(F.col("name")).alias("group")).collect()
    audited_names = {row.group for row in named if row.month == MONTH and row.product_id in audited}
    trained_names = {row.group for row in named if row.split == "train" and row.product_id in trained}
    assert not audited_names & trained_names


def train_rows(tokens: DataFrame, folder: Path) -> set[str]:
    """The products in the train files of shards made of these tokens."""
    write_words(folder / "words.parquet", ["사과"], [9])
    grams = pa.table({"token": ["사"], "documents": [4], "idf": [1.0]}).cast(GRAMS_SCHEMA)
    pq.write_table(grams, folder / "grams.parquet")
    encoding = Encoding(str(folder / "words.parquet"), str(folder / "grams.parquet"), 2, 2, 2)
    shares = {"apple": (1.0, 1.0), "pear": (1.0, 1.0), "shirt": (1.0, 1.0)}
    categories = Categories(LEAVES, {"apple": 0, "pear": 1, "shirt": 2}, shares)

    def write(writer: ArtefactWriter) -> None:
        build(tokens, categories, encoding, ShardsSettings(file_multiple=1), writer)

    made = artefacts.make(str(folder), "shards", MONTH, "key", write)
    files = [made.path(name) for name in made.files if name.startswith("train/")]
    return {product for file in files for product in pq.read_table(file).column("product_id").to_pylist()}


def test_promotion_gets_what_people_named_with_its_weight(spark: SparkSession, warehouse: str) -> None:
    assert audit.answered_rows(spark, warehouse, MONTH).isEmpty()
    sample = [(MONTH, f"{MONTH}-05", f"m:{n}", "apple", "식품", 2.5, n) for n in (1, 2, 3)]
    tables.write(spark.createDataFrame(sample, AUDIT_SAMPLE.struct), warehouse, AUDIT_SAMPLE, {"month": MONTH})
    said = [("audit", "m:1", "ann", "pear"), ("audit", "m:2", "ann", None), ("queue", "m:3", "ann", "pear")]
    rows = [(MONTH, kind, product, who, cat_id, None, None, "1") for kind, product, who, cat_id in said]
    tables.merge(spark.createDataFrame(rows, REVIEWS.struct), warehouse, REVIEWS)
    found = audit.answered_rows(spark, warehouse, MONTH).collect()
    assert [tuple(row) for row in found] == [("m:1", "pear", 2.5, 1)]
