"""The study job: killed it goes on with the trials that are missing; what a study expects decides how it ends."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
import yaml

from jobs import study
from lib import config
from lib.errors import UserError
from tests.conftest import ROOT
from tests.jobs.killed import kill

SIZES = [32, 48, 64, 80]


def described(folder: Path, **changes: object) -> Path:
    """A study of what a backbone without weights costs: it needs no pictures."""
    base = {
        "storage": {name: str(folder / name) for name in ("warehouse", "state", "reports")},
        "images": {"source": "folder", "path": str(folder), "size": 32},
        "backbone": {"name": "mobilenet", "weights": "none"},
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    record = {
        "title": "Cost", "question": "What does a larger picture cost?", "base": str(folder / "base.yaml"),
        "task": "pictures", "axes": {"images.size": SIZES},
        "columns": {"activation_bytes": {"words": "bytes"}, "images_per_second": {"words": "pictures a second"}},
        "figure": {"y": "activation_bytes"}, **changes,
    }  # fmt: skip
    (folder / "cost.yaml").write_text(yaml.safe_dump(record))
    return folder / "cost.yaml"


def run(place: Path, results: Path | None = None) -> None:
    study.run(Namespace(conf=str(place), overrides=[], results=results))


def test_killed_it_goes_on_with_the_trials_that_are_missing(tmp_path: Path) -> None:
    place, kept = described(tmp_path), tmp_path / "state" / "studies" / "cost"
    kill(["jobs/study.py", "--conf", str(place)], tmp_path, when=lambda: len(list(kept.glob("*.json"))) >= 2)
    before = {file: file.read_bytes() for file in kept.glob("*.json")}
    assert 2 <= len(before) < len(SIZES)
    run(place, tmp_path / "results")
    assert len(list(kept.glob("*.json"))) == len(SIZES)
    # They hold measured speeds, so a trial that was done again would have another file.
    assert all(file.read_bytes() == content for file, content in before.items())
    record = json.loads((tmp_path / "results" / "study_cost.json").read_text())
    cost = [point["figures"]["activation_bytes"][0] for point in record["points"]]
    assert [point["place"] for point in record["points"]] == [{"images.size": size} for size in SIZES]
    assert cost == sorted(cost)
    assert record["spearman"] == 1.0
    assert "<svg" in (tmp_path / "reports" / "study_cost.html").read_text()


def test_a_study_that_does_not_show_what_it_expects_fails_once_its_page_is_there(tmp_path: Path) -> None:
    place = described(tmp_path, axes={"images.size": [32, 48, 64]}, expected={"correlation": 0.8})
    run(place)
    gain = {"of": 64, "over": 32, "least": 1e12}
    with pytest.raises(UserError, match=r"study cost does not show what .* expects: activation_bytes is"):
        run(described(tmp_path, axes={"images.size": [32, 48, 64]}, expected={"gain": gain}))
    assert (tmp_path / "reports" / "study_cost.html").is_file()


def test_trials_of_a_month_leave_the_months_own_tables_and_models_alone(tmp_path: Path) -> None:
    loaded = config.load(ROOT / "conf/local.yaml", ["registry.uri=http://models.example"])
    apart = study.of_its_own(loaded, tmp_path)
    assert apart.storage.warehouse == str(tmp_path / "warehouse")
    assert apart.registry_store == str(tmp_path)
    assert apart.train == loaded.train
