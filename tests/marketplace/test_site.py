"""The site as a client sees it: everything on it once, every fault as told, and gone when its parent is."""

import gzip
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from lib.config import MarketSettings, SiteFaults
from lib.errors import UserError
from lib.marketplace import feed
from lib.marketplace.offers import Market
from lib.marketplace.site.pictures import Pictures
from lib.marketplace.site.process import serving
from tests.conftest import ROOT

MONTH = "2026-01"
PLATFORM = "http://127.0.0.2"
SECRETS = {"X-Naver-Client-Id": "site-id", "X-Naver-Client-Secret": "site-secret"}


@pytest.fixture(scope="module")
def market_settings(settings: MarketSettings) -> MarketSettings:
    site = settings.site.model_copy(update={"crawl_delay": {"haneul": 0.5}, "api_daily_quota": 500})
    return settings.model_copy(update={"offers_per_month": 600, "leaves": 12, "site": site})


@pytest.fixture(scope="module")
def site(market_settings: MarketSettings) -> Iterator[httpx.Client]:
    """A client of the site, its platform as the base address."""
    with serving(market_settings, MONTH) as port, httpx.Client(base_url=f"{PLATFORM}:{port}") as client:
        yield client


@contextmanager
def faulty(settings: MarketSettings, **faults: Any) -> Iterator[httpx.Client]:
    """A site with faults."""
    spoilt = settings.site.model_copy(update={"faults": SiteFaults(**faults)})
    made = settings.model_copy(update={"site": spoilt})
    with serving(made, MONTH) as port, httpx.Client(base_url=f"{PLATFORM}:{port}") as client:
        yield client


def state(page: httpx.Response) -> dict[str, Any]:
    """The data embedded in a page."""
    found = re.search(r'<script id="__NEXT_DATA__" type="application/json">(.*?)</script>', page.text)
    assert found
    data: dict[str, Any] = json.loads(found[1])["props"]["pageProps"]["initialState"]
    return data


def lists(site: httpx.Client) -> list[str]:
    """The first list page of every leaf, from the tree."""
    tree = site.get("/category/category.nhn").text
    return [unescape(url) for url in re.findall(r'href="([^"]*/search/category\.nhn[^"]*)"', tree)]


def items(site: httpx.Client) -> list[dict[str, Any]]:
    """All offers of all lists."""
    found = []
    for url in lists(site):
        page, total = 1, 1
        while (page - 1) * 40 < total:
            answer = site.get(url.replace("pagingIndex=1", f"pagingIndex={page}"))
            products = state(answer)["products"]
            total, page = products["total"], page + 1
            found += [row["item"] for row in products["list"]]
    return found


def test_the_lists_hold_every_offer_of_the_month_once(site: httpx.Client, market_settings: MarketSettings) -> None:
    market = Market(market_settings)
    offers = feed.offers(market, MONTH, np.arange(600))
    expected = {
        (market.malls.ids[offer.mall], offer.id): (offer.title, int(offer.price_pc), offer.naver_category, offer.brand)
        for offer in offers.itertuples()
    }
    found = items(site)
    assert len(found) == 600
    assert {
        (one["mallNo"], one["mallProductId"]): (one["productTitle"], one["price"], one["categoryId"], one["mallBrand"])
        for one in found
    } == expected


def test_a_product_page_is_on_its_malls_host_and_says_the_maker(
    site: httpx.Client, market_settings: MarketSettings
) -> None:
    one = items(site)[7]
    answer = site.get(one["productUrl"])
    shown = state(answer)["product"]["item"]
    assert {key: shown[key] for key in one} == one
    assert "mallMaker" in shown
    place = [mall.id for mall in market_settings.malls].index(one["mallNo"])
    assert answer.url.host == f"127.0.0.{3 + place}"
    assert site.get(f"/product/{one['mallNo']}/9999999").status_code == 404
    assert site.get("/product/nobody/1001").status_code == 404


def test_pages_past_the_end_are_empty_and_unknown_categories_not_there(site: httpx.Client) -> None:
    past = state(site.get(lists(site)[0].replace("pagingIndex=1", "pagingIndex=999")))["products"]
    assert past["list"] == []
    assert past["total"] > 0
    assert site.get("/search/category.nhn?cat_id=1").status_code == 404


def test_what_did_not_change_is_not_sent_again(site: httpx.Client) -> None:
    first = site.get(lists(site)[0])
    again = site.get(lists(site)[0], headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["last-modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_robots_names_what_is_forbidden_and_a_malls_delay(site: httpx.Client) -> None:
    rules = site.get("/robots.txt").text
    assert "Disallow: /private/cart" in rules
    assert "Crawl-delay" not in rules
    assert "Crawl-delay: 0.5" in site.get(f"http://127.0.0.14:{site.base_url.port}/robots.txt").text
    assert '<a href="/private/cart">' in site.get("/category/category.nhn").text


def test_a_malls_feed_can_be_had(site: httpx.Client, market_settings: MarketSettings) -> None:
    lines = site.get("/ep/hansol.tsv").text.splitlines()
    assert lines[0].split("\t") == list(feed.COLUMNS)
    listings = Market(market_settings).listings(MONTH, np.arange(600))
    assert len(lines) - 1 == int((listings.mall == 0).sum())
    assert site.get("/ep/nobody.tsv").status_code == 404


def test_the_api_answers_in_pages_and_with_its_fields(site: httpx.Client, market_settings: MarketSettings) -> None:
    leaf = Market(market_settings).taxonomy.leaves[0]
    asked = {"query": leaf.path[-1], "display": 20, "start": 1, "sort": "asc"}
    answer = site.get("/v1/search/shop.json", params=asked, headers=SECRETS).json()
    assert answer["display"] == len(answer["items"]) <= 20
    prices = [int(item["lprice"]) for item in answer["items"]]
    assert prices == sorted(prices)
    assert set(answer["items"][0]) == {
        "title", "link", "image", "lprice", "hprice", "mallName", "productId", "productType", "brand", "maker",
        "category1", "category2", "category3", "category4",
    }  # fmt: skip
    more = site.get("/v1/search/shop.json", params={**asked, "start": 21}, headers=SECRETS).json()
    assert not {item["productId"] for item in more["items"]} & {item["productId"] for item in answer["items"]}


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


PATHS = ("/search/category.nhn", "/category/category.nhn", "/v1/search/shop.json", "/product/hansol/", "/x")
PARAMETERS = ("cat_id", "pagingIndex", "pagingSize", "query", "display", "start")


@given(
    st.sampled_from(PATHS),
    st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=20)),
    st.text(max_size=10),
)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_question_is_an_error(site: httpx.Client, path: str, query: dict[str, str], rest: str) -> None:
    assert site.get(path + quote(rest), params=query, headers=SECRETS).status_code < 500


# --- pictures


def test_pictures_are_the_same_at_every_look_and_tell_things_apart_a_little(market_settings: MarketSettings) -> None:
    pictures = Pictures(Market(market_settings), 224)
    assert pictures.jpeg(3000) == pictures.jpeg(3000)
    image = Image.open(io.BytesIO(pictures.jpeg(3000)))
    assert (image.format, image.size, image.mode) == ("JPEG", (224, 224), "RGB")


def coarse(jpeg: bytes) -> npt.NDArray[np.float64]:
    """The picture's colours on a grid of 6 x 6."""
    return np.asarray(Image.open(io.BytesIO(jpeg)).resize((6, 6)), dtype=np.float64).ravel()


def test_a_picture_helps_and_does_not_decide(market_settings: MarketSettings) -> None:
    """Nearest neighbour by coarse colours: better than chance, far from right."""
    market = Market(market_settings)
    at = market.listings(MONTH, np.arange(600))
    _, first = np.unique(at.item, return_index=True)
    pictures = Pictures(market, 224)
    numbers = (at.item * 1000 + at.generation % 1000)[first].tolist()
    looks = np.array([coarse(pictures.jpeg(number)) for number in numbers])
    thing = market.taxonomy.thing[at.leaf[first]]
    distances = ((looks[:, None] - looks[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    right = float((thing[distances.argmin(axis=1)] == thing).mean())
    chance = float(((np.bincount(thing) / len(thing)) ** 2).sum())
    assert chance * 1.3 < right < 0.8


# --- faults


def test_statuses_pass_when_asked_again(market_settings: MarketSettings) -> None:
    with faulty(market_settings, statuses={500: 0.5}) as site:
        first = [site.get("/category/category.nhn").status_code for _ in range(40)]
    with faulty(market_settings, statuses={500: 0.5}) as site:
        assert [site.get("/category/category.nhn").status_code for _ in range(40)] == first
    assert 8 < first.count(500) < 32
    assert set(first) == {200, 500}


def test_too_many_says_when_to_come_back(market_settings: MarketSettings) -> None:
    with faulty(market_settings, too_many=1.0, retry_after=7, first_requests=1) as site:
        assert site.get("/category/category.nhn").status_code == 200
        answer = site.get("/category/category.nhn")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert site.get("/robots.txt").status_code == 200


@pytest.mark.parametrize("fault", ["dropped", "truncated"])
def test_connections_are_cut(market_settings: MarketSettings, fault: str) -> None:
    with faulty(market_settings, **{fault: 1.0}) as site, pytest.raises(httpx.RemoteProtocolError):
        site.get("/category/category.nhn")


def test_a_slow_answer_comes_late(market_settings: MarketSettings) -> None:
    with faulty(market_settings, slow=1.0, slow_seconds=0.4) as site:
        assert site.get("/category/category.nhn").elapsed.total_seconds() > 0.39


def test_a_wrong_type_is_no_page(market_settings: MarketSettings) -> None:
    with faulty(market_settings, wrong_type=1.0) as site:
        assert site.get("/category/category.nhn").headers["content-type"] == "application/octet-stream"


def test_a_bomb_is_small_and_unpacks_to_much(market_settings: MarketSettings) -> None:
    with faulty(market_settings, bombs=1.0, bomb_bytes=10_000_000) as site:
        with site.stream("GET", "/category/category.nhn") as answer:
            packed = b"".join(answer.iter_raw())
        assert len(packed) < 20_000
        assert len(gzip.decompress(packed)) == 10_000_000


def test_redirects_go_round(market_settings: MarketSettings) -> None:
    with faulty(market_settings, redirect_loops=1.0) as site, pytest.raises(httpx.TooManyRedirects):
        site.get("/category/category.nhn", follow_redirects=True)


def test_an_endless_list_has_always_one_more_page(market_settings: MarketSettings) -> None:
    with faulty(market_settings, endless_pages=True) as site:
        page = site.get(lists(site)[0].replace("pagingIndex=1", "pagingIndex=500"))
        assert state(page)["products"]["total"] > 500 * 40
        assert "pagingIndex=501" in page.text


def test_cp949_pages_say_so(market_settings: MarketSettings) -> None:
    with faulty(market_settings, cp949=True) as site:
        page = site.get(lists(site)[0])
        assert page.headers["content-type"] == "text/html; charset=cp949"
        assert "전체" in page.content.decode("cp949")


def test_a_new_layout_has_nothing_of_the_old(market_settings: MarketSettings) -> None:
    with faulty(market_settings, new_layout=True) as site:
        assert "__NEXT_DATA__" not in site.get("/category/category.nhn").text


# --- the process


def test_the_log_holds_every_request(market_settings: MarketSettings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(market_settings, MONTH, log=log) as port, httpx.Client() as client:
        for path in ("/robots.txt", "/nowhere?a=b"):
            client.get(f"{PLATFORM}:{port}{path}")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["host"], one["path"], one["status"]) for one in records] == [
        (f"127.0.0.2:{port}", "/robots.txt", 200), (f"127.0.0.2:{port}", "/nowhere?a=b", 404),
    ]  # fmt: skip


def test_the_port_is_remembered_and_a_taken_one_is_replaced(market_settings: MarketSettings, tmp_path: Path) -> None:
    kept = tmp_path / "state" / "site.port"
    with serving(market_settings, MONTH, remembered=kept) as first:
        pass
    with serving(market_settings, MONTH, remembered=kept) as second:
        assert second == first
        with serving(market_settings, MONTH, remembered=kept) as third:
            assert third != first


def test_a_configured_port_that_is_taken_is_said(market_settings: MarketSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fixed = market_settings.model_copy(update={"site": market_settings.site.model_copy(update={"port": port})})
        with (
            pytest.raises(UserError, match=rf"market\.site\.port = {port} cannot be listened on"),
            serving(fixed, MONTH),
        ):
            pass


def test_the_site_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, time; from lib import config; from lib.marketplace.site.process import serving\n"
        "m = config.load('conf/local.yaml', ['market.offers_per_month=100']).market\n"
        "with serving(m, '2026-01') as port:\n    print(port, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    port = int(parent.stdout.readline())
    assert httpx.get(f"{PLATFORM}:{port}/robots.txt").status_code == 200
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{PLATFORM}:{port}/robots.txt", timeout=1)
        except httpx.HTTPError:
            return
        time.sleep(0.1)
    pytest.fail("the site still answers")
