"""Products and rejects of small feeds: every record in one of the two, with its place and reasons."""

import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lib.config import Source
from lib.errors import UserError
from lib.sources.sorting import sort_out
from lib.sources.staging import Staging
from tests.sources.feeds import COLUMNS, HEADER, MONTH, ep, feed, row, settings, sorted_rows

SPLIT = "spark.sql.files.maxPartitionBytes"


@pytest.fixture
def small_splits(spark: SparkSession) -> Iterator[None]:
    """Let Spark cut files every few lines, through lines and headers."""
    spark.conf.set(SPLIT, "700")
    yield
    spark.conf.unset(SPLIT)


def reasons(rejects: list[dict[str, object]], file: str) -> list[object]:
    return [reject["reasons"] for reject in rejects if reject["file"] == file]


def test_good_rows_of_every_packing_and_encoding_become_products(spark: SparkSession, tmp_path: Path) -> None:
    deliveries = {
        "plain.tsv": ("\ufeff" + feed(row("1", "이름 하나", "9,800원"), row("2", "😀", ""))).encode(),
        "몰 [1]%20+{x}.tsv": feed(row("1", "가나다 똠방각하", "1.0")).replace("\n", "\r\n").encode("cp949"),
        "packed.tsv.gz": gzip.compress(feed(row("1", "gz")).encode()),
        "tight.tsv.xz": lzma.compress(feed(row("1", "xz", image="ftp://x/1.jpg")).rstrip("\n").encode()),
        "reversed.tsv": "\n".join(
            "\t".join(reversed(line.split("\t"))) for line in (HEADER, row("1", "  거꾸로\u00a0"))
        ).encode(),
    }
    for name, content in deliveries.items():
        (tmp_path / name).write_bytes(content)
    korean = {"몰 [1]%20+{x}": {"name": "한글몰", "encoding": "cp949"}}
    products, rejects, records = sorted_rows(spark, settings(tmp_path, ep(tmp_path, malls=korean)))
    assert rejects == []
    assert records == 6
    assert {key: product["prod_nm"] for key, product in products.items()} == {
        "plain:1": "이름 하나", "plain:2": "😀", "몰 [1]%20+{x}:1": "가나다 똠방각하", "packed:1": "gz",
        "tight:1": "xz", "reversed:1": "거꾸로",
    }  # fmt: skip
    assert products["plain:1"] == {
        "product_id": "plain:1", "prod_nm": "이름 하나", "mall_id": "plain", "mall_nm": None, "mall_cat_nm_1": "의류",
        "mall_cat_nm_2": "상의", "mall_cat_nm_3": None, "mall_cat_nm_4": None, "brnd_nm": None, "maker_nm": None,
        "mall_brnd_nm": "브랜드", "mall_maker_nm": "제조사", "price": 9800, "image_url": "http://i.example/1.jpg",
        "cat_id": "50000167", "source": "malls",
    }  # fmt: skip
    assert products["몰 [1]%20+{x}:1"]["mall_nm"] == "한글몰"
    assert products["몰 [1]%20+{x}:1"]["mall_maker_nm"] == "제조사"
    assert (products["plain:2"]["price"], products["tight:1"]["image_url"]) == (None, None)


def test_bad_rows_are_rejected_with_place_and_reasons(spark: SparkSession, tmp_path: Path, small_splits: None) -> None:
    spark.conf.set(SPLIT, "9000")
    long_name, long_line = "가" * 10_000, "x" * 40_000
    lines = [
        row("1", "good one"),
        row("2", "", "minus"),
        "3\ttoo few",
        row("4", "too many") + "\tmore",
        "",
        row("5", long_name),
        row("6", "nul\0byte"),
        row("7", "control\x01\x1b[31m"),
        row("8", long_line),
        row("", "no id"),
        row("9" * 201, "bad id"),
        row("10", "negative", "-1"),
        HEADER,
        row("1", "the same id"),
        row("11", " \u3000\u200b "),
        row("12", "good two"),
    ]
    content = feed(*lines).encode()
    (tmp_path / "a.tsv").write_bytes(content)
    (tmp_path / "b.tsv").write_bytes(feed(row("1", "another mall")).encode())
    (tmp_path / "c.tsv").write_bytes(feed(row("1", "ascii"), row("2", "한글")).encode("cp949"))
    given_settings = settings(tmp_path, ep(tmp_path), max_line_bytes=35_000)
    products, rejects, records = sorted_rows(spark, given_settings)
    assert records == len(lines) + 3
    assert set(products) == {"a:1", "a:7", "a:12", "b:1"}
    assert products["a:1"]["prod_nm"] == "good one"
    assert products["a:7"]["prod_nm"] == "control  [31m"
    assert reasons(rejects, "a.tsv") == [
        ["empty_name", "bad_price"], ["too_few_fields"], ["too_many_fields"], ["too_few_fields"], ["name_too_long"],
        ["nul_byte"], ["overlong_line"], ["no_id"], ["bad_id"], ["bad_price"], ["repeated_header"], ["duplicate"],
        ["empty_name"],
    ]  # fmt: skip
    assert reasons(rejects, "c.tsv") == [["undecodable"]] * 2
    for reject in rejects:
        delivered = (tmp_path / reject["file"]).read_bytes()
        line = delivered[reject["position"] :].split(b"\n", 1)[0]
        assert reject["position"] == 0 or delivered[reject["position"] - 1] == ord("\n")
        assert reject["raw"] == line[:35_001]


def test_the_first_of_a_repeated_id_counts_across_files_and_sources(
    spark: SparkSession, tmp_path: Path, small_splits: None
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    filler = [row(str(n), f"filler {n}") for n in range(100, 140)]
    (tmp_path / "first" / "m.tsv").write_text(
        feed(row("1", "bad", "price"), *filler, row("1", "kept"), row("2", "kept"))
    )
    (tmp_path / "second" / "m.tsv").write_text(feed(row("1", "late"), row("3", "only"), row("3", "late")))
    one, two = (
        Source(name=name, kind="ep", path=f"{tmp_path}/{name}/m.tsv", batch="2026-01-15")
        for name in ("first", "second")
    )
    products, rejects, _ = sorted_rows(spark, settings(tmp_path, two, one), [one, two])
    assert {key: product["prod_nm"] for key, product in products.items() if "filler" not in product["prod_nm"]} == {
        "m:1": "kept", "m:2": "kept", "m:3": "only",
    }  # fmt: skip
    found = [(reject["source"], reject["reasons"], reject["raw"].split(b"\t")[1]) for reject in rejects]
    assert sorted(found) == [
        ("first", ["bad_price"], b"bad"), ("second", ["duplicate"], b"late"), ("second", ["duplicate"], b"late"),
    ]  # fmt: skip


def test_tables_and_api_items_are_mapped(spark: SparkSession, tmp_path: Path) -> None:
    items = [
        {
            "name": "스킨",
            "url": "u1",
            "image": ["https://i/1", "x"],
            "category": "옴므 > 스킨케어>올인원",
            "price": "#",
        },
        {"name": "크림", "url": "u2", "image": "", "category": "#", "price": 9800, "edge": 40},
        {"name": "로션", "url": "u3", "category": "기타", "price": "12,000원", "edge": "x"},
    ]
    (tmp_path / "mall.json").write_text(json.dumps(items, ensure_ascii=False))
    table = Source(
        name="table", kind="table", format="json", path=f"{tmp_path}/mall.json", mall="m1", missing=["#"],
        columns={"id": "url", "prod_nm": "name", "image_url": "image", "price": "price"},
        constants={"brnd_nm": "우리"}, malls={"m1": {"name": "우리몰"}},
        category_path={"column": "category", "separator": ">"},
    )  # fmt: skip
    api_item = {
        "title": "<b>모기</b>장", "mallName": "다:샵", "productId": "7", "lprice": "450", "image": "http://i/7",
        "brand": "메쉬", "maker": "", "category1": "생활/건강", "category2": "생활용품", "category3": "",
        "category4": "",
    }  # fmt: skip
    (tmp_path / "api.json").write_text(
        json.dumps({"items": [api_item, {**api_item, "category2": "?", "productId": "8"}]})
    )
    (tmp_path / "tree.csv").write_text("cat_id,level1,level2,level3,level4\n500,생활/건강,생활용품,,\n")
    api = Source(
        name="api",
        kind="api",
        format="json",
        path=f"{tmp_path}/api.json",
        taxonomy={"path": f"{tmp_path}/tree.csv"},
    )
    (tmp_path / "edges.tsv").write_text("name\tedge\na\t40\nb\t29\nc\t\nd\t30\n")
    edges = Source(
        name="edges", kind="table", path=f"{tmp_path}/edges.tsv", columns={"prod_nm": "name"},
        filters=[{"column": "edge", "is": ">=", "value": 30}],
    )  # fmt: skip
    products, rejects, records = sorted_rows(spark, settings(tmp_path, table, api, edges))
    assert records == 9
    assert [reject["reasons"] for reject in rejects] == [["excluded_by_filter"], ["excluded_by_filter"]]
    assert [reject["position"] for reject in rejects] == [15, 20]
    first = products["m1:u1"]
    assert [first[f"mall_cat_nm_{level}"] for level in (1, 2, 3, 4)] == ["옴므", "스킨케어", "올인원", None]
    assert (first["price"], first["brnd_nm"], first["mall_nm"], first["image_url"]) == (
        None,
        "우리",
        "우리몰",
        "https://i/1",
    )
    assert (products["m1:u2"]["price"], products["m1:u2"]["mall_cat_nm_1"], products["m1:u3"]["price"]) == (
        9800,
        None,
        12000,
    )
    item = products["다%3A샵:7"]
    assert (item["prod_nm"], item["mall_nm"], item["cat_id"], item["mall_cat_nm_1"], item["brnd_nm"]) == (
        "모기장", "다:샵", "500", None, "메쉬",
    )  # fmt: skip
    assert products["다%3A샵:8"]["cat_id"] is None
    assert sorted(product["prod_nm"] for product in products.values() if product["source"] == "edges") == [
        "a",
        "d",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty or begins with an empty line"),
        (b"\n", "is empty or begins with an empty line"),
        (row("1", "x").encode(), "has no column id, title: its header begins '1.tx"),
        (b"id\ttitle\ttitle\n1\ta\tb\n", "names column 'title' twice"),
        (bytes(range(256)) * 9, "is a binary file"),
        ("번호\tid\ttitle\n".encode("cp949"), "its first line is not utf-8"),
        (b"x" * 5000, "has no column id, title"),
    ],
)
def test_a_feed_without_its_header_is_named(
    spark: SparkSession, tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "bad.tsv").write_bytes(content)
    given_settings = settings(tmp_path, ep(tmp_path), max_line_bytes=4000)
    with (
        Staging(given_settings.staging, 1 << 20) as staging,
        pytest.raises(UserError, match=rf"bad\.tsv.*{complaint}"),
    ):
        sort_out(spark, given_settings, given_settings.sources, MONTH, staging)


lines = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([row("1", "a").encode(), row("2", "나").encode(), HEADER.encode(), b"\r", b"\xef\xbb\xbf"]),
    st.lists(st.binary(max_size=5), min_size=len(COLUMNS), max_size=len(COLUMNS)).map(b"\t".join),
)


@examples(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(lines, max_size=12).map(b"\n".join), min_size=4, max_size=4))
def test_arbitrary_bytes_never_lose_a_record(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, small_splits: None, bodies: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    malls = {"m1": {"encoding": "cp949"}}
    for number, body in enumerate(bodies):
        content = HEADER.encode() + b"\n" + body
        name = f"m{number}.tsv"
        (folder / (f"{name}.gz" if number == 3 else name)).write_bytes(
            gzip.compress(content) if number == 3 else content
        )
    products, rejects, records = sorted_rows(spark, settings(folder, ep(folder, malls=malls), max_line_bytes=256))
    assert records == sum(body.count(b"\n") + (not body.endswith(b"\n") and bool(body)) for body in bodies)
    assert len(products) + len(rejects) == records
    for reject in rejects:
        number = int(reject["file"][1])
        content = HEADER.encode() + b"\n" + bodies[number]
        assert content[reject["position"] :].split(b"\n", 1)[0][:257] == reject["raw"]
