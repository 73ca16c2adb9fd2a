"""One spelling for each address, and none for what cannot be one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.config import ApiSettings, CrawlSettings
from lib.crawl.urls import LONGEST_URL, Scope, canonical, host_of


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HTTP://Shop.Example:80/A/./b/../c#top", "http://shop.example/A/c"),
        ("https://shop.example:443", "https://shop.example/"),
        ("https://shop.example:80/", "https://shop.example:80/"),
        ("http://shop.example./", "http://shop.example/"),
        ("http://상점.example/상품", "http://xn--hg4bs7k.example/%EC%83%81%ED%92%88"),
        ("http://h/%7ea%2fb%c3", "http://h/~a%2Fb%C3"),
        ("http://h/%2e%2E/%2e/a", "http://h/a"),
        ("http://h/../../a/..", "http://h/"),
        ("http://h/a b?q=c d", "http://h/a%20b?q=c%20d"),
        ("http://h/100%", "http://h/100%25"),
        ("http://h/?b=2&a=&a&c=1&&b=1", "http://h/?a&a=&b=1&b=2&c=1"),
        ("http://h/?q=a%26b%3Dc+d", "http://h/?q=a%26b%3Dc+d"),
        ("http://h/?utm_source=x&utm%5Fid_2=y&gclid=1&fbclid=2&NaPm=3&a=1", "http://h/?a=1"),
        ("http://h/?", "http://h/"),
        ("http://[0:0::1]:80/", "http://[::1]/"),
        ("  http://h/a\n", "http://h/a"),
    ],
)
def test_one_spelling(given: str, expected: str) -> None:
    assert canonical(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "", "ftp://h/", "javascript:alert(1)", "mailto:a@b.example", "//h/a", "/a", "http://", "http:///a", "http:h",
        "http://user:secret@h/", "http://@h/", "http://h:99999/", "http://h:x/", "http://[::1", "http://[fe80::1%25eth0]/",
        "http://a..b/", "http://-a/", "http://a\\b/", "http://a b/", "http://h/a\nb", "http://h/\x00", "http://\u2028/",
        "http://h/\ud800", "http://h/" + "a" * LONGEST_URL, "http://h/" + "가" * 300,
    ],
)  # fmt: skip
def test_what_is_no_address(given: str) -> None:
    assert canonical(given) is None


def test_relative_addresses_are_resolved_against_their_page() -> None:
    base = "http://h/a/b?c=d"
    assert canonical("../e?f#g", base) == "http://h/e?f"
    assert canonical("//other.example", base) == "http://other.example/"
    assert canonical("?x", base) == "http://h/a/b?x"
    assert canonical("//[bad", base) is None


PIECES = st.sampled_from(
    [*"/?#&=%.:@[]+;~ \\가\u00ad\u200d\ud800\x00", "..", "%2e", "%2F", "%zz", "utm_", "utm%5Fa", "http://", "h", "xn--",
     "[::1]", ":80", "ß", "\u0130", "ａ", "\u2024"]
)  # fmt: skip


@given(st.text() | st.lists(PIECES | st.text(max_size=3), max_size=20).map("".join))
@example("h/?utm%5Fsource=x")
@example("h/?%75tm_a")
@example("h/..//..")
def test_it_never_raises_and_changes_nothing_twice(text: str) -> None:
    for url in (text, f"http://{text}", f"https://shop.example/{text}"):
        made = canonical(url)
        if made is not None:
            assert canonical(made) == made
            assert made.isascii()
            assert made.isprintable()
            assert " " not in made
            assert len(made) <= LONGEST_URL
        canonical(url, "http://shop.example/a")


def scope(**hosts: object) -> Scope:
    return scope_of({"hosts": hosts})


def scope_of(given: dict[str, object]) -> Scope:
    site = {"contact": "a@b.example", "staging": "/tmp/x", "seeds": ["http://h/"]}
    return Scope(CrawlSettings.model_validate({**site, **given}))


def test_hosts_are_allowed_by_the_first_pattern_that_fits() -> None:
    allowed = scope(**{"slow.shop.example": {"delay": 9}, "*.Shop.example": {}, "h:81": {}, "[::1]:82": {}})
    slow = allowed.settings_for("slow.shop.example")
    assert slow is not None
    assert slow.delay == 9
    assert allowed.settings_for("a.shop.example") is not None
    assert allowed.settings_for("[::1]:82") is not None
    for other in ("shop.example", "a.shop.example:8080", "ashop.example", "h", "h:811", "a.shop.example.evil.example"):
        assert allowed.settings_for(other) is None


def test_kinds_are_told_by_the_path_on_allowed_hosts_only() -> None:
    allowed = scope(h={})
    assert allowed.kind_of("http://h/product/1/2") == "product"
    assert allowed.kind_of("http://h/search/category.nhn?cat_id=1") == "list"
    assert allowed.kind_of("http://h/else?x=/product/1") is None
    assert allowed.kind_of("http://other/product/1/2") is None
    assert host_of("http://h:81/a?b") == "h:81"


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("*.example.com", ["a.example.com"], ["example.com", "a.b.example.com", "a.example.com.evil", "aexample.com"]),
        ("127.0.0.*:8000", ["127.0.0.9:8000"], ["127.0.0.2.evil.example:8000", "127.0.0.evil:8000", "127.0.0.9:8001"]),
        ("127.0.0.*:*", ["127.0.0.9:8000"], ["127.0.0.9", "127.0.0.9.evil:80"]),
        ("Shop.Example:80", ["shop.example"], ["shop.example:81"]),
        ("상점.example", ["xn--hg4bs7k.example"], ["상점.example"]),
        ("*", ["a.b.c:81", "h"], []),
    ],
)
def test_what_a_pattern_of_hosts_allows(pattern: str, allowed: list[str], refused: list[str]) -> None:
    made = scope(**{pattern: {}})
    assert all(made.settings_for(host) is not None for host in allowed)
    assert [host for host in refused if made.settings_for(host) is not None] == []


def test_an_api_is_known_however_conf_spells_it_and_its_host_serves_no_pages() -> None:
    api = {"name": "shop", "url": "HTTPS://OpenAPI.example:443/v1/search/shop.json"}
    made = scope_of({"hosts": {"h": {}}, "apis": [api]})
    assert made.kind_of("https://openapi.example/v1/search/shop.json?query=a") == "api"
    assert made.settings_for("openapi.example") is not None
    assert made.kind_of("https://openapi.example/product/1") is None
    assert made.kind_of("http://h/v1/search/shop.json?query=a") is None


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"quota_time_zone": "Mars/Olympus"}, "is no time zone"),
        ({"quota_time_zone": "../etc/passwd"}, "is no time zone"),
        ({"client_id_header": "X-Id\r\nEvil"}, "client_id_header"),
        ({"client_id_header": "X-한"}, "client_id_header"),
        ({"url": "http://h/shop.json?x=1"}, "takes no query"),
    ],
)
def test_an_api_that_cannot_be_asked_is_refused(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ApiSettings.model_validate({"name": "shop", "url": "http://h/shop.json", **given})


@pytest.mark.parametrize("hosts", [{"user:SEKRET@h": {}}, {"http://h": {}}, {"h/path": {}}, {}])
def test_hosts_that_are_none_are_refused(hosts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"crawl\.hosts"):
        scope_of({"hosts": hosts})
