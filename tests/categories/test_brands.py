"""The dictionary of brands from a history's train rows, and what it does for a month's offers."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.testing import assertDataFrameEqual

from lib.categories import brands
from lib.categories.brand_names import BrandDictionary
from lib.config.brands import BrandsSettings
from schemas.brands import BRANDS

SETTINGS = BrandsSettings(min_count=2)
COLUMNS = (
    "product_id string, split string, name string, "
    "brand_fields struct<brnd_nm: string, mall_brnd_nm: string, maker_nm: string, mall_maker_nm: string>"
)
Offer = tuple[str, str, str, tuple[str | None, ...]]


def offer(number: int, name: str, *fields: str | None, split: str = "train", mall: str = "m") -> Offer:
    return f"{mall}:{number}", split, name, (*fields, *[None] * (4 - len(fields)))


# 나이키 is written nike by malls; 애플 stands for the fruit as well; 어퓨 is a mall of its own brand.
OFFERS = [
    *[offer(n, f"나이키 운동화 {n}", "나이키", "nike") for n in range(3)],
    offer(3, "nike 양말", None, "nike", mall="other"),
    offer(4, "nike 모자", None, "nike korea"),
    *[offer(n, "애플 주스", None, "델몬트") for n in (5, 6, 7)],
    *[offer(n, "애플 충전기", "애플") for n in (8, 9)],
    *[offer(n, f"어퓨 크림 {n}", mall="apieu") for n in (10, 11)],
    offer(12, "세럼", mall="apieu"),
    offer(13, "가방", "드문"),
    offer(14, "가방", "없음"),
    offer(15, "나이키 가방", "나이키", split="test"),
    offer(16, "푸마 가방", "푸마", split="test"),
]
MALLS = [("m", "잡화점"), ("apieu", "어퓨 공식몰"), ("other", None)]


@pytest.fixture(scope="module")
def tokens(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(OFFERS, COLUMNS).cache()


@pytest.fixture(scope="module")
def made(tokens: DataFrame) -> pa.Table:
    malls = tokens.sparkSession.createDataFrame(MALLS, "mall_id string, mall_nm string")
    return brands.dictionary(tokens, malls, SETTINGS)


def test_every_form_belongs_to_its_brand(made: pa.Table) -> None:
    of = {row["form"]: row for row in made.to_pylist()}
    assert {form: row["brand"] for form, row in of.items()} == {
        "나이키": "nike", "nike": "nike", "nike korea": "nike", "델몬트": "델몬트", "애플": "애플", "어퓨": "어퓨",
    }  # fmt: skip
    assert (of["nike"]["rows"], of["nike"]["malls"]) == (4, 2)
    assert of["어퓨"]["rows"] == 2
    # The most frequent brand has the first id.
    assert made.column("brand").to_pylist()[0] == "nike"


def test_names_are_searched_for_forms_that_stand_for_their_brand(made: pa.Table) -> None:
    of = {row["form"]: (row["found"], row["agreed"], row["searched"]) for row in made.to_pylist()}
    assert of["나이키"] == (3, 3, True)
    assert of["nike"] == (2, 2, True)
    assert of["애플"] == (5, 2, False)
    assert of["nike korea"] == (0, 0, False)
    assert of["어퓨"] == (2, 2, True)


def test_only_train_rows_make_brands(made: pa.Table) -> None:
    assert "푸마" not in made.column("form").to_pylist()


def test_the_most_frequent_are_kept(tokens: DataFrame) -> None:
    nothing = tokens.sparkSession.createDataFrame([], "mall_id string, mall_nm string")
    few = brands.dictionary(tokens, nothing, BrandsSettings(min_count=1, most=1))
    assert set(few.column("brand").to_pylist()) == {"nike"}


def test_a_history_without_brands_makes_an_empty_dictionary(spark: SparkSession) -> None:
    bare = spark.createDataFrame([offer(1, "사과")], COLUMNS)
    made = brands.dictionary(bare, spark.createDataFrame([("m", "m")], "mall_id string, mall_nm string"), SETTINGS)
    assert made.num_rows == 0
    assert brands.table_rows(spark, made, "2026-01").count() == 0
    assert brands.fill_rates(bare, made)["train"]["either"] == 0


def test_a_brand_is_one_row_of_the_table(spark: SparkSession, made: pa.Table) -> None:
    rows = brands.table_rows(spark, made, "2026-01")
    nike = rows.where("brand = 'nike'")
    expected: Sequence[tuple[object, ...]] = [
        ("2026-01", "nike", ["nike", "나이키", "nike korea"], ["nike", "나이키"], 8, 2, 5, 5)
    ]
    assertDataFrameEqual(nike, spark.createDataFrame(expected, BRANDS.struct))


def test_what_names_add_to_the_fields_is_counted_by_side(tokens: DataFrame, made: pa.Table) -> None:
    found = brands.fill_rates(tokens, made)
    assert found["train"] == {
        "rows": 15, "given": 11, "known": 10, "found": 7, "either": 13, "judged": 5, "agreed": 5,
    }  # fmt: skip
    assert found["test"] == {"rows": 2, "given": 2, "known": 1, "found": 1, "either": 2, "judged": 1, "agreed": 1}


def test_what_a_mall_writes_otherwise_for_many_brands_is_none_of_them(spark: SparkSession) -> None:
    rows = [offer(n, "옷", f"브랜드{n % 4}", "모음") for n in range(8)]
    nothing = spark.createDataFrame([], "mall_id string, mall_nm string")
    made = brands.dictionary(spark.createDataFrame(rows, COLUMNS), nothing, SETTINGS)
    known = BrandDictionary.of_table(made)
    assert len({known.given(["모음"]), *(known.given([f"브랜드{n}"]) for n in range(4))}) == 5
