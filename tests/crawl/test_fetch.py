"""One request: what comes back of it, whatever the server does, and what it costs at most."""

import asyncio
import gzip
import logging
import os
import time
import tracemalloc
import zlib
from collections import deque
from typing import Any

import pytest

from lib.crawl.body import Body, FetchError
from lib.crawl.fetch import LONGEST_HEADER, MOST_HEADERS, Answer, Fetcher
from lib.crawl.request import Request
from tests.crawl.fetching import settings
from tests.crawl.server import CLOSE, Server, answer, running

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(server: Server, *paths: str, given: Any = None, in_flight: int = 1, **more: Any) -> list[Answer | str]:
    """The answers, or the codes of failures, of all paths at once over as many connections as may be in flight."""

    async def one(fetcher: Fetcher, path: str) -> Answer | str:
        try:
            return await fetcher.get(Request(server.url(path), "product", server.host, 0, **more))
        except FetchError as error:
            return error.code

    async def run() -> list[Answer | str]:
        async with Fetcher(given or settings(), in_flight) as fetcher:
            return await asyncio.gather(*(one(fetcher, path) for path in paths))

    return asyncio.run(run())


def only(found: list[Answer | str]) -> Answer:
    assert isinstance(found[0], Answer), found
    return found[0]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (CLOSE, "disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "disconnected"),
        (b"\x00\xff no http\r\n\r\n", "protocol_error"),
        (answer(b"x", "999 Go away"), "protocol_error"),
        (answer(b"x", "000 Nothing"), "protocol_error"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "protocol_error"),
        (answer(b"x", "200 OK", "X: " + "a" * 200_000), "protocol_error"),
        (answer(b"x", "200 OK", "Content-Length: 7"), "protocol_error"),
        (answer(b"", "304 Not Modified"), "unasked_304"),
        (answer(b"half", "200 OK", "Connection: close", length=100), "truncated"),
        (CHUNKED.replace(b"chunked", b"chunked\r\nConnection: close") + b"5\r\nhello\r\n", "truncated"),
        (CHUNKED + b"zz\r\nhello\r\n", "protocol_error"),
        (answer(b"x" * 2000), "too_large"),
        (CHUNKED + b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n", "too_large"),
        (answer(gzip.compress(bytes(5000), mtime=0), "200 OK", "Content-Encoding: gzip"), "decoded_too_large"),
        (answer(gzip.compress(b"abc" * 9, mtime=0)[:-6], "200 OK", "Content-Encoding: gzip"), "truncated"),
        (answer(b"no gzip", "200 OK", "Content-Encoding: gzip"), "bad_encoding"),
        (answer(b"x", "200 OK", "Content-Encoding: br"), "bad_encoding"),
        (answer(b"x", "200 OK", "Content-Encoding: gzip, gzip"), "bad_encoding"),
    ],
)
def test_failures_have_codes(raw: bytes, code: str) -> None:
    with running({"/p": [raw, CLOSE]}) as server:
        if code == "disconnected":
            server.answers["/p"] = raw + b"\r\nConnection: close" if raw else raw
        assert get(server, "/p", given=settings(max_body_bytes=1000, max_decoded_bytes=3000)) == [code]


def test_waits_have_bounds() -> None:
    quick = {"read_seconds": 0.2, "total_seconds": 5}
    with running({"/p": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"x"]}) as server:
        server.pause = 3
        started = time.monotonic()
        assert get(server, "/p", given=settings(**quick)) == ["timeout"]  # no byte for so long
        assert time.monotonic() - started < 2
    dripping = [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", *([b"x"] * 20)]
    with running({"/p": dripping}) as server:
        server.pause = 0.05
        started = time.monotonic()
        assert get(server, "/p", given=settings(read_seconds=0.2, total_seconds=0.5)) == ["timeout"]
        assert 0.4 < time.monotonic() - started < 2
        assert only(get(server, "/p", given=settings(read_seconds=2))).body == b"x" * 20  # the control


def test_preliminary_answers_are_skipped_and_redirects_are_answers() -> None:
    moved = answer(b"", "301 Moved", "Location: /q")
    with running({"/p": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + answer(b"x"), "/r": moved}) as server:
        assert only(get(server, "/p")).body == b"x"
        found = only(get(server, "/r"))
        assert (found.status, found.header("location")) == (301, "/q")
        assert [path for _, path, _ in server.asked] == ["/p", "/r"]


def test_connections_are_kept_and_never_more_than_in_flight() -> None:
    with running(latency=0.02) as server:
        assert len(get(server, *["/p"] * 20, in_flight=3)) == 20
        assert server.connections == server.most_open == 3
    with running({"/p": answer(b"x", "200 OK", "Connection: close")}) as server:  # the control
        get(server, *["/p"] * 5)
        assert server.connections == 5


def test_headers_are_bounded_and_cookies_dropped() -> None:
    many = [f"X-{number}: {number}" for number in range(500)]
    odd = ["Set-Cookie: secret=1", "X-Long: " + "가" * 2000, "X-Raw: \xff\x01a\tb"]
    with running({"/p": answer(b"x", "200 OK", *odd, *many)}) as server:
        headers = only(get(server, "/p")).headers
    assert len(headers) == MOST_HEADERS
    assert "set-cookie" not in dict(headers)
    assert all(len(name) <= LONGEST_HEADER and len(value) <= LONGEST_HEADER for name, value in headers)
    assert all(value.isprintable() for _, value in headers)
    assert dict(headers)["x-raw"] == "ÿab"


def test_conditions_are_sent_where_they_can_be() -> None:
    with running({"/p": answer(b"", "304 Not Modified")}) as server:
        assert only(get(server, "/p", etag='W/"a b"')).status == 304
        assert only(get(server, "/p", last_modified="Thu, 01 Jan 2026 00:00:00 GMT")).status == 304
        # A site may have sent anything as its ETag; what cannot be sent back is left out.
        assert get(server, "/p", etag="a\r\nX-Evil: 1") == get(server, "/p", etag="가 ") == ["unasked_304"]
        sent = [head for _, _, head in server.asked]
        assert 'If-None-Match: W/"a b"' in sent[0]
        assert "If-Modified-Since: Thu" in sent[1]
        assert "Evil" not in "".join(sent)
        assert "If-None-Match" not in sent[2] + sent[3]


MEMBERS = gzip.compress(b"a" * 50, mtime=0) + gzip.compress(b"b" * 50, mtime=0)


@pytest.mark.parametrize(
    ("sent", "encoding", "body", "kept"),
    [
        (MEMBERS, "gzip", b"a" * 50 + b"b" * 50, False),
        (gzip.compress(b"a", mtime=0) + bytes(100), "gzip", b"a", False),
        (gzip.compress(b"a", mtime=0) + b"rubbish", "x-gzip", b"a", False),
        (gzip.compress(b"a", mtime=0), "GZIP", b"a", True),
        (gzip.compress(b"", mtime=0), "gzip", b"", True),
        (zlib.compress(b"a") + b"rest", "deflate", b"a", False),
        (b"", "gzip", b"", False),
        (b"", "br", b"", False),
        (b"a", "identity", b"a", False),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bodies_are_unpacked_in_whatever_pieces_they_come(
    sent: bytes, encoding: str, body: bytes, kept: bool, step: int
) -> None:
    reader = Body(encoding, 10_000, 10_000)
    for place in range(0, len(sent), step):
        reader.feed(sent[place : place + step])
    assert reader.end() == (body, sent if kept else None)


def test_a_bomb_costs_no_more_than_its_bound() -> None:
    bomb = gzip.compress(bytes(300_000_000))
    pieces = [bomb[place : place + 65_536] for place in range(0, len(bomb), 65_536)]
    tracemalloc.start()
    try:
        reader = Body("gzip", 10**9, 2_000_000)
        with pytest.raises(FetchError, match="decoded_too_large"):
            deque(map(reader.feed, pieces))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_only_the_first_bytes_of_a_body_may_be_wanted() -> None:
    bomb = gzip.compress(b"ab" * 10_000_000)
    large = {"/p": answer(b"ab" * 2_000_000), "/q": answer(bomb, "200 OK", "Content-Encoding: gzip")}

    async def run(server: Server, path: str) -> Answer:
        async with Fetcher(settings(max_decoded_bytes=10_000), 1) as fetcher:
            return await fetcher.get(Request(server.url(path), "robots", server.host, 0), only_first=1001)

    with running(large) as server:
        for path in large:
            found = asyncio.run(run(server, path))
            assert found.body == b"ab" * 500 + b"a"
            assert found.packed is None


def test_a_secret_goes_to_its_api_alone_and_is_told_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cr3t-of-ours"
    monkeypatch.setenv("CATMATCH_API_CLIENT_ID", "id-of-ours")
    monkeypatch.setenv("CATMATCH_API_CLIENT_SECRET", secret + "\n")  # as a file of secrets ends
    with running({"/v1/broken.json": b"rubbish\r\n\r\n"}) as server, running(address="127.0.0.2") as other:
        apis = [{"name": name, "url": server.url(f"/v1/{name}.json")} for name in ("shop", "broken")]
        apis[0]["url"] = apis[0]["url"].replace("http", "HTTP")
        found = []

        async def run(fetcher: Fetcher, host: str, url: str, kind: str) -> None:
            try:
                found.append(await fetcher.get(Request(url, kind, host, 0)))
            except FetchError as error:
                found.append(error)

        async def main() -> None:
            async with Fetcher(settings(apis=apis), 1) as fetcher:
                for path in ("shop.json?query=a", "shop.json", "shop.jsonx", "shop.json/x", "broken.json"):
                    await run(fetcher, server.host, server.url(f"/v1/{path}"), "api")
                await run(fetcher, server.host, server.url("/v1/shop.json"), "product")
                await run(fetcher, other.host, other.url("/v1/shop.json"), "api")

        asyncio.run(main())
        got = [path for _, path, head in server.asked if f"X-Naver-Client-Secret: {secret}\r\n" in head]
        assert got == ["/v1/shop.json?query=a", "/v1/shop.json", "/v1/broken.json"]
        assert secret not in "".join(head for _, _, head in other.asked)
        assert len(other.asked) == 1
    assert secret not in repr(found) + str(found) + caplog.text
    assert [one.code for one in found if isinstance(one, FetchError)] == ["protocol_error"]


@pytest.mark.parametrize("value", [None, "", " \n", "two\r\nlines", "가"])
def test_without_a_usable_secret_nothing_is_asked(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATMATCH_API_CLIENT_ID", "id-of-ours")
    monkeypatch.delenv("CATMATCH_API_CLIENT_SECRET", raising=False)
    if value is not None:
        monkeypatch.setitem(os.environ, "CATMATCH_API_CLIENT_SECRET", value)
    with running() as server:
        given = settings(apis=[{"name": "shop", "url": server.url("/v1/shop.json")}])

        async def run() -> None:
            async with Fetcher(given, 1) as fetcher:
                await fetcher.get(Request(server.url("/v1/shop.json?q"), "api", server.host, 0))

        with pytest.raises(FetchError) as caught:
            asyncio.run(run())
        assert (caught.value.code, caught.value.passing) == ("no_secret", False)
        assert not server.asked
