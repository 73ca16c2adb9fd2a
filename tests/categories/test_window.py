"""The tokens of a window: latest rows, absent months, and one tokenizer for all."""

import pytest
from pyspark.sql import SparkSession
from pyspark.testing import assertDataFrameEqual

from lib import tables
from lib.categories.fixed_rows import Rule
from lib.categories.window import check_tokenizer, token_window
from lib.errors import UserError
from schemas.reviews import REVIEWS
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS


def put(spark: SparkSession, warehouse: str, month: str, batch: str, products: list[str], key: str) -> None:
    rows = [(month, batch, p, f"{p} {batch}", ["a"], [], NO_BRANDS, "c", "train", key) for p in products]
    frame = spark.createDataFrame(rows, TOKENS.struct)
    tables.write(frame, warehouse, TOKENS, {"month": month, "batch": batch})


def test_fixes_are_applied_unless_somebody_answered(spark: SparkSession, warehouse: str) -> None:
    put(spark, warehouse, "2026-03", "2026-03-05", ["m:left", "m:answered", "n:other"], "key")
    answer = ("2026-03", "queue", "m:answered", "ann", "d", None, None, "1")
    tables.merge(spark.createDataFrame([answer], REVIEWS.struct), warehouse, REVIEWS)
    window = token_window(spark, warehouse, "2026-03", 1)
    found = window.tokens([Rule(1, ["c"], None, malls=["m"])]).select("product_id", "cat_id", "fix")
    schema = "product_id string, cat_id string, fix int"
    wanted = [("m:left", None, 1), ("m:answered", "d", None), ("n:other", "c", None)]
    assertDataFrameEqual(found, spark.createDataFrame(wanted, schema))
    assert window.facts()["trusted_labels"] == {"rows": 1, "changed": 1}


def test_a_window(spark: SparkSession, warehouse: str) -> None:
    put(spark, warehouse, "2026-01", "2026-01-05", ["m:1"], "old")
    put(spark, warehouse, "2026-03", "2026-03-05", ["m:1", "m:2"], "new")
    assert token_window(spark, warehouse, "2026-03", 1).tokens([]).count() == 2
    put(spark, warehouse, "2026-03", "2026-03-06", ["m:2", "m:3"], "new")
    window = token_window(spark, warehouse, "2026-03", 3)
    assert window.months == ("2026-01", "2026-03")
    assert set(window.fingerprints) == {"tokens 2026-01", "tokens 2026-03"}
    names = {(row.month, row.name) for row in window.tokens([]).collect()}
    assert names == {
        ("2026-01", "m:1 2026-01-05"),
        ("2026-03", "m:1 2026-03-05"),
        ("2026-03", "m:2 2026-03-06"),
        ("2026-03", "m:3 2026-03-06"),
    }
    with pytest.raises(UserError, match=r"tokenize again .*: jobs/tokenize.py --month 2026-01 --force$"):
        check_tokenizer(window)
    assert check_tokenizer(token_window(spark, warehouse, "2026-03", 2)) == "new"
    with pytest.raises(UserError, match=r"no rows of 2026-02; run jobs/tokenize\.py --month 2026-02"):
        token_window(spark, warehouse, "2026-02", 3)
