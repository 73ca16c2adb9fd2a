"""The site as a client sees it: everything on it once, and nothing that a client asks for breaks it."""

import gzip
import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.config import MarketSettings
from lib.marketplace import feed
from lib.marketplace.ep import COLUMNS
from lib.marketplace.offers import Market
from lib.marketplace.site.catalogue import Catalogue, Offer
from lib.marketplace.site.pages import Pages
from lib.marketplace.site.search_api import KST, SearchApi
from lib.marketplace.taxonomy import Leaf
from tests.marketplace.served import MONTH, OFFERS, PLATFORM, SECRETS, TREE, items, lists, state

LEVELS = range(1, 5)


@pytest.fixture(scope="module")
def offers(market_settings: MarketSettings) -> pd.DataFrame:
    """The month's offers, with the mall's id and the picture's file."""
    market = Market(market_settings)
    made = feed.offers(market, MONTH, np.arange(OFFERS))
    return made.assign(mall_id=market.malls.ids[made.mall], picture=made.image_link.str.rpartition("/")[2])


def test_the_lists_hold_every_offer_of_the_month_once(site: httpx.Client, offers: pd.DataFrame) -> None:
    expected = {
        (offer["mall_id"], offer["id"]): (
            offer["title"], int(offer["price_pc"]), offer["naver_category"], offer["brand"], offer["picture"],
            *(offer[f"category_name{level}"] for level in LEVELS),
        )
        for offer in offers.to_dict("records")
    }  # fmt: skip
    found = items(site)
    assert len(found) == OFFERS
    assert len({one["id"] for one in found}) == OFFERS
    assert {
        (one["mallNo"], one["mallProductId"]): (
            one["productTitle"], one["price"], one["categoryId"], one["mallBrand"], one["imageUrl"].rpartition("/")[2],
            *(one[f"mallCategory{level}"] for level in LEVELS),
        )
        for one in found
    } == expected  # fmt: skip


def test_a_list_can_be_read_without_its_data(site: httpx.Client) -> None:
    page = site.get(lists(site)[0])
    shown = [row["item"] for row in state(page)["products"]["list"]]
    titles = re.findall(r'<a class="title" href="([^"]*)">([^<]*)</a><span class="price">([\d,]*)원</span>', page.text)
    assert [(unescape(url), unescape(title), int(price.replace(",", ""))) for url, title, price in titles] == [
        (one["productUrl"], one["productTitle"], one["price"]) for one in shown
    ]
    total = re.search(r'<span class="total">(\d+)</span>', page.text)
    assert total
    assert int(total[1]) == state(page)["products"]["total"]


def test_a_product_page_is_on_its_malls_host_and_says_the_maker(
    site: httpx.Client, market_settings: MarketSettings, offers: pd.DataFrame
) -> None:
    one = items(site)[7]
    answer = site.get(one["productUrl"])
    shown = state(answer)["product"]["item"]
    assert {key: shown[key] for key in one} == one
    known = offers[(offers["mall_id"] == one["mallNo"]) & (offers["id"] == one["mallProductId"])]
    assert [shown["mallMaker"]] == known["maker"].tolist()
    place = [mall.id for mall in market_settings.malls].index(one["mallNo"])
    assert answer.url.host == f"127.0.0.{3 + place}"
    assert site.get(f"/product/{one['mallNo']}/9999999").status_code == 404
    assert site.get("/product/nobody/1001").status_code == 404


def test_pages_past_the_end_are_empty_and_unknown_categories_not_there(site: httpx.Client) -> None:
    past = state(site.get(lists(site)[0].replace("pagingIndex=1", "pagingIndex=999")))["products"]
    assert past["list"] == []
    assert past["total"] > 0
    assert site.get("/search/category.nhn?cat_id=1").status_code == 404


def test_a_page_is_no_larger_than_the_site_allows(site: httpx.Client) -> None:
    shown = state(site.get(lists(site)[0].replace("pagingSize=40", "pagingSize=10000")))["products"]
    assert shown["pagingSize"] == 100
    assert len(shown["list"]) == min(100, shown["total"])


def test_what_did_not_change_is_not_sent_again(site: httpx.Client) -> None:
    for address in (lists(site)[0], "/ep/hansol.tsv", "/robots.txt"):
        first = site.get(address)
        assert first.headers["last-modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"
        for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
            again = site.get(address, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        assert site.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(("accepted", "packed"), [("gzip, br", True), ("*", True), ("br", False), ("gzip;q=0", False)])
def test_pages_are_packed_for_who_can_unpack(site: httpx.Client, accepted: str, packed: bool) -> None:
    with site.stream("GET", TREE, headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert (gzip.decompress(raw) if packed else raw).startswith(b"<!doctype html>")


def test_robots_names_what_is_forbidden_and_a_malls_delay(site: httpx.Client) -> None:
    rules = site.get("/robots.txt").text
    assert "Disallow: /private/" in rules
    assert "Crawl-delay" not in rules
    assert "Crawl-delay: 0.5" in site.get(f"http://127.0.0.14:{site.base_url.port}/robots.txt").text
    assert '<a href="/private/cart">' in site.get(TREE).text
    assert site.get("/private/cart").status_code == 200


def test_a_malls_feed_has_its_offers_with_addresses_of_the_site(site: httpx.Client, offers: pd.DataFrame) -> None:
    lines = [line.split("\t") for line in site.get("/ep/hansol.tsv").text.splitlines()]
    assert tuple(lines[0]) == COLUMNS
    sold = pd.DataFrame(lines[1:], columns=lines[0])
    links = ["link", "image_link"]
    expected = offers[offers["mall_id"] == "hansol"][list(COLUMNS)].reset_index(drop=True)
    assert sold.drop(columns=links).equals(expected.drop(columns=links).astype(object))
    assert site.get(sold["link"][0]).status_code == 200
    assert site.get(sold["image_link"][0]).headers["content-type"] == "image/jpeg"
    assert site.get("/ep/nobody.tsv").status_code == 404


def test_pictures_are_those_of_products_only(site: httpx.Client) -> None:
    shown = items(site)[0]["imageUrl"]
    assert site.get(shown).content.startswith(b"\xff\xd8")
    item, generation = divmod(int(shown.rpartition("/")[2].removesuffix(".jpg")), 1000)
    for wrong in (f"{item}{generation + 1:03}", f"{10**9}000", "x", "²", "-1000", ""):
        assert site.get(f"/pictures/{wrong}.jpg").status_code == 404
    assert site.get(shown.removesuffix("jpg") + "png").status_code == 404


def test_a_hostile_name_stays_text(market_settings: MarketSettings) -> None:
    market = Market(market_settings)
    origins = dict.fromkeys(["platform", *market.malls.ids.tolist()], "http://127.0.0.2:1")
    name = "</script><script>alert('&')</script>\"🔥{charset}"
    offer = Offer(1, 0, 0, "1001", name, 100, 0, ("<b>", "", "", ""), "<i>", "")
    for charset in ("utf-8", "cp949"):
        leaf = market.taxonomy.leaves[0]
        page = Pages(market, origins, charset).listing(leaf, [offer], 1, 40, 1).decode(charset)
        assert page.count("</script>") == 1
        assert "<b>" not in page
        assert "<i>" not in page
        answer = httpx.Response(200, text=page)
        assert state(answer)["products"]["list"][0]["item"]["productTitle"] == name


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_site_can_only_be_read(site: httpx.Client, method: str) -> None:
    answer = site.request(method, TREE)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert site.head(TREE).headers["etag"] == site.get(TREE).headers["etag"]


# --- the search API


def leaf_of(settings: MarketSettings) -> Leaf:
    return Market(settings).taxonomy.leaves[0]


def test_the_api_answers_in_pages_and_with_its_fields(site: httpx.Client, market_settings: MarketSettings) -> None:
    asked = {"query": leaf_of(market_settings).path[-1], "display": 20, "start": 1, "sort": "asc"}
    answer = site.get("/v1/search/shop.json", params=asked, headers=SECRETS).json()
    assert answer["display"] == len(answer["items"]) <= 20
    prices = [int(item["lprice"]) for item in answer["items"]]
    assert prices == sorted(prices)
    assert set(answer["items"][0]) == {
        "title", "link", "image", "lprice", "hprice", "mallName", "productId", "productType", "brand", "maker",
        "category1", "category2", "category3", "category4",
    }  # fmt: skip
    more = site.get("/v1/search/shop.json", params={**asked, "start": 21}, headers=SECRETS).json()
    assert more["items"]
    assert not {item["productId"] for item in more["items"]} & {item["productId"] for item in answer["items"]}


def test_the_api_finds_a_category_by_its_name_and_by_its_things_word(
    site: httpx.Client, market_settings: MarketSettings
) -> None:
    leaf = leaf_of(market_settings)
    found = {one["id"] for one in items(site) if one["categoryId"] == leaf.cat_id}
    for query in (leaf.path[-1], leaf.thing.words[1]):
        answer = site.get("/v1/search/shop.json", params={"query": query, "display": 100}, headers=SECRETS).json()
        shown = [item for item in answer["items"] if item["category4"] == leaf.path[-1]]
        assert {int(item["productId"]) for item in shown} <= found
        assert shown
    assert site.get("/v1/search/shop.json", params={"query": "없는말"}, headers=SECRETS).json()["total"] == 0


def test_the_api_marks_the_query_and_escapes_the_rest(site: httpx.Client, market_settings: MarketSettings) -> None:
    word = leaf_of(market_settings).thing.words[0]
    asked = {"query": word, "display": 100}
    answer = site.get("/v1/search/shop.json", params=asked, headers=SECRETS).json()
    titles = [item["title"] for item in answer["items"]]
    plain = {one["productTitle"] for one in items(site)}
    assert any(f"<b>{word}</b>" in title for title in titles)
    assert {unescape(re.sub("</?b>", "", title)) for title in titles} <= plain


@pytest.mark.parametrize(
    ("changed", "headers", "status", "code"),
    [
        ({}, {}, 401, "024"), ({}, {**SECRETS, "X-Naver-Client-Secret": "no"}, 401, "024"),
        ({"query": ""}, SECRETS, 400, "SE01"), ({"display": 101}, SECRETS, 400, "SE02"),
        ({"start": 1001}, SECRETS, 400, "SE03"), ({"start": "x"}, SECRETS, 400, "SE03"),
        ({"sort": "best"}, SECRETS, 400, "SE04"),
    ],
)  # fmt: skip
def test_the_api_refuses_as_the_real_one(
    site: httpx.Client, changed: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    asked = {"query": "가", "display": 1, "start": 1, "sort": "sim", **changed}
    answer = site.get("/v1/search/shop.json", params=asked, headers=headers)
    assert (answer.status_code, answer.json()["errorCode"]) == (status, code)


def test_the_api_serves_its_quota_each_day(market_settings: MarketSettings) -> None:
    market = Market(market_settings)
    days = [datetime(2026, 1, 1, 23, 59, tzinfo=KST)]
    pages = Pages(market, dict.fromkeys(market.malls.ids.tolist(), "http://127.0.0.2:1"))
    api = SearchApi(Catalogue(market, MONTH), pages, 2, clock=lambda: days[-1])
    headers = {name.lower(): value for name, value in SECRETS.items()}
    assert [api.answer(headers, {"query": "가"})[0] for _ in range(4)] == [200, 200, 429, 429]
    assert api.answer(headers, {"query": "가"})[1]["errorCode"] == "010"
    days.append(days[0] + timedelta(minutes=2))
    assert api.answer(headers, {"query": "가"})[0] == 200


# --- hostile clients

PATHS = ("/search/category.nhn", TREE, "/v1/search/shop.json", "/product/hansol/", "/pictures/", "/ep/", "/x")
PARAMETERS = ("cat_id", "pagingIndex", "pagingSize", "query", "display", "start", "sort")


@given(
    st.sampled_from(PATHS),
    st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=20)),
    st.text(max_size=10),
)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_question_is_an_error(site: httpx.Client, path: str, query: dict[str, str], rest: str) -> None:
    assert site.get(path + quote(rest), params=query, headers=SECRETS).status_code < 500


@pytest.mark.parametrize(
    "path", ["/?" + "a=1&" * 60, "/search/category.nhn?%ff=%ff", "/product/hansol/%ff%00", "//127.0.0.9/", "/%2e%2e/ep"]
)
def test_crooked_addresses_are_no_error(site: httpx.Client, path: str) -> None:
    assert site.get(f"{PLATFORM}:{site.base_url.port}{path}").status_code < 500


# --- a large market


def test_a_large_market_keeps_only_what_was_shown_last(
    market_settings: MarketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.marketplace.site.catalogue.STRETCH", 16)
    monkeypatch.setattr("lib.marketplace.site.catalogue.KEPT_STRETCHES", 3)
    small = Catalogue(Market(market_settings), MONTH)
    seen = [offer for leaf in range(12) for offer in small.listed(leaf, 0, OFFERS)]
    assert len({offer.number for offer in seen}) == OFFERS
    assert [offer.given for offer in seen] == sorted(offer.given for offer in seen)
    assert len(small._stretches) == 3
    ids = Market(market_settings).malls.ids
    assert all(small.offer(ids[offer.mall], offer.own_id) == offer for offer in seen[::7])
