"""Real deliveries: the counts balance and the fields make sense."""

from pathlib import Path

from pyspark.sql import SparkSession

from lib.config import Source, load
from tests.sources.feeds import settings, sorted_rows


def test_real_items_catalogues_and_tables(spark: SparkSession, tmp_path: Path, real_data: Path) -> None:
    api = Source(
        name="api", kind="api", format="json", path=f"{real_data}/naver_api/items.json",
        taxonomy={
            "path": f"{real_data}/naver_category_tree/categories.csv", "cat_id": "category_id",
            "levels": ["level1", "level2", "level3", "level4"],
        },
    )  # fmt: skip
    mall = Source(
        name="lush", kind="table", format="json", path=f"{real_data}/cosmetics_malls/lush.json", missing=["#"],
        columns={"id": "url", "prod_nm": "name", "image_url": "image", "price": "salePrice", "mall_brnd_nm": "brand"},
        category_path={"column": "category", "separator": ">"},
    )  # fmt: skip
    flipkart = Source(
        name="flipkart", kind="table", format="csv", path=f"{real_data}/flipkart/*.csv", mall="flipkart",
        columns={"id": "uniq_id", "prod_nm": "product_name", "price": "discounted_price", "mall_brnd_nm": "brand"},
        category_path={"column": "product_category_tree", "separator": ">>", "strip": '[]"'},
    )  # fmt: skip
    coupang = Source(
        name="coupang", kind="table", format="csv", path=f"{real_data}/coupang_bestsellers/history.csv",
        mall="coupang", columns={"prod_nm": "name", "mall_cat_nm_1": "type", "image_url": "image"},
        filters=[{"column": "snapshot", "is": "=", "value": "2021-05-31"}],
    )  # fmt: skip
    products, rejects, records = sorted_rows(spark, settings(tmp_path, api, mall, flipkart, coupang))
    by_source = {
        name: [p for p in products.values() if p["source"] == name] for name in ("api", "lush", "flipkart", "coupang")
    }
    rejected = {name: [r["reasons"] for r in rejects if r["source"] == name] for name in by_source}
    counts = {name: (len(by_source[name]), len(rejected[name])) for name in by_source}
    assert counts["api"] == (339, 1)
    assert sum(counts["lush"]) == 565
    assert counts["lush"][0] == 502
    assert sum(counts["flipkart"]) == 1050
    assert counts["flipkart"][0] > 1000
    assert records == sum(sum(pair) for pair in counts.values())
    assert rejected["api"] == [["duplicate"]]
    assert sum(p["cat_id"] is not None for p in by_source["api"]) > 300
    assert not any("<b>" in p["prod_nm"] or "&amp;" in p["prod_nm"] for p in by_source["api"])
    assert all(p["mall_cat_nm_1"] is None for p in by_source["api"])
    assert sum(p["mall_cat_nm_3"] is not None for p in by_source["lush"]) > 300
    assert sum(p["mall_cat_nm_2"] is not None for p in by_source["flipkart"]) > 1000
    assert all(p["image_url"] and p["image_url"].startswith("http") for p in by_source["coupang"])
    assert {"excluded_by_filter"} >= {reason for reasons in rejected["coupang"] for reason in reasons} - {"duplicate"}


def test_naver_names_by_its_own_configuration(spark: SparkSession, tmp_path: Path, real_data: Path) -> None:
    source = load("conf/naver_names.yaml").ingest.sources[0]  # type: ignore[union-attr]
    source = source.model_copy(update={"path": f"{real_data}/naver_names/names.tsv.xz"})
    products, rejects, records = sorted_rows(spark, settings(tmp_path, source))
    assert records == 206_391
    assert {reason for reject in rejects for reason in reject["reasons"]} == {"excluded_by_filter"}
    assert len({product["cat_id"] for product in products.values()}) == 107
    assert 190_000 < len(products) < 206_391
    assert all(product["mall_id"] == "naver" and product["prod_nm"].strip() for product in products.values())
