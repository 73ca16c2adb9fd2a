"""Every fault of the site, as told."""

import gzip
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from lib.config import MarketSettings, SiteFaults
from lib.marketplace.site.faults import Faults
from tests.marketplace.served import PLATFORM, TREE, faulty, items, lists, served, state, with_site


def test_statuses_pass_when_asked_again(market_settings: MarketSettings) -> None:
    with faulty(market_settings, statuses={500: 0.5}) as site:
        first = [site.get(TREE).status_code for _ in range(40)]
    with faulty(market_settings, statuses={500: 0.5}) as site:
        assert [site.get(TREE).status_code for _ in range(40)] == first
    assert 8 < first.count(500) < 32
    assert set(first) == {200, 500}


def test_too_many_says_when_to_come_back(market_settings: MarketSettings) -> None:
    with faulty(market_settings, too_many=0.5, statuses={503: 0.5}, retry_after=7, first_requests=1) as site:
        assert site.get(TREE).status_code == 200
        answers = [site.get(TREE) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {429, 503}
        assert {answer.headers["retry-after"] for answer in answers} == {"7"}
        assert site.get("/robots.txt").status_code == 200


@pytest.mark.parametrize("fault", ["dropped", "truncated"])
def test_connections_are_cut_quietly(
    market_settings: MarketSettings, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with faulty(market_settings, **{fault: 1.0}) as site:
        for path in (TREE, "/ep/hansol.tsv"):
            with pytest.raises(httpx.RemoteProtocolError):
                site.get(path)
    assert capfd.readouterr().err == ""


def test_a_slow_answer_comes_late_and_whole(market_settings: MarketSettings) -> None:
    with faulty(market_settings, slow=1.0, slow_seconds=0.4) as site:
        for path in (TREE, "/ep/hansol.tsv"):
            answer = site.get(path)
            assert (answer.status_code, answer.elapsed.total_seconds() > 0.39) == (200, True)


def test_every_answer_has_the_latency(market_settings: MarketSettings) -> None:
    with served(with_site(market_settings, latency_seconds=0.3)) as site:
        assert site.get("/robots.txt").elapsed.total_seconds() > 0.29


def test_a_wrong_type_is_no_page(market_settings: MarketSettings) -> None:
    with faulty(market_settings, wrong_type=1.0) as site:
        answer = site.get(TREE)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert b"<html" not in answer.content


def test_a_bomb_is_small_and_unpacks_to_much(market_settings: MarketSettings) -> None:
    with faulty(market_settings, bombs=1.0, bomb_bytes=10_000_000) as site:
        with site.stream("GET", TREE) as answer:
            packed = b"".join(answer.iter_raw())
        assert len(packed) < 20_000
        assert len(gzip.decompress(packed)) == 10_000_000


def test_redirects_go_round_for_some_addresses_and_always(market_settings: MarketSettings) -> None:
    with faulty(market_settings, redirect_loops=0.5) as site:
        paths = [f"/x?{number}" for number in range(12)]
        first = [site.get(path).status_code for path in paths]
        assert set(first) == {302, 404}
        assert [site.get(path).status_code for path in paths] == first
        with pytest.raises(httpx.TooManyRedirects):
            site.get(paths[first.index(302)], follow_redirects=True)


def test_an_endless_list_has_always_one_more_page(market_settings: MarketSettings) -> None:
    with faulty(market_settings, endless_pages=True) as site:
        page = site.get(lists(site)[0].replace("pagingIndex=1", "pagingIndex=500"))
        assert state(page)["products"]["total"] > 500 * 40
        assert "pagingIndex=501" in page.text


def test_cp949_pages_say_so_and_lose_no_letter(market_settings: MarketSettings) -> None:
    with faulty(market_settings, cp949=True) as site:
        page = site.get(TREE)
        assert page.headers["content-type"] == "text/html; charset=cp949"
        assert "전체" in page.content.decode("cp949")
        titles = {one["productTitle"] for one in items(site)}
    with served(market_settings) as site:
        assert titles == {one["productTitle"] for one in items(site)}
    assert any("🔥" in title for title in titles)


def test_a_new_layout_has_nothing_of_the_old(market_settings: MarketSettings) -> None:
    with served(market_settings) as site:
        address = lists(site)[0].partition(f":{site.base_url.port}")[2]
    with faulty(market_settings, new_layout=True) as site:
        page = site.get(address).text
        for name in ("__NEXT_DATA__", 'class="product"', 'class="total"', "/search/category.nhn"):
            assert name not in page


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [("forbid_all", 200, "Disallow: /\n"), ("server_error", 500, ""), ("not_found", 404, ""), ("garbage", 200, "")],
)
def test_robots_can_be_what_they_should_not(market_settings: MarketSettings, kind: Any, status: int, text: str) -> None:
    with faulty(market_settings, robots=kind) as site:
        answer = site.get("/robots.txt")
        assert answer.status_code == status
        assert text in answer.text
        assert "Crawl-delay" not in site.get(f"{PLATFORM[:-1]}14:{site.base_url.port}/robots.txt").text


def test_faults_come_as_often_as_told_and_one_at_a_time() -> None:
    faults = Faults(SiteFaults(statuses={404: 0.2}, dropped=0.3, slow=0.1))
    drawn = [faults.draw("127.0.0.2:1", f"/{number}") for number in range(4000)]
    shares = {fault: drawn.count(fault) / 4000 for fault in set(drawn)}
    assert shares == pytest.approx({None: 0.4, "status 404": 0.2, "dropped": 0.3, "slow": 0.1}, abs=0.03)


@pytest.mark.parametrize(
    "wrong", [{"dropped": 0.6, "slow": 0.6}, {"statuses": {500: 0.7, 404: 0.7}}, {"statuses": {204: 0.1}}]
)
def test_faults_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SiteFaults(**wrong)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"crawl_delay": {"nobody": 1.0}}, "'nobody', which is no mall"), ({"first_address": 100}, "have fewer malls")],
)
def test_a_site_that_cannot_be_is_refused(market_settings: MarketSettings, changed: dict[str, Any], said: str) -> None:
    given = with_site(market_settings, **changed).model_dump()
    given["malls"] = [{**given["malls"][0], "id": f"mall{number}"} for number in range(200)]
    if "first_address" not in changed:
        given["malls"] = given["malls"][:3]
    with pytest.raises(ValidationError, match=said):
        MarketSettings.model_validate(given)
