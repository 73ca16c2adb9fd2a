"""What `make airflow-demo` prints at its end."""

import json
from pathlib import Path

import pytest

from lib import manifest
from lib.errors import UserError
from lib.manifest import Manifest
from lib.operation.demonstration import Month, demonstrated, summary
from tests.conftest import ROOT


def test_summary_shows_seconds_states_and_the_decisions_words(tmp_path: Path) -> None:
    decided = Manifest(
        stage="promote", revision=1, month="2026-02", key="k", inputs={}, settings={}, rows_in=None, exits={},
        written=[], artefacts={}, facts={"decision": "kept", "words": "Two points worse on the month."}, seconds=1.0,
        finished="", code="", packages={},
    )  # fmt: skip
    place = tmp_path / "manifests" / "promote" / "2026-02.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(vars(decided)), encoding="utf-8")
    first = Month("2026-01", "failed", {"crawl": ("success", 20.4, 1), "train": ("failed", 3.0, 2)}, 60.0)
    second = Month("2026-02", "success", {"crawl": ("success", 9.9, 1), "train": ("success", 31.0, 1)}, 50.0)
    assert summary([first, second], str(tmp_path)).splitlines() == [
        "seconds                  2026-01     2026-02",
        "crawl                         20          10",
        "train                     failed          31",
        "whole month                   60          50",
        "",
        "2026-01: failed; nothing was decided",
        "2026-02: success; kept: Two points worse on the month.",
    ]


def test_the_shipped_overlay_names_what_is_demonstrated() -> None:
    names = demonstrated(ROOT / "conf" / "airflow_demo.toml")
    assert manifest.find(names["warehouse"], "no such stage", "2026-01") is None
    assert (ROOT / names["conf"]).is_file()


def test_a_missing_overlay_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml cannot be read"):
        demonstrated(tmp_path / "none.toml")
