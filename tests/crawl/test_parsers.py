"""What pages say, by each parser; and that what is no page of its kind has a code."""

import json
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.crawl.parsers import NotParsedError, api_json, embedded_json, list_html, parse
from lib.marketplace.offers import Market
from tests.conftest import ROOT
from tests.crawl.market_site import Serve, Served, serve

__all__ = ["serve"]

ITEM = {
    "id": 7, "productTitle": "이름 </script> & <b>", "price": 12300, "imageUrl": "http://i.example/1.jpg",
    "mallNo": "m", "mallName": "몰", "mallProductId": "1001", "mallCategory1": "가", "mallCategory2": "나",
    "mallCategory3": "", "mallCategory4": "", "mallBrand": "상표", "categoryId": "50",
    "category1Name": "대", "category2Name": "중",
    "category3Name": "소", "category4Name": "",
}  # fmt: skip
OFFER = {
    "id": "1001", "prod_nm": "이름 </script> & <b>", "mall_id": "m", "mall_nm": "몰", "price": "12300",
    "image_url": "http://i.example/1.jpg", "mall_cat_nm_1": "가", "mall_cat_nm_2": "나", "mall_brnd_nm": "상표",
    "cat_id": "50", "path": "대\t중\t소",
}  # fmt: skip
ROW = """<li class="product" data-mall="m" data-mall-product="1001" data-category="50"><a class="title" href="/p">이름
 &lt;/script&gt; &amp; &lt;b&gt;</a><span class="price">12,300원</span><span class="mall">몰</span>
 <span class="brand">상표</span><span class="mall-category">가 &gt; 나</span><img src="http://i.example/1.jpg"></li>"""


def embedded(state: Any) -> str:
    text = json.dumps({"props": {"pageProps": {"initialState": state}}}, ensure_ascii=False).replace("<", "\\u003c")
    return f'<html><meta charset="utf-8"><script id="__NEXT_DATA__" type="application/json">{text}</script></html>'


LIST = "http://shop.example/search/category.nhn?cat_id=1"


def parsed(
    kind: str, text: str, encoding: str = "utf-8", content_type: str = "text/html", url: str = LIST
) -> list[dict[str, str]]:
    """Items without what they do not say."""
    found = parse(kind, url, text.encode(encoding), content_type)
    return [{field: value for field, value in item.items() if value is not None} for item in found]


def test_a_list_is_read_from_its_data() -> None:
    page = embedded({"products": {"total": 1, "list": [{"item": ITEM}]}})
    assert parsed("list", page) == [OFFER]


def test_a_product_says_its_maker_too() -> None:
    page = embedded({"product": {"item": {**ITEM, "mallMaker": "제조사"}}})
    assert parsed("product", page) == [{**OFFER, "mall_maker_nm": "제조사"}]


def test_a_list_without_data_is_read_from_its_html() -> None:
    (found,) = parsed("list", f"<html>{ROW}</html>")
    assert found == {
        **{field: value for field, value in OFFER.items() if field != "path"}, "price": "12,300원",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content_type", "encoding", "page"),
    [
        ("text/html; charset=EUC-KR", "cp949", ROW),
        ("text/html", "cp949", '<meta http-equiv="Content-Type" content="text/html; charset=ms949">' + ROW),
        ("text/html", "cp949", '<meta charset="euc-kr">' + ROW),
        ("text/html; charset=utf-8", "utf-8", '<meta charset="euc-kr">' + ROW),
        ("text/html; charset=utf-8", "cp949", '<meta charset="ks_c_5601-1987">' + ROW),
        ("text/html; charset=unheard-of", "utf-8", ROW),
    ],
)
def test_korean_charsets(content_type: str, encoding: str, page: str) -> None:
    assert parsed("list", page, encoding, content_type)[0]["mall_nm"] == "몰"


def test_api_items_lose_marks_and_entities() -> None:
    item = {
        "title": "<b>원피스</b> A&amp;B", "productId": "9", "mallName": "몰", "lprice": "100", "hprice": "",
        "brand": "", "category1": "대", "category2": "중", "category3": "", "image": "http://i.example/1.jpg",
    }  # fmt: skip
    assert parsed("api", json.dumps({"total": 1, "items": [item]})) == [
        {"prod_nm": "원피스 A&B", "id": "9", "mall_id": "몰", "mall_nm": "몰", "price": "100",
         "image_url": "http://i.example/1.jpg", "path": "대\t중"}
    ]  # fmt: skip


NO_MORE = "http://shop.example/search/category.nhn?cat_id=1&pagingIndex=9"


@pytest.mark.parametrize(
    ("kind", "page", "url"),
    [
        ("list", embedded({"products": {"total": 0, "list": []}}), LIST),
        ("list", embedded({"products": {"total": 90, "pagingIndex": 9, "list": []}}), NO_MORE),
        ("list", '<html><span class="total">0</span></html>', LIST),
        ("list", '<html>전체 <b class="total">1,234개</b></html>', NO_MORE),
        ("api", '{"total": 0, "items": []}', "http://shop.example/v1/search/shop.json?query=a&start=1"),
        ("api", '{"total": 250, "items": []}', "http://shop.example/v1/search/shop.json?query=a&start=301"),
    ],
)
def test_a_page_that_says_it_is_empty_has_no_items(kind: str, page: str, url: str) -> None:
    assert parsed(kind, page, url=url) == []


def test_a_list_whose_data_is_of_a_new_layout_is_read_from_its_html() -> None:
    for data in (embedded({"goods": {}}), embedded({"products": {"total": 1, "list": []}})):
        assert parsed("list", f"{data}<ul>{ROW}</ul>") == parsed("list", ROW)


def test_a_relative_picture_is_of_the_pages_host() -> None:
    (found,) = parsed("list", ROW.replace("http://i.example/1.jpg", "/pictures/1.jpg"))
    assert found["image_url"] == "http://shop.example/pictures/1.jpg"


@pytest.mark.parametrize(
    ("kind", "page", "code"),
    [
        ("list", embedded({"products": {"list": []}}), "empty_list"),
        ("list", embedded({"products": {"total": 7, "list": []}}), "empty_list"),
        ("list", embedded({"products": {"total": True, "list": []}}), "empty_list"),
        ("list", '<ul class="tiles"></ul><span class="total">1,234</span>', "empty_list"),
        ("list", embedded({"goods": {}}), "no_list"),
        ("list", embedded({"products": {"list": {"0": 1}}}), "no_list"),
        ("list", "<html>new layout</html>", "no_list"),
        ("list", '<script id="__NEXT_DATA__">{"props":</script>', "not_json"),
        ("list", f'<script id="__NEXT_DATA__">{"[" * 100_000}</script>', "not_json"),
        ("list", embedded({"products": {"total": 1, "list": [{"item": ITEM}] * 1001}}), "too_many_items"),
        ("list", ROW * 1001, "too_many_items"),
        ("list", "<ul><li class=product>" * 900 + "<span class=title>" + "x" * 1_000_000, "nested_items"),
        ("product", "<html></html>", "no_embedded_data"),
        ("product", embedded({"product": {"item": []}}), "no_product"),
        ("api", "<html></html>", "not_json"),
        ("api", '{"errorCode": "024"}', "no_items"),
        ("api", "[]", "no_items"),
        ("api", '{"total": 9, "items": []}', "empty_answer"),
        ("api", '{"items": []}', "empty_answer"),
        ("api", f'{{"total": 9, "items": [{"1," * 1000}1]}}', "too_many_items"),
        ("api", " " * (9 << 20) + '{"total": 0, "items": []}', "overlong_json"),
        ("tree", ROW, "not_a_page_of_offers"),
    ],
)
def test_what_is_no_page_of_its_kind_has_a_code(kind: str, page: str, code: str) -> None:
    with pytest.raises(NotParsedError, match=f"^{code}$"):
        parsed(kind, page)


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 500_000,
        "<dd><dl>" * 500_000,
        # Each paragraph would open all of these anew.
        "".join(f"<font color={number}><p>" for number in range(200_000)),
        "<a><b>" * 500_000,
        "<p " + " ".join(f"a{number}=1" for number in range(500_000)) + ">",
        "<li class='" + " ".join(f'a{number}=">"' for number in range(500_000)),
        "".join(f"<body a{number}>" for number in range(200_000)),
        '<script id="__NEXT_DATA__">' * 200_000,
        "<script" * 500_000,
        "<script " + "x" * 299 + "<script " * 500_000,
    ],
)  # fmt: skip
def test_a_hostile_page_costs_seconds_at_most(page: str) -> None:
    started = time.process_time()
    with pytest.raises(NotParsedError):
        parsed("list", page)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("filler", [" ", "가", "<p>x</p>", "<!-- <i> -->"])
def test_bounds_change_nothing_of_a_usual_page(filler: str) -> None:
    rows = [ROW.replace("1001", str(number)).replace("이름", f"<b>이</b>름 {number}") for number in range(100)]
    found = parsed("list", "".join(f"{row}{filler * 20}" for row in rows))
    expected = [{**parsed("list", ROW)[0], "id": str(n), "prod_nm": f"이름 {n} </script> & <b>"} for n in range(100)]
    assert found == expected


def test_data_and_html_of_the_embedded_site_agree(serve: Serve) -> None:
    usual = _first_list(serve())
    data = parsed("list", usual)
    html = parsed("list", usual.replace("__NEXT_DATA__", ""))
    assert len(data) == len(html) > 1
    only_in_data = {"price", "path"}
    assert [{field: value for field, value in item.items() if field not in only_in_data} for item in data] == [
        {field: value for field, value in item.items() if field not in only_in_data} for item in html
    ]
    assert [item["price"] for item in data] == [item["price"].replace(",", "").rstrip("원") for item in html]


def test_a_site_that_was_made_over_is_not_taken_for_an_empty_one(serve: Serve) -> None:
    with pytest.raises(NotParsedError, match=r"^(empty|no)_list$"):
        parsed("list", _first_list(serve(market__site__faults__new_layout="true")))


def _first_list(site: Served) -> str:
    """The first page of the site's largest list."""
    assert site.crawl.category_url is not None
    addresses = [
        site.crawl.category_url.replace("{cat_id}", leaf.cat_id) for leaf in Market(site.market).taxonomy.leaves
    ]
    return max((httpx.get(address).text for address in addresses), key=len)


def test_bytes_of_another_charset_are_undecodable() -> None:
    with pytest.raises(NotParsedError, match="undecodable"):
        parse("list", LIST, ROW.encode("cp949"), "text/html; charset=utf-8")


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["item", *ITEM]), inner),
    max_leaves=10,
)


@given(VALUES, st.sampled_from(["list", "product"]))
def test_whatever_lies_in_the_data_is_items_or_a_code(value: Any, kind: str) -> None:
    state = {"products": {"total": 3, "list": value}, "product": value}
    try:
        items = parse(kind, LIST, embedded(state).encode("utf-8", "replace"), None)
    except NotParsedError:
        return
    assert all(text is None or isinstance(text, str) for item in items for text in item.values())


@given(st.binary(max_size=200), st.sampled_from(["list", "product", "api"]), st.none() | st.text(max_size=60))
def test_no_bytes_are_an_error(body: bytes, kind: str, content_type: str | None) -> None:
    try:
        parse(kind, LIST, body, content_type)
    except NotParsedError:
        return


def test_the_layout_is_described_key_by_key() -> None:
    described = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    for keys in (embedded_json.KEYS, api_json.KEYS):
        for field, key in keys.items():
            assert f"| `{field}` | `{key}` |" in described
    for key in (*embedded_json.PATH_KEYS, *api_json.PATH_KEYS, *embedded_json.STATE, list_html.ROW):
        assert key in described
