"""docs that are written by commands are what those commands write now."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import result
from schemas import document


def test_tables_page_is_current() -> None:
    assert document.PAGE.read_text(encoding="utf-8") == document.render(), "run make tables"


def test_results_page_is_current() -> None:
    page = result.RESULTS.parent / "results.md"
    assert page.read_text(encoding="utf-8") == result.render(), "run make tables"


def test_the_readme_tells_every_benchmark_as_it_ended() -> None:
    readme = result.README.read_text(encoding="utf-8")
    assert readme == result.with_table(readme), "run make tables"
    ended = {path.stem for path in result.RESULTS.glob("*.json") if not path.stem.startswith("study_")}
    assert ended
    assert all(f"(docs/results.md#{name})" in readme for name in ended)


def test_links_between_documents_lead_somewhere() -> None:
    root = result.ROOT
    for page in (root / "README.md", *(root / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links {target}"


def test_every_schema_module_is_on_the_page() -> None:
    folder = document.PAGE.parent.parent / "schemas"
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__", "table", "document"}
    assert modules == {table.name for table in document.TABLES}


def test_a_study_stands_beside_the_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {
        "study": "rates", "title": "Rates", "question": "How fast?", "words": "One seed.", "code": "c0ffee",
        "machine": {"cores": 2, "processor": "x"}, "heads": ["rate", "accuracy"],
        "table": [["0.1", "70.0 %"], ["0.2 | 0.3", "–"]],
    }  # fmt: skip
    (tmp_path / "study_rates.json").write_text(json.dumps(kept), encoding="utf-8")
    described = {
        "title": "Rates", "question": "How fast?", "meaning": "Fast. Nothing else.", "base": "conf/local.yaml",
        "task": "pictures", "axes": {"train.learning_rate": [0.1]}, "columns": {"accuracy": {"words": "accuracy"}},
        "figure": {"y": "accuracy"},
    }  # fmt: skip
    (tmp_path / "rates.yaml").write_text(json.dumps(described), encoding="utf-8")
    monkeypatch.setattr(result, "RESULTS", tmp_path)
    monkeypatch.setattr(result, "STUDIES", tmp_path)
    page = result.render()
    assert "## Study: Rates" in page
    assert "Fast. Nothing else." in page
    assert "![Rates](results/study_rates.svg)" in page
    assert "| rate | accuracy |\n| --- | --- |\n| 0.1 | 70.0 % |\n| 0.2 / 0.3 | – |" in page
