"""Rules of the house that no linter knows: who reads the truth, and that every conf loads."""

from pathlib import Path

import pytest

from lib import config
from lib.config.tune import load_tuning
from lib.studies import space
from tests.conftest import ROOT

# The simulated market writes the true labels; only the evaluation of a month may look at them.
MAY_IMPORT_TRUTH = {
    "jobs/market.py",
    "lib/scoring/month_evaluation.py",
    "lib/studies/later_month.py",
    "schemas/document.py",
    "schemas/truth.py",
}
FIXES = ROOT / "conf" / "category_fixes.yaml"
TUNING = ROOT / "conf" / "tune.yaml"
SHIPPED = sorted(set((ROOT / "conf").glob("*.yaml")) - {FIXES, TUNING})


def test_only_evaluation_reads_the_truth() -> None:
    importing = {
        file.relative_to(ROOT).as_posix()
        for folder in ("jobs", "lib", "schemas")
        for file in (ROOT / folder).rglob("*.py")
        if "schemas.truth" in file.read_text(encoding="utf-8")
    }
    assert importing <= MAY_IMPORT_TRUTH


@pytest.mark.parametrize("conf", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_configuration_loads(conf: Path) -> None:
    loaded = config.load(conf)
    assert loaded.storage.warehouse.startswith(".run/")


def test_the_shipped_tuning_file_searches_what_its_base_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATMATCH_DATA", "data")
    monkeypatch.chdir(ROOT)
    space.check(load_tuning(TUNING))


def test_both_shipped_configurations_are_there() -> None:
    assert {file.name for file in SHIPPED} >= {"local.yaml", "naver_names.yaml"}


def test_locks_carry_hashes_and_no_addresses() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, f"{lock.name} names an address"
        assert "sha256:" in text or lock.name == "jars.lock"


def test_both_locks_pin_the_same_but_for_cuda() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
        return dict(line.removesuffix(" \\").split("==") for line in lines if "==" in line and line[0].isalpha())

    cpu, gpu = pins("pipeline.lock"), pins("gpu.lock")
    del cpu["tensorflow-cpu"]
    assert {name: gpu.get(name) for name in cpu} == cpu
