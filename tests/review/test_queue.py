"""The queue: what counts, what is asked once, and how a sheet stays diverse; on literal predictions."""

import math

import pytest
from pyspark.sql import DataFrame, SparkSession

from lib.config import ReviewSettings
from lib.review.queue import Sources, candidates, choose, pick
from schemas.predictions import PREDICTIONS
from schemas.reviews import REVIEWS
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

MONTH, BATCH = "2026-01", "2026-01-05"
# product, name, side, predicted, two probabilities, route
OFFERS = (
    ("hansol:1", "빨간 사과", "train", "100", 0.6, 0.4, "automatic"),
    ("hansol:2", "사과 빨간 3", "train", "101", 0.5, 0.4, "automatic"),
    ("bada:3", "[특가] 빨간 사과", "train", "100", 0.9, 0.1, "automatic"),
    ("bada:4", "배", "train", "100", 0.75, 0.25, "review"),
    ("bada:5", "단감", "train", "100", 0.9, 0.0, "automatic"),
    ("hansol:6", "셔츠", "test", "200", 0.5, 0.5, "review"),
    ("hansol:7", "바지", "validation", "200", 0.5, 0.5, "review"),
    ("hansol:8", "치마", "train", "200", 0.5, 0.5, "review"),
)


@pytest.fixture(scope="module")
def given(spark: SparkSession) -> Sources:
    """hansol:8 was answered a month before."""
    said = [
        (MONTH, BATCH, "3", product, cat_id, ["x"], first, 0.5, [(cat_id, first), ("999", second)], False, route)
        for product, _, _, cat_id, first, second, route in OFFERS
    ]
    tokens = [
        (MONTH, BATCH, product, name, [], [], NO_BRANDS, "100", side, "key") for product, name, side, *_ in OFFERS
    ]
    answers = [("2025-12", "queue", "hansol:8", "ann", "200", None, None, "1")]
    return Sources(
        "3",
        spark.createDataFrame(said, PREDICTIONS.struct),
        spark.createDataFrame(tokens, TOKENS.struct),
        spark.createDataFrame(answers, REVIEWS.struct),
        {},
    )


def test_one_offer_a_name_of_the_train_side_is_a_candidate(given: Sources) -> None:
    rows = {row.product_id: row for row in candidates(given).collect()}
    # The most doubtful of the three red apples; no test or validation name; nothing that was answered.
    assert set(rows) == {"hansol:2", "bada:4", "bada:5"}
    apples, pear = rows["hansol:2"], rows["bada:4"]
    assert (apples.offers, apples.mall, apples.cat_id, apples.sent) == (3, "hansol", "101", False)
    assert (pear.offers, pear.sent, pear.margin) == (1, True, pytest.approx(0.5))
    assert apples.margin == pytest.approx(0.1)
    # hansol's offers have margins .2 and .1, bada's .8, .5 and .9.
    assert apples.mall_doubt == pytest.approx(0.85)
    assert apples.score == pytest.approx(0.9 * 2 * 1.85)
    assert pear.score == pytest.approx(0.5 * math.log2(2) * (1 + 0.8 / 3))


def test_what_scoring_sent_to_people_comes_first(given: Sources) -> None:
    chosen = choose(given, ReviewSettings())
    assert [one.product_id for one in chosen] == ["bada:4", "hansol:2", "bada:5"]
    assert chosen[0].suggestions == ("100", "999")
    assert chosen[0].why == "sent to people by scoring; margin 0.500, 1 offers of the name, mean doubt of the mall 0.27"
    assert chosen[1].why.startswith("margin 0.100, 3 offers")
    assert [one.product_id for one in choose(given, ReviewSettings(size=1))] == ["bada:4"]


def rated(spark: SparkSession, *rows: tuple[str, str, str, float]) -> DataFrame:
    """(product, predicted, mall, score) each."""
    made = [(*row, False, 0.5, 1, 0.5) for row in rows]
    schema = "product_id string, cat_id string, mall string, score double, sent boolean, margin double, offers long"
    return spark.createDataFrame(made, schema + ", mall_doubt double")


def test_no_category_and_no_mall_fills_the_sheet(spark: SparkSession) -> None:
    rows = rated(
        spark,
        ("m:1", "a", "m", 9.0),
        ("m:2", "a", "m", 8.0),
        ("n:3", "a", "n", 7.0),
        ("m:4", "b", "m", 6.0),
        ("m:5", "c", "m", 5.0),
        ("n:6", "d", "n", 4.0),
        ("n:7", "d", "n", 4.0),
    )
    bounded = ReviewSettings(size=10, max_per_category=2, max_per_mall=3)
    assert [row.product_id for row in pick(rows, bounded).collect()] == ["m:1", "m:2", "m:4", "n:6", "n:7"]
    few = bounded.model_copy(update={"size": 2, "max_per_category": 1})
    assert [row.product_id for row in pick(rows.repartition(3), few).collect()] == ["m:1", "m:4"]
