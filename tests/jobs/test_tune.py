"""The tune job from offers to the best configuration: killed -9 in the middle, it goes on and loses no trial."""

from argparse import Namespace
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from pyspark.sql import SparkSession

from jobs import train, tune
from lib import config, registry
from lib.studies.search import REASON, RETRIES
from tests.jobs.killed import kill

MONTH, TRIALS = "2026-01", 6
KINDS = ("가방", "신발", "모자", "양말", "장갑")


def described(folder: Path) -> Path:
    """A tuning file over names of which each says its category."""
    # Letters of its own keep each name in a group of its own, so that all sides of the split have some.
    rows = [f"{n}\t{KINDS[n % 5]} {chr(0xAC00 + n)}\tc{n % 5}" for n in range(300)]
    (folder / "names.tsv").write_text("\n".join(["id\tname\tcat", *rows]) + "\n")
    base = {
        "storage": {name: str(folder / name) for name in ("warehouse", "state", "reports")},
        "spark": {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2},
        "text": {"tokenizer": "whitespace"},
        "vocabulary": {"min_count": 2},
        "word2vec": {"min_count": 2, "dimensions": 8},
        "ingest": {
            "staging": str(folder / "staging"),
            "sources": [
                {"name": "names", "kind": "table", "path": str(folder / "names.tsv"), "mall": "m",
                 "columns": {"id": "id", "prod_nm": "name", "cat_id": "cat"}}
            ],
        },
        "categories": {"taxonomy": {"from_offers": True}},
        "shards": {"months_back": 1, "word_vocabulary": "min_count"},
        "model": {"text_branch": "grams", "bag_size": 8, "gram_fcl_dim": 8},
        "train": {"epochs": 4, "patience": 4, "batch_size": 32, "tensorboard": False},
    }  # fmt: skip
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    record = {
        "base": str(folder / "base.yaml"), "space": {"train.learning_rate": {"low": 0.0001, "high": 0.1, "log": True}},
        "fixed": {"categories.cap": 40}, "budget": {"trials": TRIALS}, "parallel": 2, "finalists": 1, "seeds": [5],
        "memory_gib": 4,
    }  # fmt: skip
    (folder / "toy.yaml").write_text(yaml.safe_dump(record))
    return folder / "toy.yaml"


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """What the storage holds."""
    file = folder / "state" / "tune.db"
    if not file.is_file():
        return []
    try:
        return optuna.load_study(study_name=f"toy/{MONTH}", storage=f"sqlite:///{file}").get_trials()
    except Exception:
        return []


@pytest.mark.soak
def test_killed_it_goes_on_to_a_best_configuration_that_trains(spark: SparkSession, tmp_path: Path) -> None:
    place = described(tmp_path)
    arguments = ["jobs/tune.py", "--conf", str(place), "--month", MONTH]

    def two_are_under_way() -> bool:
        found = trials(tmp_path)
        ended = [one for one in found if one.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        return bool(ended) and any(one.state == TrialState.RUNNING and one.params for one in found)

    kill(arguments, tmp_path, when=two_are_under_way)
    before = trials(tmp_path)
    running = [one for one in before if one.state == TrialState.RUNNING]
    best = tmp_path / "best.yaml"
    tune.run(Namespace(conf=str(place), month=MONTH, overrides=[], output=str(best)))
    after = trials(tmp_path)
    for one in before:
        if one.state == TrialState.COMPLETE:
            assert after[one.number].value == one.value
    again = {one.user_attrs[RETRIES]: one for one in after if RETRIES in one.user_attrs}
    for one in running:
        assert after[one.number].user_attrs[REASON] == "its run was killed"
        assert again[one.number].params == one.params
    counted = [one for one in after if one.user_attrs[REASON] != "its run was killed"]
    assert len(counted) == TRIALS
    assert "<svg" in (tmp_path / "reports" / f"tune_toy_{MONTH}.html").read_text()
    loaded = config.load(best)
    done = train.run(spark, loaded, MONTH)
    assert done.facts["members"][0]["epochs"][-1]["validation"]["accuracy"]["output"] > 0.5
    assert registry.versions(loaded.registry_store)
