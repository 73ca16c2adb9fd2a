"""Crawled pages become offers: parsed, told apart, refused where a site was made over."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import ingest
from lib import tables
from lib.config import Config, IngestSettings, Source, Storage
from lib.crawl import parsers
from lib.errors import UserError
from schemas.pages import PAGES
from schemas.products import PRODUCTS
from schemas.rejects import REJECTS
from tests.sources.feeds import MONTH, ep, feed, row

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIST, OTHER = "http://a.example/search/category.nhn?cat_id=1", "http://a.example/search/category.nhn?cat_id=2"
PRODUCT = "http://a.example/product/m/1"


def item(own_id: str, name: str, **more: Any) -> dict[str, Any]:
    return {"mallProductId": own_id, "productTitle": name, "mallNo": "m", "mallName": "몰", "price": 1000,
            "categoryId": "50", **more}  # fmt: skip


def embedded(state: Any) -> bytes:
    text = json.dumps({"props": {"pageProps": {"initialState": state}}})
    return f'<script id="__NEXT_DATA__" type="application/json">{text}</script>'.encode()


def list_page(*items: dict[str, Any]) -> bytes:
    return embedded({"products": {"total": len(items), "list": [{"item": one} for one in items]}})


def page(url: str, content: bytes | None, kind: str = "list", **more: Any) -> tuple[Any, ...]:
    """A row of `pages`."""
    values = {
        "month": MONTH, "url": url, "kind": kind, "host": "a.example", "depth": 1, "round": 1, "attempts": 1,
        "status": 200, "headers": [], "content_type": "text/html; charset=utf-8", "etag": None, "last_modified": None,
        "body": None if content is None else gzip.compress(content), "body_bytes": 1, "sent_bytes": 1, "hash": "h",
        "body_month": MONTH, "links": [], "requested_at": NOW, "seconds": 0.1, **more,
    }  # fmt: skip
    return tuple(values[name] for name in PAGES.columns)


def store(spark: SparkSession, config: Config, *rows: tuple[Any, ...], number: int = 1) -> None:
    frame = spark.createDataFrame(list(rows), PAGES.struct)
    tables.append_round(frame, config.storage.warehouse, PAGES, f"crawl/{rows[0][0]}", number)


def configuration(folder: Path, *more: Source, **of_pages: Any) -> Config:
    storage = Storage(warehouse=str(folder / "warehouse"), state=str(folder / "state"), reports=str(folder / "reports"))
    sources = [Source(name="pages", kind="pages", **of_pages), *more]
    return Config(storage=storage, ingest=IngestSettings(sources=sources, staging=str(folder / "staging")))


def stored(spark: SparkSession, config: Config) -> tuple[dict[str, str], list[tuple[str, int, list[str]]]]:
    """(name by product_id, (file, position, reasons) of the rejects)."""
    warehouse = config.storage.warehouse
    products = tables.read(spark, warehouse, PRODUCTS, month=MONTH).collect()
    names = {line.product_id: line.prod_nm for line in products}
    if not tables.exists(spark, warehouse, REJECTS):
        return names, []
    rejects = tables.read(spark, warehouse, REJECTS, month=MONTH).orderBy("file", "position").collect()
    return names, [(line.file, line.position, line.reasons) for line in rejects]


def test_items_become_products_or_rejects_at_their_place(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(tmp_path)
    store(
        spark, config,
        page(LIST, list_page(item("1", "하나"), item("2", ""), item("3", "셋", price="무료"), item("1", "다시"))),
        page(OTHER, b"<html>no list</html>"),
        page(PRODUCT, embedded({"product": {"item": item("4", "넷", mallMaker="제조사")}}), "product"),
        page("http://a.example/category/category.nhn", b"<html></html>", "tree"),
        page("http://a.example/gone", None, "list", status=404),
    )  # fmt: skip
    done = ingest.run(spark, config, MONTH)
    assert (done.rows_in, done.exits) == (6, {"products": 2, "rejects": 4})
    assert stored(spark, config) == (
        {"m:1": "하나", "m:4": "넷"},
        [(LIST, 1, ["empty_name"]), (LIST, 2, ["bad_price"]), (LIST, 3, ["duplicate"]), (OTHER, 0, ["no_list"])],
    )
    assert ingest.run(spark, config, MONTH).skipped
    store(spark, config, page(LIST + "&pagingIndex=2", list_page(item("5", "다섯"))), number=2)
    assert ingest.run(spark, config, MONTH, source="pages").exits == {"products": 3, "rejects": 4}
    assert ingest.run(spark, config, MONTH).skipped
    # A mended parser takes the pages in again.
    monkeypatch.setattr(parsers, "REVISION", parsers.REVISION + 1)
    assert not ingest.run(spark, config, MONTH, source="pages").skipped


def test_a_product_page_says_more_than_its_row_in_a_list(spark: SparkSession, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    full = embedded({"product": {"item": item("1", "하나", mallMaker="제조사")}})
    store(spark, config, page(LIST, list_page(item("1", "하나"), item("2", "둘"))), page(PRODUCT, full, "product"))
    ingest.run(spark, config, MONTH)
    products = tables.read(spark, config.storage.warehouse, PRODUCTS, month=MONTH)
    assert {line.product_id: line.mall_maker_nm for line in products.collect()} == {"m:1": "제조사", "m:2": None}
    assert stored(spark, config)[1] == [(LIST, 0, ["duplicate"])]


def test_an_unchanged_page_is_read_where_its_body_lies(spark: SparkSession, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    store(spark, config, page(LIST, list_page(item("1", "하나")), month="2025-11", body_month="2025-11"))
    store(spark, config, page(LIST, None, month="2025-12", body_month="2025-11", status=304))
    store(spark, config, page(LIST, None, status=304, body_month="2025-11"))
    ingest.run(spark, config, MONTH)
    assert stored(spark, config)[0] == {"m:1": "하나"}


def test_the_category_that_an_item_carries_wins_over_its_path(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "tree.csv").write_text("cat_id,level1,level2,level3,level4\n500,대,중,,\n")
    config = configuration(tmp_path, taxonomy={"path": f"{tmp_path}/tree.csv"})
    path = {"category1Name": "대", "category2Name": "중"}
    answer = {"total": 2, "items": [
        {"title": "<b>셋</b>", "productId": "3", "mallName": "몰", "lprice": "9", "category1": "대", "category2": "중"},
        {"title": "넷", "productId": "4", "mallName": "몰", "lprice": "9", "category1": "대"},
    ]}  # fmt: skip
    store(
        spark, config, page(LIST, list_page(item("1", "하나", **path), item("2", "둘", **path, categoryId=""))),
        page("http://a.example/v1/search/shop.json?start=1", json.dumps(answer).encode(), "api"),
    )  # fmt: skip
    ingest.run(spark, config, MONTH)
    products = tables.read(spark, config.storage.warehouse, PRODUCTS, month=MONTH)
    assert {line.product_id: line.cat_id for line in products.collect()} == {
        "m:1": "50", "m:2": "500", "몰:3": "500", "몰:4": None,
    }  # fmt: skip


def test_an_item_that_is_too_long_or_no_text_is_a_reject(spark: SparkSession, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    long, nul, half = item("2", "가" * 400_000), item("3", "a\0b"), item("4", "\ud800")
    store(spark, config, page(LIST, list_page(item("1", "하나"), long, nul, half, {"x": []})))
    assert ingest.run(spark, config, MONTH).exits == {"products": 1, "rejects": 4}
    assert [reasons for _, _, reasons in stored(spark, config)[1]] == [
        ["overlong_line"], ["nul_byte"], ["undecodable"], ["no_id", "no_mall", "empty_name"],
    ]  # fmt: skip
    rejects = tables.read(spark, config.storage.warehouse, REJECTS, month=MONTH)
    assert max(len(line.raw) for line in rejects.collect()) == 64 << 10


def test_the_records_of_all_pages_are_the_same_however_spark_cuts_them(spark: SparkSession, tmp_path: Path) -> None:
    found = []
    for number, cuts in enumerate((1, 7)):
        config = configuration(tmp_path / str(number))
        # Each offer is on several pages; which row counts must not depend on where the page lies.
        pages = [
            page(f"{LIST}&p={n}", list_page(*[item(str(own), f"{n}") for own in range(n % 5, 40)])) for n in range(30)
        ]
        frame = spark.createDataFrame(pages, PAGES.struct).repartition(cuts)
        tables.append_round(frame, config.storage.warehouse, PAGES, f"crawl/{MONTH}", 1)
        ingest.run(spark, config, MONTH)
        found.append(stored(spark, config))
    assert found[0] == found[1]
    assert len(found[0][0]) == 40


@pytest.mark.parametrize(
    "changed",
    [b"<html>made over</html>", list_page({**item("1", "하나"), "mallNo": None})],
)
def test_a_site_that_was_made_over_fails_the_month_and_what_is_stored_stays(
    spark: SparkSession, tmp_path: Path, changed: bytes
) -> None:
    config = configuration(tmp_path)
    store(spark, config, *[page(f"{LIST}&p={n}", list_page(item(str(n), "하나"))) for n in range(6)])
    ingest.run(spark, config, MONTH)
    before = stored(spark, config)
    store(spark, config, *[page(f"{LIST}&p={n}", changed) for n in range(6, 14)], number=2)
    with pytest.raises(
        UserError, match=r"8 of 14 crawled pages of a\.example in 2026-01 yield no offer \(such as http"
    ):
        ingest.run(spark, config, MONTH)
    assert stored(spark, config) == before


def test_one_kind_of_page_may_be_made_over_and_the_others_not(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tsv").write_text(feed(row("1", "하나")))
    config = configuration(tmp_path, ep(tmp_path / "in"), batch="2026-01-15")
    products = [embedded({"product": {"item": item(str(n), "하나")}}) for n in range(20)]
    store(
        spark, config, *[page(f"{PRODUCT}{n}", one, "product") for n, one in enumerate(products)],
        *[page(f"{LIST}&p={n}", b"<html>made over</html>") for n in range(5)],
    )  # fmt: skip
    with pytest.raises(UserError, match=r"5 of 5 crawled list pages of a\.example in 2026-01 yield no offer"):
        ingest.run(spark, config, MONTH)
    # Not even the batch of feeds, which is the older one.
    assert not tables.exists(spark, config.storage.warehouse, PRODUCTS)
    assert config.ingest is not None
    more = config.model_copy(update={"ingest": config.ingest.model_copy(update={"min_pages_checked": 6})})
    assert ingest.run(spark, more, MONTH).exits == {"products": 21, "rejects": 5}


def test_pages_say_that_they_take_more_room_than_a_run_has(spark: SparkSession, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    assert config.ingest is not None
    less = config.model_copy(update={"ingest": config.ingest.model_copy(update={"max_bytes": 100})})
    store(spark, less, page(LIST, list_page(item("1", "하나"))))
    with pytest.raises(UserError, match=r"may stage \(ingest\.max_bytes = 100\)"):
        ingest.run(spark, less, MONTH)


def test_pages_that_say_they_are_empty_are_no_new_layout(spark: SparkSession, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    store(
        spark, config, page(LIST, list_page(item("1", "하나"))), *[page(f"{LIST}&p={n}", list_page()) for n in range(9)]
    )
    assert ingest.run(spark, config, MONTH).exits == {"products": 1, "rejects": 0}


def test_a_body_that_is_damaged_or_gone_is_a_reject(spark: SparkSession, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    cut = gzip.compress(list_page(item("2", "둘")))[:-9]
    gone = page(f"{OTHER}&p=2", None, status=304, body_month="2025-11")
    store(spark, config, page(LIST, list_page(item("1", "하나"))), page(OTHER, None, body=cut), gone)
    ingest.run(spark, config, MONTH)
    assert stored(spark, config)[1] == [(OTHER, 0, ["damaged_body"]), (f"{OTHER}&p=2", 0, ["body_missing"])]


def test_a_month_that_was_not_crawled_is_said(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no page of 2026-01 is stored; run jobs/crawl\.py --month 2026-01 first"):
        ingest.run(spark, configuration(tmp_path), MONTH)


def test_one_source_alone_leaves_the_other_batches(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tsv").write_text(feed(row("1", "하나"), row("2", "둘", "x")))
    config = configuration(tmp_path, ep(tmp_path / "in", batch="2026-01-15"))
    store(spark, config, page(LIST, list_page(item("1", "하나"))))
    with pytest.raises(UserError, match="has not been taken in whole"):
        ingest.run(spark, config, MONTH, source="pages")
    with pytest.raises(UserError, match="there is no ingest source 'page'; conf has pages, malls"):
        ingest.run(spark, config, MONTH, source="page")
    whole = ingest.run(spark, config, MONTH)
    assert whole.exits == {"products": 2, "rejects": 1}
    store(spark, config, page(OTHER, list_page(item("9", "아홉"))), number=2)
    (tmp_path / "in" / "a.tsv").write_text("a feed that would be refused\n")
    alone = ingest.run(spark, config, MONTH, source="pages")
    assert (alone.rows_in, alone.exits) == (4, {"products": 3, "rejects": 1})
    assert sorted(stored(spark, config)[0]) == ["a:1", "m:1", "m:9"]
    assert alone.inputs["malls"] == whole.inputs["malls"]
    assert alone.facts["sources"]["malls"] == whole.facts["sources"]["malls"]
    # The feed has changed since, so the next whole run looks at it.
    with pytest.raises(UserError, match="has no column"):
        ingest.run(spark, config, MONTH)


def test_one_source_alone_trusts_only_what_the_last_whole_run_left(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tsv").write_text(feed(row("1", "하나"), row("2", "둘")))
    config = configuration(tmp_path, ep(tmp_path / "in", batch="2026-01-15"))
    store(spark, config, page(LIST, list_page(item("1", "하나"))))
    ingest.run(spark, config, MONTH)
    moved = configuration(tmp_path, ep(tmp_path / "in", batch="2026-01-16"))
    with pytest.raises(UserError, match="has not been taken in whole with this configuration"):
        ingest.run(spark, moved, MONTH, source="pages")
    warehouse, feeds = config.storage.warehouse, {"month": MONTH, "batch": "2026-01-15"}
    rest = spark.createDataFrame(
        tables.read(spark, warehouse, PRODUCTS, **feeds).where("product_id = 'a:1'").collect(), PRODUCTS.struct
    )
    tables.write(rest, warehouse, PRODUCTS, feeds)
    with pytest.raises(UserError, match=r"batch 2026-01-15 of table products changed after the month was taken in"):
        ingest.run(spark, config, MONTH, True, "pages")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"path": "x"}, "come from the table `pages` and have no path"),
        ({"mall": "m"}, "mall is for files; crawled pages take batch, kind, missing, name, taxonomy"),
        ({"filters": [{"column": "price", "is": ">", "value": 1}]}, "filters is for files"),
        ({"format": "json"}, "format is for files"),
    ],
)
def test_what_pages_do_not_take_is_named(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Source(name="pages", kind="pages", **given)


def test_two_sources_of_pages_are_refused(tmp_path: Path) -> None:
    two = [Source(name=name, kind="pages") for name in ("a", "b")]
    with pytest.raises(ValueError, match="two are of kind pages"):
        IngestSettings(sources=two, staging=str(tmp_path))
