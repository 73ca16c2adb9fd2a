"""What robots.txt forbids, and that no robots.txt costs more than reading it."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from lib.crawl import robots
from lib.crawl.fetch import Answer
from lib.crawl.robots import FORBID_ALL, MOST_BYTES, Rules, ask, text_of, without_other_agents

AGENTS = [
    "*",
    "catmatch",
    "CatMatch",
    "cat",
    "catmatch/1.0",
    "other",
    "googlebot",
    "c*t",
    "catmatch*",
    "atch",
    "",
    "cat match",
]
LINES = st.sampled_from(
    [
        *(f"{field}{colon}{agent}{comment}" for field in ("User-agent", "useragent", "USER AGENT", " user-agent")
          for colon in (":", ": ", " : ", " ") for agent in AGENTS for comment in ("", " # c")),
        "Disallow: /", "Disallow: /a", "Allow: /a", "Disallow: /*b$", "Disallow:", "Allow: /", "Crawl-delay: 2",
        "Crawl-delay: 7", "Sitemap: http://h/s.xml", "", "# comment", "nonsense", "No: thing", "Host: h",
    ]
)  # fmt: skip


@given(st.lists(LINES, max_size=12), st.sampled_from(["catmatch", "other", "Cat_Match-Bot", "googlebot"]))
def test_leaving_out_other_agents_changes_nothing_for_ours(lines: list[str], agent: str) -> None:
    text = "\n".join(lines)
    whole, ours = Protego.parse(text), Rules(text, agent)
    for path in ("/", "/a", "/ab", "/b"):
        assert ours.allows(f"http://h{path}") == whole.can_fetch(f"http://h{path}", agent)
    assert ours.crawl_delay == (whole.crawl_delay(agent) or 0)


@pytest.mark.parametrize("agent_line", ["User-agent: a{}", "User-agent a{}", "user   agent a{}:b", "useragent:{}"])
def test_many_agents_and_many_rules_are_read_in_no_time(agent_line: str) -> None:
    agents = [agent_line.format(number) for number in range(10_000)]
    rules = [f"Disallow: /b{number}" for number in range(10_000)]
    text = "\n".join([*agents, *rules, "User-agent: catmatch", "Disallow: /x"])
    started = time.process_time()
    assert not Rules(text, "catmatch").allows("http://h/x")
    assert time.process_time() - started < 2


def test_without_that_it_would_take_long() -> None:
    agents, rules = ([f"{name}{number}" for number in range(700)] for name in ("User-agent: a", "Disallow: /b"))
    text = "\n".join([*agents, *rules])
    started = time.process_time()
    Protego.parse(text)
    slow = time.process_time() - started
    started = time.process_time()
    Protego.parse(without_other_agents(text, "catmatch"))
    assert time.process_time() - started < slow / 10


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e999", "x", ""])
def test_a_strange_crawl_delay_is_none(value: str) -> None:
    assert Rules(f"User-agent: *\nCrawl-delay: {value}", "catmatch").crawl_delay == 0


def test_a_long_file_is_cut_between_lines() -> None:
    rest = b"Disallow: /private/x\n" * 30_000
    cut = text_of(b"User-agent: *\n" + rest)
    assert MOST_BYTES - 30 < len(cut) < MOST_BYTES
    assert cut.endswith("Disallow: /private/x")
    assert text_of(b"\xef\xbb\xbfUser-agent: \xff\0*") == "User-agent: \ufffd*"


def found(*answers: tuple[int, str | None]) -> tuple[str | None, list[str]]:
    """What is made of these (status, location or body) one after another, and which addresses were asked for."""
    asked: list[str] = []

    async def get(url: str) -> Answer | None:
        status, text = answers[min(len(asked), len(answers) - 1)]
        asked.append(url)
        if status == 0:
            return None
        location = text if 300 <= status < 400 else None
        return Answer(status, (), location, (text or "").encode(), None, 0, 0.0, 0.0)

    return asyncio.run(ask("h", "http", get)), asked


def test_what_the_answers_mean() -> None:
    assert found((200, "User-agent: *")) == ("User-agent: *", ["http://h/robots.txt"])
    for status in (201, 203, 206):
        assert found((status, "Disallow: /"))[0] == "Disallow: /"
    for status in (400, 401, 403, 404, 410, 451):
        assert found((status, "Disallow: /"))[0] == robots.ALLOW_ALL
    assert found((0, None))[0] is None
    assert found((301, "/r"), (0, None))[0] is None


def test_redirects_are_followed_on_the_host_only() -> None:
    assert found((301, "https://h/robots.txt"), (302, "/other"), (200, "x")) == (
        "x", ["http://h/robots.txt", "https://h/robots.txt", "https://h/other"],
    )  # fmt: skip
    for target in ("http://elsewhere/robots.txt", "http://h:81/robots.txt", "http://[bad", "ftp://h/", "http://u:p@h/"):
        assert found((301, target), (200, "")) == (FORBID_ALL, ["http://h/robots.txt"])
    text, asked = found((302, "/robots.txt"))
    assert (text, len(asked)) == (FORBID_ALL, robots.MOST_REDIRECTS + 1)
    assert found((302, None))[0] == FORBID_ALL
