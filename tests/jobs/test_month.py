"""The main job over a market of a few leaves: all stages in order, a second run that does nothing, who is champion."""

import re
from argparse import Namespace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import month
from lib import config, manifest, registry, tables
from lib.config import Config
from schemas.predictions import PREDICTIONS
from tests.conftest import ROOT

MONTHS = ("2026-01", "2026-02")
STAGES = (
    "market", "crawl", "ingest", "tokenize", "vocabulary", "word2vec", "brands", "normalize", "shards", "train",
    "evaluate", "validation_set", "drift", "promote", "score", "review",
)  # fmt: skip


def arguments(folder: Path, months: int) -> Namespace:
    """conf/local.yaml, everything under the folder, small and quick."""
    values = {
        "storage.warehouse": folder / "warehouse", "storage.state": folder / "state",
        "storage.reports": folder / "reports", "market.deliveries": folder / "deliveries",
        "ingest.staging": folder / "staging", "crawl.staging": folder / "crawl", "crawl.detail_share": 0.01,
        "categories.taxonomy.path": f"'{folder}/deliveries/{{month}}/taxonomy.csv'", "market.leaves": 6,
        "market.offers_per_month": 1200, "text.tokenizer": "whitespace", "vocabulary.min_count": 2,
        "word2vec.min_count": 2, "word2vec.epochs": 1, "train.epochs": 1, "train.tensorboard": "false",
    }  # fmt: skip
    overrides = [f"{key}={value}" for key, value in values.items()]
    return Namespace(conf=str(ROOT / "conf/local.yaml"), overrides=overrides, month=None, months=months, force=False)


def finished(loaded: Config) -> dict[tuple[str, str], str]:
    """When each stage of each month was last done, and from what; the report leaves no manifest."""
    found = {(stage, one): manifest.find(loaded.storage.warehouse, stage, one) for stage in STAGES for one in MONTHS}
    assert all(found.values()), [key for key, value in found.items() if value is None]
    return {key: value.finished + value.key for key, value in found.items() if value}


def test_months_run_in_order_and_again_only_where_something_changed(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments(tmp_path, months=2)
    loaded = config.load(given.conf, given.overrides)
    month.run(given)
    said = capsys.readouterr().out
    assert re.search(r"2026-01: \d+ list pages, \d+ product pages, 1 tree pages -> 1,200 offers", said)
    assert re.search(r"2026-02: .* -> 1,200 offers", said)
    assert "offers of a simulated market" in said
    pages = sorted(page.name for page in (tmp_path / "reports").glob("*.html"))
    assert pages == ["2026-01.html", "2026-02.html", "index.html"]
    first, second = (manifest.require(loaded.storage.warehouse, "promote", one).facts for one in MONTHS)
    assert (first["decision"], first["champion"]) == ("first", "1")
    assert second["champion"] == {"promoted": "2", "kept": "1"}[second["decision"]]
    versions = tables.read(spark, loaded.storage.warehouse, PREDICTIONS).select("month", "model_version").distinct()
    assert sorted(map(tuple, versions.collect())) == [("2026-01", "1"), ("2026-02", second["champion"])]

    before = finished(loaded)
    month.run(arguments(tmp_path, months=2))
    assert finished(loaded) == before
    assert registry.standing(loaded.registry_store, loaded.registry.name).champion == second["champion"]
