"""What a delivered line becomes, and how often Spark looks at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame, SparkSession

from lib.config import CategoryPath, RowFilter, Source
from lib.sources.deliveries import read_deliveries
from lib.sources.staging import Staging
from tests.sources.feeds import HEADER, MONTH, ep, feed, row, settings, sorted_rows

PLAN_FIELDS = "spark.sql.debug.maxToStringFields"


@contextmanager
def offers_of(spark: SparkSession, folder: Path, *lines: str) -> Iterator[DataFrame]:
    (folder / "m.tsv").write_text(feed(*lines), newline="")
    given = settings(folder, ep(folder))
    with Staging(given.staging, given.max_bytes) as staging:
        yield read_deliveries(spark, given, given.sources, MONTH, staging).offers


def test_a_line_is_split_once_whatever_is_asked_of_its_offer(spark: SparkSession, tmp_path: Path) -> None:
    before = spark.conf.get(PLAN_FIELDS)
    spark.conf.set(PLAN_FIELDS, "1000")
    try:
        with offers_of(spark, tmp_path, row("1", "a")) as offers:
            plan = offers.where("valid AND row >= 0")._jdf.queryExecution().optimizedPlan().toString()
    finally:
        spark.conf.set(PLAN_FIELDS, before)
    assert plan.count("RLIKE(text") == 1, plan
    assert plan.count("split(CASE WHEN clean") == 1, plan


def test_a_products_step_is_short_enough_for_java_to_compile(spark: SparkSession, tmp_path: Path) -> None:
    debug = getattr(getattr(spark._jvm.org.apache.spark.sql.execution.debug, "package$"), "MODULE$")
    with offers_of(spark, tmp_path, row("1", "a")) as offers:
        good = offers.where("valid AND row >= 0").drop("reasons", "raw", "path")
        code = debug.codegenString(good._jdf.queryExecution().executedPlan())
    sizes = [int(part.split(";")[0]) for part in code.split("maxMethodCodeSize:")[1:]]
    assert max(sizes) < 8000, sizes


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("\u00a0\u3000 이름 \u200b\ufeff", "이름"),
        ("가\u00a0나\u3000", "가\u00a0나"),
        ("\u3000가", "가"),
        ("😀\u0085끝", "😀 끝"),
        ("가\u2028나\x1f", "가 나"),
        ("😀 that needs no change", "😀 that needs no change"),
        ("끝\r", "끝"),
        ("\ufffd\uffff", "\ufffd\uffff"),
    ],
)
def test_a_name_loses_outer_blanks_and_control_characters(
    spark: SparkSession, tmp_path: Path, title: str, name: str
) -> None:
    with offers_of(spark, tmp_path, row("1", title) + "\r") as offers:
        found = offers.where("valid AND row >= 0").select("prod_nm", "mall_maker_nm").collect()
    assert [tuple(line) for line in found] == [(name, "제조사")]


@pytest.mark.parametrize(
    ("own_id", "kept"),
    [("\ufeff1", "m:1"), ("\u3000 1\u200b", "m:1"), ("\xa0", None), ("\ufeff", None), ("a b", "m:a b")],
)
def test_an_id_loses_outer_blanks_too(spark: SparkSession, tmp_path: Path, own_id: str, kept: str | None) -> None:
    with offers_of(spark, tmp_path, row("first", "a"), row(own_id, "b")) as offers:
        found = offers.where("prod_nm = 'b'").select("product_id", "reasons").first()
    assert found is not None
    assert (found["product_id"], found["reasons"]) == ((kept, None) if kept else (found["product_id"], ["no_id"]))


def test_a_header_after_a_byte_order_mark_is_a_repeated_one(spark: SparkSession, tmp_path: Path) -> None:
    with offers_of(spark, tmp_path, row("1", "a"), "\ufeff" + HEADER) as offers:
        found = [line["reasons"] for line in offers.orderBy("row").select("reasons").collect()]
    assert found == [["repeated_header"], None, ["repeated_header"]]


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("9800", 9800), ("9,800원", 9800), ("1899.9", 1899), (".5", 0), ("", None), ("₩ 1 200", 1200), ("0", 0),
        ("1e-40", "bad"), ("1e3", "bad"), ("-3", "bad"), ("-3.5", "bad"), ("NaN", "bad"), ("0x5", "bad"), ("원", "bad"),
        ("9" * 20, "bad"),
    ],
)  # fmt: skip
def test_a_price_is_a_whole_amount_or_a_reason(
    spark: SparkSession, tmp_path: Path, text: str, price: int | str | None
) -> None:
    with offers_of(spark, tmp_path, row("1", "a", price=text)) as offers:
        found = offers.where("prod_nm = 'a'").select("price", "reasons").first()
    assert found is not None
    assert found["reasons"] == (["bad_price"] if price == "bad" else None)
    assert price == "bad" or found["price"] == price


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://i/1.jpg", True), ("HTTPS://i/1", True), ("hTTp://", True), ("https://", True), ("http:/i", False),
        ("ftp://i", False), ("xhttp://i", False), ("http://i/a b", False), ("", False), ("http://" + "x" * 2041, True),
        ("http://" + "x" * 2042, False),
    ],
)  # fmt: skip
def test_a_picture_is_on_the_web_or_absent(spark: SparkSession, tmp_path: Path, url: str, kept: bool) -> None:
    with offers_of(spark, tmp_path, row("1", "a", image=url)) as offers:
        found = offers.where("valid AND row >= 0").select("image_url").collect()
    assert [line["image_url"] for line in found] == [url if kept else None]


@pytest.mark.parametrize(
    ("label", "path", "cat_id", "levels"),
    [
        (None, "옴므 > 스킨케어>올인원", None, ("옴므", "스킨케어", "올인원")),
        (-1, "옴므 > 스킨케어>올인원", "올인원", ("옴므", "스킨케어", None)),
        (1, "옴므 > 스킨케어>올인원", "옴므", ("스킨케어", "올인원", None)),
        (2, "옴므>스킨케어", "스킨케어", ("옴므", None, None)),
        (3, "옴므>스킨케어", None, ("옴므", "스킨케어", None)),
        (-1, "옴므", "옴므", (None, None, None)),
        (-1, " > ", None, (None, None, None)),
        (-1, "옴므>스킨케어> >", "스킨케어", ("옴므", None, None)),
        # A level that is missing leaves its place empty: another level is no label in its stead.
        (2, "옴므>>올인원", None, ("옴므", "올인원", None)),
        (1, ">스킨케어>올인원", None, ("스킨케어", "올인원", None)),
        (1, "\u00a0>스킨케어", None, ("스킨케어", None, None)),
        (-1, "", None, (None, None, None)),
    ],
)
def test_a_level_of_the_path_may_be_the_label(
    spark: SparkSession,
    tmp_path: Path,
    label: int | None,
    path: str,
    cat_id: str | None,
    levels: tuple[str | None, ...],
) -> None:
    (tmp_path / "m.tsv").write_text(f"id\tname\tpath\n1\ta\t{path}\n", newline="")
    source = Source(
        name="m", kind="table", path=str(tmp_path / "m.tsv"), columns={"id": "id", "prod_nm": "name"},
        category_path=CategoryPath(column="path", label=label),
    )  # fmt: skip
    products, _, _ = sorted_rows(spark, settings(tmp_path, source))
    found = products["m:1"]
    assert (found["cat_id"], tuple(found[f"mall_cat_nm_{level}"] for level in (1, 2, 3))) == (cat_id, levels)


@pytest.mark.parametrize(("value", "said"), [("{Month}-31", "only {month} may stand"), (True, "texts and numbers")])
def test_a_filters_value_is_a_text_or_a_number(value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RowFilter.model_validate({"column": "day", "is": "<=", "value": value})


def test_a_label_is_a_level_and_the_only_one() -> None:
    with pytest.raises(ValidationError, match="label 0 is no level"):
        CategoryPath(column="path", label=0)
    with pytest.raises(ValidationError, match="keep one of them"):
        Source(
            name="m", kind="table", path="m.tsv", columns={"prod_nm": "name", "cat_id": "c"},
            category_path=CategoryPath(column="path", label=1),
        )  # fmt: skip
