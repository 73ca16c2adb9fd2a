"""Which addresses a page leads to."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import CrawlSettings
from lib.crawl.links import links
from lib.crawl.request import Link
from lib.crawl.urls import Scope

SHOP = "http://shop.example"
LIST = f"{SHOP}/search/category.nhn?cat_id=1&pagingIndex=1&pagingSize=40"


def found(kind: str, body: str | bytes, url: str = LIST, **more: Any) -> list[Link]:
    given = {"contact": "a@b.example", "staging": "/tmp/x", "hosts": {"shop.example": {}}, "seeds": [SHOP], **more}
    settings = CrawlSettings.model_validate({"detail_share": 1.0, **given})
    data = body.encode() if isinstance(body, str) else body
    return links(kind, url, data, "text/html; charset=utf-8", Scope(settings), settings)


def list_page(total: object, *products: str) -> str:
    rows = [{"item": {"productUrl": url}} for url in products]
    state = {"products": {"total": total, "list": rows}}
    data = json.dumps({"props": {"pageProps": {"initialState": state}}}).replace("<", "\\u003c")
    return f'<html><script id="__NEXT_DATA__" type="application/json">{data}</script></html>'


def page(number: int) -> Link:
    return Link(LIST.replace("pagingIndex=1", f"pagingIndex={number}"), "list")


def test_anchors_that_lead_to_known_paths_of_allowed_hosts_are_followed() -> None:
    body = f"""
        <a href="/search/category.nhn?cat_id=2#top">a</a> <a href='/search/category.nhn?cat_id=2'>again</a>
        <a href="http://elsewhere.example/search/category.nhn?cat_id=3">other host</a> <a href="/private/cart">no</a>
        <a rel="nofollow" href="/search/category.nhn?cat_id=4">no</a> <a href="javascript:void(0)">no</a>
        <a href="{SHOP}/product/mall/1?utm_source=x">b</a><a>none</a><a href="">self</a>
    """
    assert found("tree", body, f"{SHOP}/category/category.nhn") == [
        Link(f"{SHOP}/search/category.nhn?cat_id=2", "list"), Link(f"{SHOP}/product/mall/1", "product"),
        Link(f"{SHOP}/category/category.nhn", "tree"),
    ][:2]  # fmt: skip
    assert found("product", body) == []


@pytest.mark.parametrize(
    ("name", "content", "followed"),
    [
        ("robots", "noindex, NoFollow", False), ("ROBOTS", "none", False), (" Catmatch ", "nofollow", False),
        ("otherbot", "nofollow", True), ("robots", "noindex,follow", True), ("description", "none", True),
    ],
)  # fmt: skip
def test_a_page_that_says_nofollow_is_not_followed(name: str, content: str, followed: bool) -> None:
    robots = f'<meta name="{name}" content="{content}">'
    assert bool(found("tree", robots + '<a href="/search/category.nhn?cat_id=2">a</a>')) is followed
    assert bool(found("list", robots + list_page(99, f"{SHOP}/product/m/1"))) is followed


def test_a_product_whose_anchor_says_nofollow_is_not_followed_from_the_data_either() -> None:
    body = list_page(2, f"{SHOP}/product/m/1", f"{SHOP}/product/m/2")
    body += '<a href="/product/m/1" rel="sponsored NoFollow">ad</a><a href="/product/m/1">again</a>'
    assert found("list", body) == [Link(f"{SHOP}/product/m/2", "product")]


def test_relative_addresses_start_from_the_base_of_the_page() -> None:
    body = f'<base href="{SHOP}/product/m/"><a href="1">a</a><base href="http://elsewhere.example/">'
    assert found("tree", body, f"{SHOP}/category/category.nhn") == [Link(f"{SHOP}/product/m/1", "product")]
    away = '<base href="http://elsewhere.example/"><a href="/product/m/1">a</a>'
    assert found("tree", away) == []


@pytest.mark.parametrize(
    ("total", "pages"), [(0, []), (40, []), (41, [2]), (200, [2, 3, 4, 5]), (10**12, [2, 3, 4, 5, 6]), ("9", []),
                         (True, []), (-5, []), (None, [])],
)  # fmt: skip
def test_a_list_is_known_whole_from_its_first_page(total: object, pages: list[int]) -> None:
    assert found("list", list_page(total), max_list_pages=6) == [page(number) for number in pages]


def test_later_pages_of_a_list_say_no_more_than_their_anchors() -> None:
    body = list_page(200) + f'<a href="{page(4).url}">4</a>'
    assert found("list", body, page(3).url) == [page(4)]
    usual = list_page(200) + f'<a href="{page(2).url}">2</a>'
    assert found("list", usual) == [page(number) for number in (2, 3, 4, 5)]


def test_further_pages_are_spelt_as_their_list() -> None:
    url = f"{SHOP}/search/category.nhn?brand=a%20b+c&cat_id=1&x"
    assert found("list", list_page(41), url) == [
        Link(f"{SHOP}/search/category.nhn?brand=a%20b+c&cat_id=1&pagingIndex=2&x", "list")
    ]


def test_pages_past_the_bound_are_not_followed_from_anchors_either() -> None:
    body = f'<a href="{page(6).url}">6</a><a href="{page(7).url}">7</a>'
    assert found("list", body, max_list_pages=6) == [page(6)]


def test_a_share_of_the_products_is_followed_the_same_at_every_run() -> None:
    body = list_page(1, *[f"{SHOP}/product/m/{number}" for number in range(400)])
    some = found("list", body, detail_share=0.25)
    assert 60 < len(some) < 140
    assert some == found("list", body, detail_share=0.25)
    assert found("list", body, detail_share=0.0) == []
    # Another port is the same product.
    elsewhere = body.replace("shop.example", "shop.example:81")
    moved = found("list", elsewhere, hosts={"shop.example:81": {}}, detail_share=0.25)
    assert [link.url.rpartition("/")[2] for link in moved] == [link.url.rpartition("/")[2] for link in some]


def test_an_api_is_asked_to_its_last_page_and_no_further() -> None:
    api = {"name": "shop", "url": f"{SHOP}/v1/search/shop.json"}
    url = f"{SHOP}/v1/search/shop.json?display=100&query=a&sort=sim&start=1"
    for total, starts in ((0, []), (100, []), (250, [101, 201]), (99_999, [*range(101, 1001, 100)])):
        body = json.dumps({"total": total, "start": 1, "display": 100, "items": []})
        assert [link.url.rpartition("start=")[2] for link in found("api", body, url, apis=[api])] == [
            str(start) for start in starts
        ]
    later = json.dumps({"total": 250, "start": 101, "display": 100, "items": []})
    assert found("api", later, url.replace("start=1", "start=101"), apis=[api]) == []


def test_a_page_leads_to_no_api_and_an_api_to_nothing_else() -> None:
    """Else a page could spend the day's quota, and send our secret along with queries of its choosing."""
    api = {"name": "shop", "url": f"{SHOP}/v1/search/shop.json"}
    body = '<a href="/v1/search/shop.json?query=evil">a</a><a href="/product/1">b</a>'
    for apis in ([], [api]):
        assert found("tree", body, apis=apis) == [Link(f"{SHOP}/product/1", "product")]


def test_a_list_without_data_leads_to_the_further_pages_that_its_text_tells() -> None:
    assert found("list", '<span class="total">100 offers</span><li class="product">') == [page(2), page(3)]


@pytest.mark.parametrize("body", ["[" * 100_000, "<base href='http://shop.example/product/" + "a" * 1950 + "/'>"
                                  + "".join(f"<a href={number:x}>" for number in range(19_000)),
                                  "<a href='" * 20_000, "<div>" * 500_000, "\x00", "",
                                  "".join(f"<font color={number}><p>" for number in range(100_000))])  # fmt: skip
def test_hostile_pages_lead_nowhere_and_cost_seconds_at_most(body: str) -> None:
    started = time.process_time()
    for kind in ("tree", "list", "api", "product"):
        found(kind, body)
        found(kind, f'<script id="__NEXT_DATA__">{body}</script>')
    assert time.process_time() - started < 30


def test_a_page_of_anchors_is_cut() -> None:
    body = "".join(f'<a href="/search/category.nhn?cat_id={number}">x</a>' for number in range(20_000))
    assert len(found("tree", body)) == 5000
    products = list_page(1, *[f"{SHOP}/product/m/{number}" for number in range(100_000)])
    assert len(found("list", products)) == 1000


@given(st.binary(max_size=300), st.sampled_from(["tree", "list", "api", "product"]))
def test_no_bytes_are_an_error(body: bytes, kind: str) -> None:
    found(kind, body)
