"""The page to start from: every month and version, what is open, links that lead there, no markup of others."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lib import config as configuration
from lib.registry import Version
from lib.report import index as pages
from lib.report.gather import PastFigure
from lib.report.index import Index, IndexMonth, Waiting, gather_index, render_index
from tests.report.example_month import HOSTILE, manifest_of
from tests.report.test_page import Tags


def _parsed(index: Index) -> Tags:
    tags = Tags()
    tags.feed(render_index(index, "c0ffee"))
    assert tags.open == []
    tags.text = " ".join(tags.text.split())
    return tags


@pytest.fixture(scope="module")
def whole() -> Tags:
    return _parsed(
        Index(
            [
                IndexMonth(
                    "2026-02",
                    True,
                    22_000,
                    True,
                    "kept",
                    f"Version 1 stays. {HOSTILE}",
                    True,
                    (Waiting("review queue", 150, 50, f"2026-02/{HOSTILE}.html"),),
                ),
                IndexMonth("2026-01", False, None, waiting=(Waiting("audit sample", 0, 300, "2026-01/audit.html"),)),
            ],
            [Version("2", "2026-02", Path("b"), ("candidate",)), Version("1", "2026-01", Path("a"), ("champion",))],
            {"1": [0.81, 0.8, 0.82]},
            [PastFigure("2026-01", "test", 0.81), PastFigure("2026-02", "test", 0.84)],
            ["study_image_size.html"],
        )
    )


def test_months_versions_and_open_reviews_are_told(whole: Tags) -> None:
    for words in (
        "2026-02 22,000 Kept: the new version stays a candidate", "drifted", "2026-01 no report yet –",
        "2 candidate 2026-02 –", "1 champion 2026-01 81.0 % 80.0 to 82.0", "2026-02 review queue 150 50",
        "this month's model", "simulated",
    ):  # fmt: skip
        assert words in whole.words, words
    assert "2026-01 audit sample" not in whole.words, "all of them are answered"


def test_links_lead_to_files_beside_it_and_names_stay_text(whole: Tags) -> None:
    linked = [value for name, value in whole.attributes if name == "href"]
    assert [linked[0], linked[2]] == ["./2026-02.html", "./study_image_size.html"]
    assert (linked[1] or "").startswith("./2026-02/%3Cscript")
    assert HOSTILE in whole.text
    assert not {"script", "img", "link"} & set(whole.seen)
    assert not [name for name, _ in whole.attributes if name.startswith("on")]


def test_an_empty_warehouse_has_a_page(spark: SparkSession, tmp_path: Path) -> None:
    page = _parsed(gather_index(spark, _config(tmp_path)))
    for words in ("No stage has finished", "No model has been trained", "Nothing that was sent to people is open"):
        assert words in page.text


def test_manifests_and_files_are_gathered(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    known = [Version("1", "2026-03", Path("a"), ("champion",))]
    monkeypatch.setattr(pages, "versions", lambda _state, _name: known)
    recorded = {
        "ingest": {},
        "promote": {"decision": "first", "words": "None before."},
        "validation_set": {"sampled": 12, "open": 5, "answered": 7, "sheet": {"form": "2026-03/audit.html"}},
        "review": {"open": 3},
    }
    for stage, facts in recorded.items():
        place = tmp_path / "w" / "manifests" / stage / "2026-03.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(asdict(manifest_of(stage, facts, 7, {"products": 5, "rejects": 2}))))
    (tmp_path / "r").mkdir()
    for name in ("2026-03.html", "index.html", "study_a.html"):
        (tmp_path / "r" / name).write_text("")
    found = gather_index(spark, _config(tmp_path))
    waiting = (Waiting("audit sample", 5, 7, "2026-03/audit.html"), Waiting("review queue", 3, 0, ""))
    assert found.months == [IndexMonth("2026-03", True, 5, False, "first", "None before.", None, waiting)]
    assert (found.versions, found.studies) == (known, ["study_a.html"])


def test_a_month_without_one_before_it_is_not_said_to_be_as_usual(spark: SparkSession, tmp_path: Path) -> None:
    compared: dict[str, list[str]] = {"2026-01": [], "2026-02": ["2026-01"]}
    for month, against in compared.items():
        place = tmp_path / "w" / "manifests" / "drift" / f"{month}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(asdict(manifest_of("drift", {"drifted": False, "against": against}, None, {}))))
    months = gather_index(spark, _config(tmp_path)).months
    assert [(one.month, one.drifted) for one in months] == [("2026-02", False), ("2026-01", None)]


def _config(root: Path) -> configuration.Config:
    place = root / "conf.yaml"
    place.write_text(f"storage: {{warehouse: {root}/w, state: {root}/s, reports: {root}/r}}\n")
    return configuration.load(place)
