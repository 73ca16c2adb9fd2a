"""The train split made flatter: caps, weights and exits on literal rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib.categories.distribution import is_kept, long_tail, normalise, summary, weights
from lib.categories.taxonomy import Leaf
from lib.config import CategoriesSettings

LEAVES = [Leaf("a", ("가",)), Leaf("b", ("나",)), Leaf("old", ("다",), "b"), Leaf("none", ("라",))]

TOKENS = "product_id string, cat_id string, split string, fix int"


def settings(**values: object) -> CategoriesSettings:
    return CategoriesSettings.model_validate({"weight_power": 0.5, **values})


def test_large_leaves_are_sampled_and_every_row_is_accounted_for(spark: SparkSession) -> None:
    rows = [(f"m:{number}", "a", "train") for number in range(400)]
    rows += [(f"m:b{number}", "b", "train") for number in range(20)]
    rows += [("m:o1", "old", "train"), ("m:u1", "gone", "train"), ("m:n1", None, "train")]
    rows += [(f"m:t{number}", "a", "test") for number in range(30)]
    excluded = [(f"m:x{number}", None, "train", 1) for number in range(3)]
    tokens = spark.createDataFrame([(*row, None) for row in rows] + excluded, TOKENS)
    made = normalise(tokens, LEAVES, settings(cap=100))
    table = {row["cat_id"]: row for row in made.table.to_pylist()}
    assert list(table) == ["a", "b", "none"]
    assert (table["a"]["before"], table["a"]["keep"]) == (400, 0.25)
    assert 60 <= table["a"]["after"] <= 140
    assert (table["b"]["before"], table["b"]["after"], table["b"]["keep"]) == (21, 21, 1.0)
    assert (table["none"]["before"], table["none"]["after"], table["none"]["weight"]) == (0, 0, 1.0)
    after = table["a"]["after"]
    assert made.exits == {
        "kept": after + 21,
        "sampled_out": 400 - after,
        "excluded_by_fix": 3,
        "unlabelled": 1,
        "unknown_category": 1,
    }
    # What the shards keep is what was counted.
    kept = tokens.where("cat_id = 'a' AND split = 'train'").where(is_kept(F.lit(0.25)))
    assert kept.count() == after
    # Median of 21 and `after` is the target; the small leaf weighs (median / 21) ** 0.5.
    assert table["b"]["weight"] == pytest.approx(((21 + after) / 2 / 21) ** 0.5)
    assert table["a"]["weight"] == 1.0
    found = summary(made.table)
    assert (found["leaves"], found["leaves_without_rows"], found["capped"], found["weighted"]) == (3, 1, 1, 1)
    assert found["top"][0] == {"cat_id": "a", "before": 400, "after": after}
    assert found["before"]["rows"] == 421


def test_a_long_tail_is_made_before_the_cap_cuts_it(spark: SparkSession) -> None:
    """400, 200 and 133 rows at exponent 1, as the ranks say, of which the cap leaves 300 of the largest."""
    leaves = [Leaf(cat_id, (cat_id,)) for cat_id in "abc"]
    rows = [(f"m:{cat_id}{number}", cat_id, "train", None) for cat_id in "abc" for number in range(400)]
    rows += [("m:t", "a", "test", None)]
    made = normalise(spark.createDataFrame(rows, TOKENS), leaves, settings(long_tail=1.0, cap=300))
    a, b, c = made.table.to_pylist()
    assert (a["before"], a["keep"]) == (400, 0.75)
    assert (b["before"] == b["after"], c["before"] == c["after"]) == (True, True)
    assert b["before"] == pytest.approx(200, abs=60)
    assert c["before"] == pytest.approx(400 / 3, abs=50)
    assert (b["keep"], c["keep"]) == (0.5, pytest.approx(1 / 3))
    assert made.exits["kept"] + made.exits["sampled_out"] == 1200


def test_no_leaf_of_a_long_tail_grows() -> None:
    counts = np.array([0, 7, 1000, 40])
    assert long_tail(counts, 0.0).tolist() == [1.0] * 4
    # Ranks 4, 3, 1, 2: 1000 / 3 and 1000 / 2 are more than there are.
    assert long_tail(counts, 1.0).tolist() == [1.0] * 4
    assert long_tail(counts, 3.0).tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0])
    assert long_tail(np.array([1000, 1000]), 3.0).tolist() == [1.0, 0.125]


def test_one_category_and_no_labels_work(spark: SparkSession) -> None:
    tokens = spark.createDataFrame([("m:1", "a", "train", None)], TOKENS)
    assert normalise(tokens, LEAVES[:1], settings()).exits["kept"] == 1
    unlabelled = normalise(tokens.withColumn("cat_id", F.lit(None).cast("string")), LEAVES[:1], settings())
    assert unlabelled.exits == {**dict.fromkeys(unlabelled.exits, 0), "unlabelled": 1}
    assert summary(unlabelled.table)["before"] == {"rows": 0}


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50), st.floats(0, 1), st.floats(1, 100))
def test_weights_are_bounded_and_fall_with_size(after: list[int], power: float, largest: float) -> None:
    found = weights(np.array(after), settings(weight_power=power, weight_max=largest))
    assert found.dtype == np.float32
    assert np.all((found >= 1) & (found <= np.float32(largest)))
    by_size = sorted(zip(after, found, strict=True))
    filled = [weight for rows, weight in by_size if rows]
    assert filled == sorted(filled, reverse=True)


def test_power_zero_weighs_nothing() -> None:
    assert weights(np.array([1, 1000]), settings(weight_power=0)).tolist() == [1.0, 1.0]
