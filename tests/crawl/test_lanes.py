"""Lanes against real servers: pace, robots, attempts, and that every request comes back as one outcome."""

import asyncio
import gzip
import time
import zlib
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from lib.crawl.host_states import STREAK, dead_hosts
from lib.crawl.lanes import fetch_hosts
from lib.crawl.request import HostState, Link, Outcome, Request, RobotsRecord
from tests.crawl.fetching import fetch, pages, settings
from tests.crawl.server import CLOSE, Answers, answer, running


def gaps(times: list[float]) -> list[float]:
    ordered = sorted(times)
    return [later - earlier for earlier, later in pairwise(ordered)]


# A busy machine lets requests that started in time arrive late, and then closer together.
JITTER = 0.04


def keeps_to(times: list[float], delay: float, together: int = 12) -> bool:
    """Whether no so many requests together came sooner than the delay allows; arrivals jitter by some milliseconds."""
    ordered = sorted(times)
    spans = [last - first for first, last in zip(ordered, ordered[together - 1 :], strict=False)]
    return min(spans) > (together - 1) * delay - JITTER


def rate_is_kept(in_flight: int, latency: float) -> bool:
    """Whether the server saw 50 requests a second, and hardly fewer."""
    with running(latency=latency) as server:
        given = settings(delay=0.02, adaptive=False, hosts={"*": {"in_flight": in_flight}})
        found, _ = fetch(pages(server, 40), given)
        # Noted a moment after its turn: where the machine is busy, up to a millisecond later for one than for the next.
        assert min(gaps([one.requested_at or 0.0 for one in found.values()])) > 0.019
        return keeps_to(server.times(), 0.02) and max(server.times()) - min(server.times()) < 39 * 0.02 / 0.85


@pytest.mark.parametrize(("in_flight", "latency"), [(1, 0.0), (4, 0.06)])
def test_the_rate_is_kept_and_nearly_reached(in_flight: int, latency: float) -> None:
    assert any(rate_is_kept(in_flight, latency) for _ in range(6))  # others may keep the machine busy for a while


def test_without_a_delay_that_check_would_fail() -> None:
    with running() as server:
        fetch(pages(server, 40), settings(delay=0.0))
        assert not keeps_to(server.times(), 0.02)


def test_crawl_delay_is_obeyed_and_paths_are_left_alone() -> None:
    rules = b"User-agent: *\nCrawl-delay: 0.2\nDisallow: /p1\n"
    with running({"/robots.txt": answer(rules)}) as server:
        found, _ = fetch(pages(server, 4), settings())
        assert {path: one.state for path, one in found.items()} == {
            "/p0": "stored", "/p1": "forbidden", "/p2": "stored", "/p3": "stored",
        }  # fmt: skip
        assert "/p1" not in [path for _, path, _ in server.asked]
        assert keeps_to([at for at, _, _ in server.asked], 0.2, together=2)
        # Not bounded by the longest adaptive delay.
        found, states = fetch(pages(server, 2), settings(max_delay=0.05))
        assert states[server.host].pace == pytest.approx(0.2)
    with running({"/robots.txt": answer(rules.replace(b"0.2", b"999"))}) as server:
        found, _ = fetch(pages(server, 3), settings())
        assert {(one.state, one.error) for one in found.values()} == {("failed", "crawl_delay")}
        assert not server.times()
    with running({"/robots.txt": answer(rules.replace(b"Crawl-delay: 0.2", b""))}) as server:  # the control
        fetch(pages(server, 4), settings())
        assert not keeps_to([at for at, _, _ in server.asked], 0.2, together=2)


def test_the_delay_holds_from_one_round_to_the_next() -> None:
    with running() as server:
        given = settings(delay=0.4)
        _, states = fetch(pages(server), given)
        first = server.asked[-1][0]
        fetch(pages(server), given, states=states)
        assert [path for _, path, _ in server.asked] == ["/robots.txt", "/p0", "/p0"]  # robots.txt is remembered
        assert server.asked[-1][0] - first > 0.39


def test_a_slow_host_is_asked_less_often_and_a_quick_one_not_below_its_delay() -> None:
    with running(latency=0.1) as server:
        _, states = fetch(pages(server, 6), settings(delay=0.01))
        assert 0.05 < (states[server.host].delay or 0) <= 0.2
    with running() as server:
        _, states = fetch(pages(server, 6), settings(delay=0.01))
        assert (states[server.host].delay or 0) == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize(
    ("robots", "expected"),
    [
        (answer(b"", "404 Not Found"), "stored"),
        (answer(b"", "403 Forbidden"), "stored"),
        (answer(b"User-agent: *\nDisallow: /"), "forbidden"),
        (answer(b"User-agent: catmatch\nDisallow: /\n\nUser-agent: *\nAllow: /"), "forbidden"),
        (answer(bytes(range(256)) * 4000), "stored"),
        (answer(b"", "301 Moved", "Location: http://elsewhere.example/robots.txt"), "forbidden"),
        (answer(b"", "302 Found", "Location: /robots.txt"), "forbidden"),
        (answer(b"", "500 Oops"), "failed"),
        (CLOSE, "failed"),
    ],
)
def test_robots_answers(robots: bytes, expected: str) -> None:
    with running({"/robots.txt": robots}) as server:
        found, _ = fetch(pages(server, 2), settings(max_attempts=2))
        assert {one.state for one in found.values()} == {expected}
        if expected != "stored":
            assert not server.times()


def test_while_robots_cannot_be_had_the_host_waits() -> None:
    with running({"/robots.txt": answer(b"", "503 Busy", "Retry-After: 60")}) as server:
        found, states = fetch(pages(server, 2), settings(), seconds=0.5)
        assert {(one.state, one.attempts) for one in found.values()} == {("waiting", 0)}
        assert all((one.not_before or 0) > time.time() + 50 for one in found.values())
        assert len(server.asked) == 1
        fetch(pages(server, 2), settings(), seconds=0.5, states=states)
        assert len(server.asked) == 1  # the next round knows


def late(first: bytes, *, times: int = 1) -> Any:
    """`first` for so many times, then a page."""
    return lambda asked: first if asked < times else answer()


PASSING_FAULTS = {
    "500": answer(b"", "500 Oops"), "408": answer(b"", "408 Timeout"), "closed": CLOSE,
    "truncated": answer(b"half", "200 OK", "Connection: close", length=100),
    "garbage": b"\x00\x01 no http\r\n\r\nConnection: close\r\n",
    "bad gzip": answer(b"no gzip", "200 OK", "Content-Encoding: gzip"),
    "429": answer(b"", "429 Too Many", "Retry-After: 0"),
}  # fmt: skip


@pytest.mark.parametrize("fault", PASSING_FAULTS)
def test_what_may_pass_is_tried_again(fault: str) -> None:
    with running({"/p0": late(PASSING_FAULTS[fault])}) as server:
        found, _ = fetch(pages(server), settings())
        assert (found["/p0"].state, found["/p0"].status, found["/p0"].attempts) == ("stored", 200, 2)


@pytest.mark.parametrize(
    ("given", "state", "error", "status", "attempts"),
    [
        (answer(b"", "404 Not Found"), "stored", None, 404, 1),
        (answer(b"", "410 Gone"), "stored", None, 410, 1),
        (answer(b"", "403 Forbidden"), "failed", "status_403", 403, 1),
        (answer(b"", "500 Oops"), "failed", "status_500", 500, 3),
        (answer(b"", "599 Oops"), "failed", "status_599", 599, 3),
        (answer(b"", "302 Found", "Location: /p0?utm_source=x#y"), "failed", "redirect_to_itself", 302, 1),
        (CLOSE, "failed", "disconnected", None, 3),
        (PASSING_FAULTS["truncated"], "failed", "truncated", None, 3),
        (PASSING_FAULTS["bad gzip"], "failed", "bad_encoding", None, 3),
        (answer(b"", "304 Not Modified"), "failed", "unasked_304", None, 3),
        (answer(b"x" * 2000), "failed", "too_large", None, 1),
        (answer(gzip.compress(bytes(10_000_000), mtime=0)[:900] + b"", length=900), "stored", None, 200, 1),
        (answer(b"x", "200 OK", "Content-Encoding: br"), "failed", "bad_encoding", None, 1),
    ],
)
def test_how_an_address_ends(given: bytes, state: str, error: str | None, status: int | None, attempts: int) -> None:
    with running({"/p0": given}) as server:
        found, _ = fetch(pages(server), settings(max_attempts=3, max_body_bytes=1000))
        one = found["/p0"]
        assert (one.state, one.error, one.status, one.attempts) == (state, error, status, attempts)


def test_a_bomb_is_cut_at_its_bound() -> None:
    bomb = gzip.compress(bytes(200_000_000))
    with running({"/p0": answer(bomb, "200 OK", "Content-Encoding: gzip")}) as server:
        found, _ = fetch(pages(server), settings(max_decoded_bytes=1_000_000))
        assert (found["/p0"].state, found["/p0"].error) == ("failed", "decoded_too_large")


def test_bodies_are_kept_unpacked_or_packed_alike() -> None:
    text = "가나다".encode() * 100
    raw = zlib.compressobj(wbits=-15)
    packed: Answers = {
        "/p0": answer(text),
        "/p1": answer(gzip.compress(text), "200 OK", "Content-Encoding: gzip"),
        "/p2": answer(zlib.compress(text), "200 OK", "Content-Encoding: deflate"),
        "/p3": answer(raw.compress(text) + raw.flush(), "200 OK", "Content-Encoding: deflate", "Set-Cookie: a=b"),
    }
    with running(packed) as server:
        found, _ = fetch(pages(server, 4), settings())
        assert {gzip.decompress(one.body or b"") for one in found.values()} == {text}
        assert len({one.hash for one in found.values()}) == 1
        assert {one.body_bytes for one in found.values()} == {len(text)}
        assert "set-cookie" not in dict(found["/p3"].headers)


def test_a_redirect_is_a_page_with_one_link() -> None:
    target = answer(b"", "302 Found", "Location: /p9#x")
    outside = answer(b"", "302 Found", "Location: http://elsewhere.example/p9")
    with running({"/p0": target, "/p1": outside}) as server:
        given = settings(hosts={server.host: {}})
        found, _ = fetch(pages(server, 2), given)
        assert found["/p0"].links == (Link(server.url("/p9"), "product"),)
        assert found["/p1"].links == ()
        assert {(one.state, one.status, one.body) for one in found.values()} == {("stored", 302, None)}
        assert [path for _, path, _ in server.asked] == ["/robots.txt", "/p0", "/p1"]


def test_known_pages_are_asked_whether_they_changed() -> None:
    with running({"/p0": answer(b"", "304 Not Modified", 'ETag: "1"')}) as server:
        found, _ = fetch(pages(server, etag='"1"', last_modified="Thu, 01 Jan 2026 00:00:00 GMT"), settings())
        assert (found["/p0"].state, found["/p0"].status, found["/p0"].hash) == ("stored", 304, None)
        sent = server.asked[-1][2]
        assert 'If-None-Match: "1"' in sent
        assert "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT" in sent
        assert "User-Agent: catmatch/1.0 (+a@b.example)" in sent


def test_retry_after_leaves_the_whole_host_alone() -> None:
    with running({"/p0": late(answer(b"", "429 Too Many", "Retry-After: 1"))}) as server:
        fetch(pages(server, 3), settings())
        pause = gaps(server.times())[0]
        assert pause > 0.99
    with running({"/p0": late(answer(b"", "500 Oops"))}) as server:  # the control: another fault pauses nothing
        fetch(pages(server, 3), settings())
        assert gaps(server.times())[0] < 0.5


def test_a_retry_after_beyond_the_round_is_kept_for_the_next() -> None:
    with running({"/p0": answer(b"", "429 Too Many", "Retry-After: 99999999")}) as server:
        found, states = fetch(pages(server, 2), settings(retry_after_limit=100), seconds=1)
        assert {one.state for one in found.values()} == {"waiting"}
        assert all(90 < (one.not_before or 0) - time.time() < 101 for one in found.values())
        fetch(pages(server, 2), settings(), seconds=1, states=states)
        assert len(server.times()) == 1


def test_after_the_deadline_nothing_starts() -> None:
    with running(latency=0.3) as server:
        found, _ = fetch(pages(server, 10), settings(), seconds=0.75)
        counted = Counter((one.state, one.attempts) for one in found.values())
        assert counted[("waiting", 0)] >= 6
        assert len(server.times()) == counted[("stored", 1)] > 0


def test_a_host_that_is_not_there_is_left_alone_and_at_last_given_up() -> None:
    with running() as server:
        gone = server.host
    requests = [Request(f"http://{gone}/p{number}", "product", gone, 1) for number in range(50)]
    given = settings(max_attempts=2, backoff_limit=0.001, backoff_seconds=0.001)
    states = {gone: HostState(gone, robots=RobotsRecord("", fetched_at=time.time()))}
    rounds = 0
    while not dead_hosts(states.values(), given):
        found, states = fetch(requests, given, seconds=0.2, states=states)
        assert {one.state for one in found.values()} <= {"waiting", "failed"}
        rounds += 1
    assert rounds == 2
    assert dead_hosts(states.values(), given) == {"host_unreachable": [gone]}


def test_a_host_that_is_only_ever_overloaded_is_given_up_and_one_that_recovers_is_not() -> None:
    busy = answer(b"", "503 Busy", "Retry-After: 0")
    given = settings(max_attempts=2)
    with running({f"/p{number}": busy for number in range(6)}) as server:
        _, states = fetch(pages(server, 6), given)
        assert dead_hosts(states.values(), given) == {"host_overloaded": [server.host]}
    with running({f"/p{number}": late(busy) for number in range(6)}) as server:
        _, states = fetch(pages(server, 6), given)
        assert dead_hosts(states.values(), given) == {}


def test_hosts_that_are_not_allowed_are_never_asked() -> None:
    with running() as server:
        found, _ = fetch(pages(server), settings(hosts={"shop.example": {}}))
        assert (found["/p0"].state, found["/p0"].error) == ("failed", "not_allowed")
        assert not server.asked


def test_loopback_is_refused_unless_allowed() -> None:
    with running() as server:
        given = settings(allow_loopback=False)
        robots = RobotsRecord("", fetched_at=time.time())
        for states in ({}, {server.host: HostState(server.host, robots=robots)}):
            found, _ = fetch(pages(server), given, states=states)
            assert (found["/p0"].state, found["/p0"].error) == ("failed", "refused_address")
        assert not server.asked


def test_an_api_gets_its_secret_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as server:
        api = {"name": "shop", "url": server.url("/v1/search/shop.json")}
        asked = [Request(server.url("/v1/search/shop.json?query=a"), "api", server.host, 0), *pages(server)]
        monkeypatch.delenv("CATMATCH_API_CLIENT_SECRET")
        found, _ = fetch(asked, settings(apis=[api], hosts={"*": {"in_flight": 1}}))
        assert found["/v1/search/shop.json?query=a"].error == "no_secret"
        monkeypatch.setenv("CATMATCH_API_CLIENT_ID", "id-of-ours")
        monkeypatch.setenv("CATMATCH_API_CLIENT_SECRET", "a-secret-of-ours")
        found, states = fetch(asked, settings(apis=[api]), states={server.host: HostState(server.host, quota_left=1)})
        sent = {path: head for _, path, head in server.asked}
        assert "X-Naver-Client-Secret: a-secret-of-ours" in sent["/v1/search/shop.json?query=a"]
        assert "a-secret-of-ours" not in sent["/p0"] + sent["/robots.txt"] + repr(found) + repr(states)
        assert states[server.host].quota_left == 0


def test_an_api_that_does_not_accept_us_is_not_asked_again_and_its_errors_are_no_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CATMATCH_API_CLIENT_ID", "id-of-ours")
    monkeypatch.setenv("CATMATCH_API_CLIENT_SECRET", "a-secret-of-ours")
    place = "/v1/search/shop.json"
    for refusal, expected in (("401 Unauthorized", "waiting"), ("400 Bad Request", "failed")):
        with running({f"{place}?query={n}": answer(b"{}", refusal) for n in range(5)}) as server:
            given = settings(apis=[{"name": "shop", "url": server.url(place)}])
            queries = [Request(server.url(f"{place}?query={n}"), "api", server.host, 0) for n in range(5)]
            found, _ = fetch(queries, given)
            assert {one.state for one in found.values()} == {expected}
            assert len(server.asked) == (1 if expected == "waiting" else 5)
            assert f"status_{refusal[:3]}" in {one.error for one in found.values()}


def test_an_api_needs_no_robots_of_its_host_and_pages_that_look_like_one_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATMATCH_API_CLIENT_ID", "id-of-ours")
    monkeypatch.setenv("CATMATCH_API_CLIENT_SECRET", "a-secret-of-ours")
    with running({"/robots.txt": answer(b"", "500 Oops")}) as server:
        api = Request(server.url("/v1/search/shop.json?query=a"), "api", server.host, 0)
        given = settings(apis=[{"name": "shop", "url": server.url("/v1/search/shop.json")}], max_attempts=2)
        found, _ = fetch([api, *pages(server)], given)
        assert found["/v1/search/shop.json?query=a"].state == "stored"
        assert (found["/p0"].state, found["/p0"].error) == ("failed", "robots_unreachable")
        found, _ = fetch([api], settings())  # no such API in conf
        assert (found["/v1/search/shop.json?query=a"].state, found["/v1/search/shop.json?query=a"].error) == (
            "failed", "not_allowed",
        )  # fmt: skip


def test_a_used_up_quota_leaves_its_requests_waiting_and_pages_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATMATCH_API_CLIENT_ID", "id-of-ours")
    monkeypatch.setenv("CATMATCH_API_CLIENT_SECRET", "a-secret-of-ours")
    with running() as server:
        api = {"name": "shop", "url": server.url("/v1/search/shop.json")}
        queries = [Request(server.url(f"/v1/search/shop.json?query={n}"), "api", server.host, 0) for n in range(4)]
        known = {server.host: HostState(server.host, quota_left=2)}
        found, _ = fetch([*queries, *pages(server, 3)], settings(apis=[api]), states=known)
        assert Counter((one.kind, one.state) for one in found.values()) == {
            ("api", "stored"): 2, ("api", "waiting"): 2, ("product", "stored"): 3,
        }  # fmt: skip


def test_states_survive_as_text() -> None:
    state = HostState("a.example:81", 1.5, 0.25, 0.5, 3.0, 2, 1, RobotsRecord("User-agent: *", 1, 2.0), "x", 7)
    assert HostState.from_json(state.to_json()) == state


def test_a_retry_after_counts_when_nothing_is_tried_again_as_well() -> None:
    with running({"/p0": answer(b"", "503 Busy", "Retry-After: 1")}) as server:
        found, _ = fetch(pages(server, 2), settings(max_attempts=1))
        assert (found["/p0"].state, found["/p0"].status) == ("failed", 503)
        assert gaps(server.times())[0] > 0.99


def test_overload_without_a_word_pauses_the_host_for_the_longest_backoff() -> None:
    with running({"/p0": late(answer(b"", "429 Too Many"))}) as server:
        fetch(pages(server, 2), settings(backoff_seconds=0.5, backoff_limit=9))
        assert gaps(server.times())[0] > 0.49


def test_what_was_tried_and_not_answered_keeps_when_and_why() -> None:
    with running({"/p0": answer(b"", "500 Oops")}, latency=0.2) as server:
        given = settings(backoff_seconds=0.001, backoff_limit=0.001, max_attempts=20)
        found, _ = fetch(pages(server, 1), given, seconds=0.7)
        one = found["/p0"]
        assert (one.state, one.status, one.error) == ("waiting", 500, "status_500")
        assert one.attempts == len(server.times()) >= 1
        assert one.requested_at == pytest.approx(server.times()[-1], abs=0.15)


def test_a_host_that_is_down_is_given_back_for_the_round_and_not_asked_once_a_page() -> None:
    with running() as server:
        gone = server.host
    requests = [Request(f"http://{gone}/p{number}", "product", gone, 1) for number in range(30)]
    known = {gone: HostState(gone, robots=RobotsRecord("", fetched_at=time.time()))}
    for in_flight in (1, 4):
        given = settings(hosts={"*": {"in_flight": in_flight}}, backoff_seconds=2, backoff_limit=60)
        started = time.monotonic()
        found, states = fetch(requests, given, seconds=60, states=known)
        assert time.monotonic() - started < 2
        assert STREAK <= sum(one.attempts for one in found.values()) < STREAK + in_flight
        assert {one.state for one in found.values()} == {"waiting"}
        assert all(20 < (one.not_before or 0) - time.time() < 61 for one in found.values())
        assert STREAK <= states[gone].failures < STREAK + in_flight
    # The control: answers that are of no use are the pages' faults, not the host's.
    with running({f"/p{number}": answer(b"x" * 99) for number in range(30)}) as server:
        found, states = fetch(pages(server, 30), settings(max_body_bytes=9))
        assert {(one.state, one.error) for one in found.values()} == {("failed", "too_large")}
        assert states[server.host].failures == 0


def test_a_request_that_names_another_host_than_its_address_is_not_made() -> None:
    with running() as server, running(address="127.0.0.2") as other:
        allowed = settings(hosts={server.host: {}})
        urls = [other.url("/p0"), f"http://u:p@{server.host}/p1", server.url("/p가")]
        requests = [Request(url, "product", server.host, 1) for url in urls]
        found, _ = fetch([*requests, *pages(server)], allowed)
        assert Counter((one.state, one.error) for one in found.values()) == {
            ("failed", "not_allowed"): 3, ("stored", None): 1,
        }  # fmt: skip
        assert not other.asked
        assert len(server.times()) == 1


def test_rules_a_day_old_are_read_again_and_kept_where_they_cannot_be() -> None:
    old = RobotsRecord("User-agent: *\nDisallow: /p1", fetched_at=time.time() - 25 * 3600)
    fresh = replace(old, fetched_at=time.time() - 3600)
    with running() as server:
        for record, path, state in ((old, "/p1", "stored"), (fresh, "/p1", "forbidden")):
            found, _ = fetch(pages(server, 2), settings(), states={server.host: HostState(server.host, robots=record)})
            assert found[path].state == state
        assert [path for _, path, _ in server.asked].count("/robots.txt") == 1
    with running({"/robots.txt": CLOSE}) as server:
        found, _ = fetch(pages(server, 2), settings(), states={server.host: HostState(server.host, robots=old)})
        assert [found[path].state for path in ("/p0", "/p1")] == ["stored", "forbidden"]


@pytest.mark.parametrize("target", ["http://[bad/", "/\xea\xb0\x80 x\x01", "//", "http://u:p@h/", "?", "", "a" * 5000])
def test_no_redirect_of_robots_or_pages_stops_a_lane(target: str) -> None:
    moved = answer(b"", "302 Found", f"Location: {target}")
    with running({"/robots.txt": moved}) as server:
        found, _ = fetch(pages(server), settings(max_attempts=1))
        assert found["/p0"].state in ("stored", "forbidden")
    with running({"/p0": moved}) as server:
        found, _ = fetch(pages(server), settings())
        assert found["/p0"].status == 302


def test_long_rules_do_not_hold_up_other_hosts() -> None:
    rules = b"User-agent: *\n" + b"".join(b"Disallow: /*p*%d\n" % number for number in range(3000))
    came: list[str] = []

    async def emit(one: Outcome | HostState) -> None:
        came.append(one.host)

    with running({"/robots.txt": answer(rules)}) as large, running(address="127.0.0.2") as other:
        requests = [*pages(large, 4000), *pages(other, 5)]
        asyncio.run(fetch_hosts(requests, {}, settings(), time.time() + 60, emit, lambda *_: []))
        assert came.count(large.host) == 4001
        # Pages of the other host came in between, not after all those that are forbidden.
        assert other.host in came[:3900]
