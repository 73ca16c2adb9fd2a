"""One round of the crawl: planned addresses in, their outcomes staged as Parquet out.

The fetching runs in Spark tasks (lib/crawl/worker.py); what they fetched lies in the staging folder until it is
committed, beside the fetching of the next round. What a host was like (when it was asked last, how long it wants
between requests, its robots.txt) is handed on by the driver, one small record a host.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StringType, StructField, StructType

from lib.config import CrawlSettings
from lib.crawl.request import HostState, Outcome, Request
from lib.crawl.worker import run_lanes
from schemas.frontier import FRONTIER
from schemas.pages import PAGES

# A batch goes to Spark when it holds so many rows or so many bytes of bodies, whichever comes first.
BATCH_ROWS = 256
BATCH_BYTES = 16 << 20
# Of a staged file, so that who reads bodies from it (lib/images/staged.py) holds no more than that of them.
ROW_GROUP_BYTES = 16 << 20
# Spark's writer looks at the size of a row group first after so many rows, which a mall may make as large as it likes.
ROWS_UNSEEN = 10
# What a link costs in a batch beside its address.
LINK_BYTES = 50
_ROUND = re.compile(r"round-([0-9]{1,9})")
LOG = logging.getLogger(__name__)
_OWN = ("month", "round", "requests", "body_month")
# What a round leaves of each address, and (host_state filled, all else empty) of each host.
STAGED = StructType(
    [
        *(StructField(f.name, f.dataType) for f in FRONTIER.struct.fields if f.name not in _OWN),
        *(StructField(f.name, f.dataType) for f in PAGES.struct.fields
          if f.name not in (*_OWN, *FRONTIER.columns)),
        StructField("host_state", StringType()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Round:
    """A fetched round.

    Attributes:
        number: its place in the month's crawl.
        staged: STAGED rows of its addresses.
        folder: where they lie.
        states: host -> what it was like at the end.
    """

    number: int
    staged: DataFrame
    folder: Path
    states: dict[str, HostState]

    def frontier_rows(self, month: str) -> DataFrame:
        """What the round knows of its addresses, as rows of `frontier`."""
        labels = {"month": F.lit(month), "round": F.lit(self.number), "requests": F.col("attempts")}
        rows = self.staged.withColumns(labels)
        return rows.select(*FRONTIER.columns)

    def stored(self) -> DataFrame:
        """The outcomes that are pages."""
        return self.staged.where("state = 'stored'")


def fetch_round(
    requests: DataFrame, states: Mapping[str, HostState], settings: CrawlSettings, number: int, folder: Path
) -> Round:
    """Fetch the planned addresses, one task a partition, and stage what came of them in `folder`."""
    fetched = requests.mapInArrow(_fetching(settings, dict(states)), STAGED)
    stage(fetched, folder)
    return staged_round(requests.sparkSession, folder, number)


def stage(rows: DataFrame, folder: Path) -> None:
    """Write STAGED rows as a round's; Spark marks the folder when it is complete."""
    writer = rows.write.mode("overwrite").option("compression", "none").option("parquet.block.size", ROW_GROUP_BYTES)
    writer.option("parquet.page.size.row.check.min", ROWS_UNSEEN).parquet(str(folder))


def complete_rounds(spark: SparkSession, folder: Path) -> Iterator["Round"]:
    """The rounds that a killed run left there fetched whole, in their order; Spark marks such a round last."""
    named = {int(found[1]): place for place in folder.glob("round-*") if (found := _ROUND.fullmatch(place.name))}
    for number, place in sorted(named.items()):
        if not (place / "_SUCCESS").is_file():
            continue
        try:
            fetched = staged_round(spark, place, number)
            fetched.staged.write.format("noop").mode("overwrite").save()
        except (Py4JJavaError, PySparkException) as error:
            LOG.warning("round %d in %s is damaged (%s) and is fetched again", number, place, type(error).__name__)
            continue
        yield fetched


def staged_round(spark: SparkSession, folder: Path, number: int) -> Round:
    """The complete round that lies in the folder."""
    rows = spark.read.schema(STAGED).parquet(str(folder))
    told = rows.where(F.col("host_state").isNotNull()).select("host_state").collect()  # one row a host
    found = [HostState.from_json(row.host_state) for row in told]
    return Round(number, rows.where(F.col("host_state").isNull()), folder, {state.host: state for state in found})


def _fetching(
    settings: CrawlSettings, states: Mapping[str, HostState]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that Spark runs in each task; everything it needs travels as JSON."""
    settings_text = settings.model_dump_json()
    state_texts = [state.to_json() for state in states.values()]
    schema = to_arrow_schema(STAGED)

    def fetch(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        given = CrawlSettings.model_validate_json(settings_text)
        requests = [Request(**row) for batch in batches for row in batch.to_pylist()]
        hosts = {request.host for request in requests}
        known = {state.host: state for state in map(HostState.from_json, state_texts) if state.host in hosts}
        yield from _batches(map(_row, run_lanes(requests, known, given, given.round_seconds)), schema)

    return fetch


def _batches(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    held: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row.get("body") or b"") + sum(len(link["url"]) + LINK_BYTES for link in row.get("links") or ())
        if len(held) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(held, schema=schema)
            held, size = [], 0
    if held:
        yield pa.RecordBatch.from_pylist(held, schema=schema)


def _row(found: Outcome | HostState) -> dict[str, Any]:
    """A STAGED row; fields that are not given are null."""
    if isinstance(found, HostState):
        return {"host_state": found.to_json()}
    row = found.as_row()
    row["not_before"] = _microseconds(found.not_before)
    row["requested_at"] = _microseconds(found.requested_at)
    return row


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)
