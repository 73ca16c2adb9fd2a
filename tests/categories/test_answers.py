"""What people answered changes train labels, by majority, and nothing else."""

import pytest
from pyspark.sql import DataFrame, SparkSession

from lib import tables
from lib.categories.answers import Corrections, majority
from lib.categories.window import token_window
from schemas.audit_sample import AUDIT_SAMPLE
from schemas.reviews import REVIEWS
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

MONTH = "2026-03"
TOKEN_COLUMNS = "product_id string, split string, cat_id string, name string, fix int"


def reviews(spark: SparkSession, *rows: tuple[str, str, str, str | None, str]) -> DataFrame:
    """(kind, product, reviewer, cat_id, noted) each, of January."""
    full = [("2026-01", kind, product, who, cat_id, None, None, noted) for kind, product, who, cat_id, noted in rows]
    return spark.createDataFrame(full, REVIEWS.struct)


def test_most_voices_win_then_the_newest(spark: SparkSession) -> None:
    said = majority(
        reviews(
            spark,
            ("queue", "m:most", "ann", "a", "1"),
            ("queue", "m:most", "bob", "a", "2"),
            ("queue", "m:most", "cho", "b", "3"),
            ("queue", "m:tie", "ann", "b", "2"),
            ("queue", "m:tie", "bob", "a", "1"),
            ("queue", "m:none", "ann", None, "1"),
            ("queue", "m:none", "bob", None, "1"),
            ("queue", "m:none", "cho", "a", "9"),
        )
        # Bob thought again a month later, so nobody but Ann says `b` any more.
        .unionByName(reviews(spark, ("queue", "m:again", "bob", "b", "1"), ("queue", "m:again", "ann", "c", "2")))
        .unionByName(reviews(spark, ("queue", "m:again", "bob", "c", "3")).replace("2026-01", "2026-02", "month"))
    )
    assert {(row.product_id, row.cat_id, row.people) for row in said.collect()} == {
        ("m:most", "a", 3), ("m:tie", "b", 2), ("m:none", None, 3), ("m:again", "c", 2),
    }  # fmt: skip


@pytest.fixture(scope="module")
def tokens(spark: SparkSession) -> DataFrame:
    rows = [("m:1", "train", "a", "x", None), ("m:1", "test", "a", "y", None), ("m:2", "train", None, "x", 1)]
    rows += [("m:3", "train", "c", "x", 2), ("m:4", "train", "d", "x", None), ("m:4", "validation", "d", "z", None)]
    rows += [("m:5", "train", "e", "x", 2), ("m:6", "train", None, "x", 1)]
    return spark.createDataFrame(rows, TOKEN_COLUMNS)


def test_only_train_rows_change(spark: SparkSession, tokens: DataFrame) -> None:
    labels = spark.createDataFrame([("m:1", "new"), ("m:2", "new"), ("m:3", "c")], "product_id string, cat_id string")
    audited = spark.createDataFrame([("m:4",)], "product_id string")
    corrections = Corrections(labels, audited)
    assert corrections.applied(tokens).columns == tokens.columns
    # Where somebody answered, no fix says anything any more.
    assert {(*tuple(row)[:3], row.fix) for row in corrections.applied(tokens).collect()} == {
        ("m:1", "train", "new", None), ("m:1", "test", "a", None), ("m:2", "train", "new", None),
        ("m:3", "train", "c", None), ("m:4", "validation", "d", None), ("m:5", "train", "e", 2),
        ("m:6", "train", None, 1),
    }  # fmt: skip
    assert corrections.facts(tokens) == {"trusted_labels": {"rows": 3, "changed": 2}, "held_back_for_audit": 1}
    assert set(corrections.fingerprints()) == {"reviews", "audit_sample"}


def test_a_window_takes_queue_answers_and_no_audit_answer(spark: SparkSession, warehouse: str) -> None:
    where = {"month": MONTH, "batch": f"{MONTH}-05"}
    rows = [(*where.values(), product, "n", [], [], NO_BRANDS, "a", side, "key") for product, side in (
        ("m:queue", "train"), ("m:audit", "train"), ("m:later", "train"), ("m:held", "train"), ("m:test", "test"),
    )]  # fmt: skip
    tables.write(spark.createDataFrame(rows, TOKENS.struct), warehouse, TOKENS, where)
    assert set(token_window(spark, warehouse, MONTH, 1).fingerprints) == {f"tokens {MONTH}"}

    given = reviews(
        spark,
        ("queue", "m:queue", "", None, "0"),
        ("queue", "m:queue", "ann", "new", "1"),
        ("queue", "m:test", "ann", "new", "1"),
        ("audit", "m:audit", "ann", "new", "1"),
        ("audit", "m:test", "ann", "new", "1"),
    )
    later = reviews(spark, ("queue", "m:later", "ann", "new", "1")).replace("2026-01", "2026-04", "month")
    tables.merge(given.unionByName(later), warehouse, REVIEWS)
    drawn = spark.createDataFrame([("2026-02", "2026-02-05", "m:held", "a", "s", 1.0, 1)], AUDIT_SAMPLE.struct)
    tables.write(drawn, warehouse, AUDIT_SAMPLE, {"month": "2026-02"})
    window = token_window(spark, warehouse, MONTH, 1)
    assert {(row.product_id, row.cat_id) for row in window.tokens([]).collect()} == {
        ("m:queue", "new"), ("m:audit", "a"), ("m:later", "a"), ("m:test", "a"),
    }  # fmt: skip
    assert window.facts() == {"trusted_labels": {"rows": 1, "changed": 1}, "held_back_for_audit": 1}
    assert set(window.fingerprints) == {f"tokens {MONTH}", "reviews", "audit_sample"}
