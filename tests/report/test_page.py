"""The month's page: whole, escaped, without network, and in words where a stage is missing."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lib.config import ReportSettings
from lib.report.gather import OPTIONAL, STAGES, MonthFacts
from lib.report.page import render, store
from tests.report.example_month import HOSTILE, manifest_of, month_facts

VOID = {"meta", "img", "br", "link", "input"}


class Tags(HTMLParser):
    """Collects tags and visible text; fails on tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def _parsed(facts: MonthFacts) -> Tags:
    tags = Tags()
    tags.feed(render(facts, ReportSettings(), "c0ffee"))
    assert tags.open == []
    tags.text = " ".join(tags.text.split())
    return tags


@pytest.fixture(scope="module")
def whole() -> Tags:
    return _parsed(month_facts())


def test_untrusted_names_stay_text(whole: Tags) -> None:
    assert "script" not in whole.seen
    assert "img" not in whole.seen
    assert not [name for name, _ in whole.attributes if name.startswith("on")]
    assert whole.text.count(HOSTILE) > 3  # as a reason, as a category, in names, in the details
    assert "49" not in re.findall(r"\{\{ ?(\d+) ?\}\}", whole.text)


def test_page_needs_no_network(whole: Tags) -> None:
    assert not {"link", "iframe", "object"} & set(whole.seen)
    assert not [
        value for name, value in whole.attributes if name in ("src", "href") and not (value or "").startswith("#")
    ]
    assert ("content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in whole.attributes


def test_every_part_is_there(whole: Tags) -> None:
    for words in (
        "Rows through the stages", "addresses that robots.txt forbids", "shop.example",
        "products 21,900, rejects 410", "duplicate", "count >= 3", "94.3 %",
        "Products per category", "Best epoch 6", "By head", "By level", "Reliability", "Most frequent confusions",
        "against", "Version 2, trained on 2026-02", "Accuracy over the months", "Against the true labels",
    ):  # fmt: skip
        assert words in whole.text, words


def test_simulated_figures_say_so(whole: Tags) -> None:
    assert whole.text.count("simulated") >= 6
    real = _parsed(month_facts(absent=("market",)))
    assert "Every figure here is simulated" not in real.text


@pytest.mark.parametrize("absent", [("evaluate",), ("train", "evaluate"), ("vocabulary", "word2vec"), STAGES[3:]])
def test_missing_stages_are_said_in_words(absent: tuple[str, ...]) -> None:
    page = _parsed(month_facts(absent=absent, rows=300))
    needed = [stage for stage in absent if stage not in OPTIONAL]
    assert f"Not finished for this month: {', '.join(needed)}" in page.text
    assert page.text.count("not finished") >= len(needed)


def test_a_month_of_files_has_no_crawl() -> None:
    page = _parsed(month_facts(absent=("crawl",), rows=300))
    assert "Pages a second" not in page.text
    assert "#crawl" not in [value for _, value in page.attributes]


def test_facts_of_an_older_manifest_leave_gaps_and_no_crash() -> None:
    facts = month_facts(rows=300)
    facts.stages["evaluate"] = manifest_of(
        "evaluate", {"test": {"rows": 3, "worst": [{}]}, "peer": {"rows": 1}}, None, {}
    )
    facts.stages["train"] = manifest_of("train", {"members": [{"epochs": [{"loss": None}, {}]}]}, None, {})
    assert "Accuracy on the test split" in _parsed(facts).text


def test_names_are_cut_to_the_configured_length() -> None:
    page = render(month_facts(rows=300), ReportSettings(name_length=10), "c0ffee")
    examples = re.findall(r"<li>“(.*?)”", page)
    assert examples
    assert all(len(name) == 11 and name.endswith("…") for name in examples)


def test_page_is_stored_whole(tmp_path: Path) -> None:
    place = store("<p>가</p>", str(tmp_path / "reports"), "2026-01")
    assert place.read_text(encoding="utf-8") == "<p>가</p>"
    assert [file.name for file in place.parent.iterdir()] == ["2026-01.html"]
