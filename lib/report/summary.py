"""The few lines that a run of several months ends with."""

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from lib import manifest, tables
from lib.config import Config
from schemas.metrics import METRICS


def summary(spark: SparkSession, config: Config, wanted: Sequence[str]) -> str:
    """One line a month (pages, offers, rejects, accuracy with its 95 % interval), the sum, where the reports are."""
    lines = [_line(spark, config, month) for month in wanted]
    total = sum(_exits(config, month).get("products", 0) for month in wanted)
    simulated = " of a simulated market" if config.market is not None else ""
    last = Path(config.storage.reports) / f"{wanted[-1]}.html"
    return "\n".join([*lines, f"{total:,} offers{simulated}; the last month's report: {last.resolve()}"])


def _line(spark: SparkSession, config: Config, month: str) -> str:
    exits = _exits(config, month)
    offers, rejects = exits.get("products", 0), sum(exits.values()) - exits.get("products", 0)
    return (
        f"{month}: {_crawled(config, month)}{offers:,} offers, {rejects:,} rejects, {_accuracy(spark, config, month)}"
    )


def _crawled(config: Config, month: str) -> str:
    """How many pages of each kind the crawl brought, where there was one."""
    crawl = manifest.find(config.storage.warehouse, "crawl", month)
    if crawl is None:
        return ""
    kinds = crawl.facts["by_kind"]
    return f"{', '.join(f'{kinds[kind]:,} {kind} pages' for kind in sorted(kinds))} -> "


def _exits(config: Config, month: str) -> dict[str, int]:
    return manifest.require(config.storage.warehouse, "ingest", month).exits


def _accuracy(spark: SparkSession, config: Config, month: str) -> str:
    """Accuracy of the month's model on given labels of the test side."""
    version = str(manifest.require(config.storage.warehouse, "train", month).facts["version"])
    stored = tables.read(spark, config.storage.warehouse, METRICS, month=month, model_version=version, split="test")
    found = stored.where("slice = 'head=output' AND name = 'accuracy'").first()
    if found is None:
        return f"model version {version} without test figures"
    return f"model version {version} is right on {found.value:.1%} ({found.low:.1%} to {found.high:.1%}) of test offers"
