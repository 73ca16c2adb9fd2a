"""Categories are followed to what took their place, in lists and in frames."""

from pyspark.sql import SparkSession
from pyspark.testing import assertDataFrameEqual

from lib.evaluation.replacement import followed, merged_labels, successor


def test_a_chain_is_followed_to_its_end_and_a_circle_ends() -> None:
    assert successor("a", {"a": "b", "b": "c"}) == "c"
    assert successor("x", {"a": "b"}) == "x"
    assert successor("a", {"a": "b", "b": "a"}) == "b"


def test_two_leaves_that_became_one_share_a_label() -> None:
    labels, stands_for = merged_labels(["a", "b", "c"], {"a": "c"})
    assert labels == {"c": 0, "b": 1}
    assert stands_for.tolist() == [0, 1, 0]


def test_rows_are_followed_and_none_is_lost(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("1", "a"), ("2", "c"), ("3", None), ("4", "unheard")], "id string, cat_id string")
    found = followed(rows, "cat_id", {"a": "b", "b": "c"}).select("id", "cat_id")
    assertDataFrameEqual(found, rows.replace("a", "c", "cat_id"))
    assert followed(rows, "cat_id", {}) is rows
