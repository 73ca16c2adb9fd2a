"""Rules of fixes on literal rows: train rows only, the first rule that holds, whole or not at all."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.testing import assertDataFrameEqual

from lib.categories.fixed_rows import Rule, read_rules, with_fixes, write_rules

COLUMNS = "product_id string, split string, cat_id string, name_tokens array<string>, category_tokens array<string>"
# product_id, split, given label, label and fix under RULES.
ROWS = [
    ("bada:1", "train", "a", "tent fish", "", "b", 1),  # the first of the split's rules that holds
    ("bada:2", "train", "a", "fish", "", "c", 1),
    ("bada:3", "train", "old", "fish", "", "c", 1),  # a label that `a` took the place of
    ("bada:4", "train", "a", "", "", "a", None),
    ("bada:5", "train", "b", "sale", "", None, 2),  # mall and word: left out
    ("bada:6", "train", "b", "fish", "", "b", None),
    ("nuri:7", "train", "b", "sale", "", "b", None),
    ("bad:8", "train", "b", "sale", "", "b", None),
    ("nuri:9", "train", "c", "fish", "socks", "d", 3),  # by the mall's own category
    ("nuri:10", "train", "c", "socks", "", "c", None),
    ("nuri:11", "train", None, "tent sale", "socks", None, None),
    ("bada:1", "validation", "a", "tent", "", "a", None),
    ("bada:5", "test", "b", "sale", "", "b", None),
]
RULES = [
    Rule(1, ["a", "old"], "b", words=["tent"]),
    Rule(1, ["a", "old"], "c", words=["fish"]),
    Rule(2, ["b"], None, malls=["bada", "garam"], words=["sale", "cheap"]),
    Rule(3, ["c"], "d", mall_category_words=["socks"]),
    Rule(4, ["b"], "d", malls=["bada"], words=["sale"]),
]


@pytest.fixture(scope="module")
def tokens(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([(*row[:3], row[3].split(), row[4].split()) for row in ROWS], COLUMNS)


def test_rules_change_train_rows_alone(spark: SparkSession, tokens: DataFrame) -> None:
    found = with_fixes(tokens, RULES)
    assert found.columns == [*tokens.columns, "fix"]
    wanted = [(row[0], row[1], row[5], row[6]) for row in ROWS]
    schema = "product_id string, split string, cat_id string, fix int"
    assertDataFrameEqual(found.select("product_id", "split", "cat_id", "fix"), spark.createDataFrame(wanted, schema))


def test_without_a_rule_rows_stay(tokens: DataFrame) -> None:
    assertDataFrameEqual(with_fixes(tokens, []), tokens.withColumn("fix", F.lit(None).cast("int")))


def test_what_one_rule_did_no_other_sees(spark: SparkSession) -> None:
    row = spark.createDataFrame([("m:1", "train", "a", ["x"], [])], COLUMNS)
    swap = [Rule(1, ["a"], "b", words=["x"]), Rule(2, ["b"], "a", words=["x"])]
    assert with_fixes(row, swap).first()["cat_id"] == "b"


def test_as_many_rules_as_a_file_may_have(spark: SparkSession) -> None:
    row = spark.createDataFrame([("m:1", "train", "a", ["w199"], [])], COLUMNS)
    rules = [Rule(number, ["a"], f"c{number}", words=[f"w{number}"]) for number in range(200)]
    assert with_fixes(row, rules).first()["cat_id"] == "c199"


def test_rules_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_rules(RULES, tmp_path / "rules.json")
    assert read_rules(tmp_path / "rules.json") == RULES
