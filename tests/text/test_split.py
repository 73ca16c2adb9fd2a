"""The split is by what a name says, and never changes."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib.text.split import group_key, split
from schemas.tokens import SPLITS

KEYS = {
    "[무료배송] 나이키 에어맥스 270": "나이키 에어맥스",
    "에어맥스 나이키 (1+1) 【특가】": "나이키 에어맥스",
    "나이키, 에어맥스! 나이키": "나이키 에어맥스",
    "NIKE Air": "air nike",
    "1+1": "1+1",
    "😀 [Sale]": "😀 [sale]",
    "[미닫이 나이키": "나이키 미닫이",
    "": "",
}
# Fixed for ever: another value here would move names from train to test in every month there is.
KNOWN = {"나이키 에어맥스": "test", "여성 원피스": "train", "사과 10kg": "train"}


def test_the_group_key_is_the_set_of_words(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(name,) for name in KEYS], "name string").select("name", group_key(F.col("name")))
    assert {row[0]: row[1] for row in rows.collect()} == KEYS


def test_the_split_follows_the_group_and_is_80_10_10(spark: SparkSession) -> None:
    names = spark.range(20_000).select(F.concat(F.lit("상품 "), F.conv("id", 10, 26)).alias("name"))
    letters = names.select(F.translate("name", "0123456789", "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊ").alias("name"))
    both = letters.select(
        split(F.col("name")).alias("side"), split(F.concat(F.lit("[1+1] "), F.col("name"))).alias("again")
    )
    sides = {row["side"]: row["count"] for row in both.groupBy("side").count().collect()}
    assert both.where("side <> again").count() == 0
    assert set(sides) == set(SPLITS)
    assert abs(sides["train"] / 20_000 - 0.8) < 0.02
    assert abs(sides["test"] / 20_000 - 0.1) < 0.02


def test_known_names_stay_on_their_side(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(name,) for name in KNOWN], "name string").select("name", split(F.col("name")))
    assert {row[0]: row[1] for row in rows.collect()} == KNOWN


def test_folds_take_turns_at_being_the_test_side(spark: SparkSession) -> None:
    letters = F.translate(F.conv("id", 10, 26), "0123456789", "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊ")
    names = spark.range(5_000).select(F.concat(F.lit("상품 "), letters).alias("name"))
    folds = names.select(*(split(F.col("name"), fold).alias(f"fold_{fold}") for fold in range(5))).toPandas()
    # Every name is tested in one fold, and no fold is much larger than another.
    assert ((folds == "test").sum(axis=1) == 1).all()
    assert (abs((folds == "test").mean() - 0.2) < 0.02).all()
    rest = folds["fold_0"][folds["fold_0"] != "test"]
    assert abs((rest == "validation").mean() - 0.1) < 0.02
