"""The latest delivery of each product counts."""

from pyspark.sql import SparkSession

from lib.sources.latest import latest_products
from schemas.products import PRODUCTS


def test_the_latest_batch_of_each_product_is_taken(spark: SparkSession) -> None:
    given = [
        ("2026-01", "2026-01-01", "a:1", "old"),
        ("2026-01", "2026-01-20", "a:1", "new"),
        ("2026-01", "2026-01-01", "a:2", "only"),
        ("2026-02", "2026-02-01", "a:1", "another month"),
    ]
    narrow = spark.createDataFrame(given, "month string, batch string, product_id string, prod_nm string")
    products = narrow.selectExpr(
        *[name if name in narrow.columns else f"CAST(NULL AS STRING) AS {name}" for name in PRODUCTS.columns]
    )
    found = latest_products(products)
    assert found.columns == PRODUCTS.columns
    assert sorted(line["prod_nm"] for line in found.collect()) == ["another month", "new", "only"]


def test_a_month_of_one_batch_passes_as_it_is(spark: SparkSession) -> None:
    schema = "month string, batch string, product_id string"
    products = spark.createDataFrame([("2026-01", "2026-01-01", "a:1")], schema)
    assert latest_products(products) is products
