"""The month's page: whole, escaped, without network, and in words where a stage is missing."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

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
        self.text = self.raw = ""
        self.cells: list[str] = []

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
            self.raw += data
            self.cells += data.split()

    @property
    def words(self) -> str:
        """The text with a space between the cells of tables."""
        return " ".join(self.cells)


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
    leading = [value or "" for name, value in whole.attributes if name in ("src", "href")]
    assert all(value.startswith(("#", "./")) or value == "index.html" for value in leading), leading
    assert ("content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in whole.attributes


def test_every_part_is_there(whole: Tags) -> None:
    for words in (
        "Rows through the stages", "addresses that robots.txt forbids", "shop.example",
        "products 21,900, rejects 410", "duplicate", "count >= 3", "94.3 %",
        "Products per category", "Best epoch 6", "By head", "By level", "Reliability", "Most frequent confusions",
        "against", "Version 2, trained on 2026-02", "Accuracy over the months", "Against the true labels",
    ):  # fmt: skip
        assert words in whole.text, words


def test_decisions_are_told_with_their_reasons(whole: Tags) -> None:
    for words in (
        "Kept: the new version stays a candidate (candidate version 5, champion version 4, previous version 3)",
        "✗ failed", "0.9 points worse difference -0.9 / -1.2 / -0.6", "– not judged", "a holiday",
        "✗ failed, overruled", "Drifted. Mall", "Compared with 2026-01, 2026-02", "half the usual offers",
        "1,201 test offers were drawn for people to label; 300 of them are answered, 901 are open.",
        "People say what the given label says 95.0 % 92.0 to 97.0", "People minus machine: +6.0 points (+2.0 to +10.0)",
        "On 31 offers only people are right, on 13 only the machine (McNemar's test, p = 0.0096).",
        "two of them agree in 87.5 % (Fleiss' kappa 0.86)", "a > b none fits a > c",
        "188 offers are on the sheet; 12 of this month are answered; 1 of them: none fits.",
        "automatic 750 75.0 %", "96.8 % are expected to be right",
    ):  # fmt: skip
        assert words in whole.words, words
    figures = whole.words[whole.words.index("Compared with") :]
    assert figures.index("brand filled") < figures.index("offers all"), "what drifted stands first"


def test_uncertain_categories_come_with_names_and_a_fix_to_take_over(whole: Tags) -> None:
    for words in (
        "categories with enough held-out rows", "Suggested fix", "- from_month: 2026-04 by: your name", "split:",
        "of its own", "are surely answered (a confidence of 0.4 or more)",
    ):  # fmt: skip
        assert words in whole.words, words


def test_a_suggestion_is_yaml_whatever_the_words(whole: Tags) -> None:
    begin = whole.raw.index("- from_month: 2026-04")
    entry = yaml.safe_load(whole.raw[begin : whole.raw.index("into:", begin)] + "into: '1'")[0]
    assert entry["split"]["rules"][0]["words"] == [HOSTILE]
    assert entry["why"] == HOSTILE


def test_fixes_are_shown_with_who_why_rows_and_effect(whole: Tags) -> None:
    for words in (
        "Fix 2, from 2026-02, <script>", "bada files all there", "1,234 train rows left out", "41.2 % 63.4 %",
        "{merge: {categories: ['50000000'], into: '50000001'}} Fix 3, from 2026-03, kim: twins 55 rows of all splits",
        "소분류0 – –",
    ):  # fmt: skip
        assert words in whole.words, words


def test_a_month_without_fixes_says_so() -> None:
    facts = month_facts(rows=300)
    facts.stages["normalize"] = manifest_of("normalize", {}, None, {})
    assert "No fix holds for this month." in _parsed(facts).text
    facts.stages["normalize"] = None
    assert "Stage “normalize” has not finished for this month, so fixes cannot be shown" in _parsed(facts).text


def test_a_scored_month_without_decisions_says_that_they_are_missing() -> None:
    page = _parsed(month_facts(absent=("validation_set", "drift", "promote", "review"), rows=300))
    for stage in ("validation_set", "drift", "promote", "review"):
        assert f"Stage “{stage}” has not finished for this month" in page.words
    assert "automatic 750" in page.words


def test_names_of_files_are_no_addresses(whole: Tags) -> None:
    linked = [value for name, value in whole.attributes if name == "href" and (value or "").startswith("./")]
    assert "./2026-03/queue.html" in linked
    assert [value for value in linked if (value or "").endswith("%3F%23.csv")]
    assert all("<" not in (value or "") and '"' not in (value or "") for value in linked)


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
