"""The page to start from: all months, all model versions, accuracy over time, what waits for people, and the links."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import manifest, tables
from lib.config import Config
from lib.registry import Version, versions
from lib.report.decisions import DECISIONS
from lib.report.gather import PastFigure, history
from lib.report.page import fill
from lib.report.views import history_chart
from schemas.metrics import METRICS

# Stages that a month's line tells of.
SHOWN = ("ingest", "market", "drift", "promote")
# Stages that send offers to people, and what they send.
WAITING = {"validation_set": "audit sample", "review": "review queue"}


@dataclass(frozen=True)
class Waiting:
    """Offers of a month that wait for people.

    Attributes:
        what: the review queue or the audit sample.
        form: where they can be answered, relative to the reports' folder; '' where that is not known.
    """

    what: str
    open: int
    answered: int
    form: str


@dataclass(frozen=True)
class IndexMonth:
    """A month's line.

    Attributes:
        page: whether its report is there.
        offers: products that it brought; None before ingest.
        simulated: whether the embedded market made them.
        decision, words: of its promotion; '' before there was one.
        drifted: None before it was looked at, and where there was no month to compare with.
        waiting: of the queue and of the audit sample.
    """

    month: str
    page: bool
    offers: int | None = None
    simulated: bool = False
    decision: str = ""
    words: str = ""
    drifted: bool | None = None
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True)
class Index:
    """All that the page is made from; months and versions newest first.

    Attributes:
        accuracy: version -> [value, low, high] on the test split of the month that it was trained on.
        studies: files of the reports' folder.
    """

    months: list[IndexMonth]
    versions: list[Version]
    accuracy: dict[str, list[float | None]]
    history: list[PastFigure]
    studies: list[str]

    @property
    def simulated(self) -> bool:
        """Whether any month's offers were made by the embedded market."""
        return any(one.simulated for one in self.months)


def gather_index(spark: SparkSession, config: Config) -> Index:
    """Read what the page shows; what is not there yet is empty."""
    warehouse, reports = config.storage.warehouse, config.storage.reports
    metrics = tables.read(spark, warehouse, METRICS) if tables.exists(spark, warehouse, METRICS) else None
    known = versions(config.registry_store, config.registry.name)
    return Index(
        [_month(warehouse, reports, month) for month in manifest.finished_months(warehouse)[::-1]],
        known[::-1],
        {} if metrics is None else _accuracy(metrics, {one.number: one.month for one in known}),
        [] if metrics is None else history(metrics),
        [place.name for kind in ("study", "tune") for place in sorted(Path(reports).glob(f"{kind}_*.html"))],
    )


def render_index(index: Index, code: str) -> str:
    """The page as HTML.

    Args:
        code: the commit that made it.
    """
    return fill(
        "index.html",
        index=index,
        decisions=DECISIONS,
        chart=history_chart(index.history),
        waiting=[(month.month, one) for month in index.months for one in month.waiting if one.open],
        code=code,
    )


def _month(warehouse: str, reports: str, month: str) -> IndexMonth:
    found = {name: manifest.find(warehouse, name, month) for name in (*SHOWN, *WAITING)}
    ingest, market, drift, promote = (found[name] for name in SHOWN)
    decided = promote.facts if promote is not None else {}
    return IndexMonth(
        month,
        (Path(reports) / f"{month}.html").is_file(),
        ingest.exits.get("products") if ingest is not None else None,
        market is not None,
        str(decided.get("decision", "")),
        str(decided.get("words", "")),
        bool(drift.facts.get("drifted")) if drift is not None and drift.facts.get("against") else None,
        tuple(_waiting(what, sent.facts) for name, what in WAITING.items() if (sent := found[name]) is not None),
    )


def _waiting(what: str, facts: Mapping[str, Any]) -> Waiting:
    """As the stage counted when it last ran, which it does when answers are read back."""
    form = (facts.get("sheet") or {}).get("form")
    return Waiting(what, int(facts.get("open") or 0), int(facts.get("answered") or 0), str(form or ""))


def _accuracy(metrics: DataFrame, trained: dict[str, str]) -> dict[str, list[float | None]]:
    """Accuracy of each version on the test split of its own month."""
    wanted = metrics.where(
        (F.col("split") == "test") & (F.col("slice") == "head=output") & (F.col("name") == "accuracy")
    )
    return {
        row["model_version"]: [row["value"], row["low"], row["high"]]
        for row in wanted.collect()
        if trained.get(row["model_version"]) == row["month"]
    }
