"""Upkeep: old rows go and what a kept row needs stays, files are put together, and a second run finds nothing."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import maintain as job
from lib import config as configuration
from lib import months, tables
from lib.config import Config
from lib.errors import UserError
from lib.lock import only_one
from lib.operation.maintain import maintain
from lib.operation.retention import kept_months
from schemas.lexicon import LEXICON
from schemas.pages import PAGES
from schemas.products import PRODUCTS
from schemas.rejects import REJECTS
from schemas.table import Table

# The crawl's months: one more than are kept. Those of the rejects have gaps, and one far ahead that was a mistake.
CRAWLED = months.window("2026-01", 13)
REJECTED = ["2025-01", "2025-09", "2025-12", "2026-01", "2062-01"]
OLD = CRAWLED[0]


@dataclass(frozen=True)
class Kept:
    """A warehouse with old rows."""

    spark: SparkSession
    config: Config
    conf: Path

    def rows(self, table: Table, *columns: str) -> set[tuple[Any, ...]]:
        """Distinct values of the columns."""
        stored = tables.read(self.spark, self.config.storage.warehouse, table).select(*columns)
        return {tuple(row) for row in stored.collect()}


@pytest.fixture(scope="module")
def kept(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    root = tmp_path_factory.mktemp("maintain")
    conf = root / "conf.yaml"
    conf.write_text(f"storage: {{warehouse: {root}/warehouse, state: {root}/state, reports: {root}/reports}}\n")
    config = configuration.load(conf)
    made = Kept(spark, config, conf)
    rejects = [(month, f"{month}-01", "feed", "f", 1, ["no_name"], None) for month in REJECTED]
    _append(made, REJECTS, rejects)
    _append(made, REJECTS, [("2026-01", "2026-01-01", "feed", "f", 2, ["no_name"], None)])
    pages = [_page(month, f"http://a/{month}") for month in CRAWLED]
    pages += [_page(OLD, "http://a/same"), _page(CRAWLED[-1], "http://a/same", status=304, body_month=OLD)]
    _append(made, PAGES, pages)
    _append(made, PRODUCTS, [_product("2025-06", "파란 셔츠"), _product("2026-01", "신발")])
    words = [("파란", "2025-06"), ("셔츠", "2024-01"), ("옛말", "2024-01"), ("신발", "2024-01"), ("새말", "2026-01")]
    _append(made, LEXICON, [("okt-1", word, [word], month) for word, month in words])
    return made


def _append(kept: Kept, table: Table, rows: list[Any]) -> None:
    """Several slices in one commit, which is quicker than one after the other."""
    warehouse = kept.config.storage.warehouse
    tables.create(kept.spark, warehouse, table)
    frame = kept.spark.createDataFrame(rows, table.struct).coalesce(1)
    frame.write.format("delta").mode("append").save(tables.path(warehouse, table))


def _page(month: str, url: str, status: int = 200, body_month: str | None = None) -> dict[str, Any]:
    needed = {field.name: field.dataType for field in PAGES.struct.fields if not field.nullable}
    blank = {name: {"string": "", "int": 1, "bigint": 1, "double": 0.0}.get(kind.simpleString(), []) for name, kind in
             needed.items()}  # fmt: skip
    body = None if status == 304 else bytearray(b"x" * 100)
    return {**blank, "month": month, "url": url, "status": status, "body": body, "body_month": body_month or month,
            "requested_at": datetime(2026, 1, 1, tzinfo=UTC)}  # fmt: skip


def _product(month: str, name: str) -> dict[str, Any]:
    blank = {field.name: "" for field in PRODUCTS.struct.fields if not field.nullable}
    return {**blank, "month": month, "batch": f"{month}-01", "product_id": f"m:{name}", "mall_id": "m", "prod_nm": name}


def test_a_dry_run_says_what_would_go_and_leaves_all_as_it_is(kept: Kept) -> None:
    said = "\n".join(maintain(kept.spark, kept.config, dry_run=True))
    assert "table rejects: 2 rows of 2025-01, 2025-09, " in said
    assert f"table pages: 1 rows of {OLD}, 100 bytes" in said
    assert "table lexicon: 1 rows" in said
    assert len(kept.rows(REJECTS, "month", "position")) == 6
    assert len(kept.rows(PAGES, "url")) == 14


def test_old_months_go_and_what_kept_rows_need_stays(kept: Kept) -> None:
    warehouse = kept.config.storage.warehouse
    before = tables.fingerprint(kept.spark, warehouse, REJECTS, month="2026-01")
    said = "\n".join(maintain(kept.spark, kept.config, dry_run=False))
    assert kept.rows(REJECTS, "month") == {("2025-12",), ("2026-01",), ("2062-01",)}, "the newest that there are"
    assert (OLD, "http://a/same") in kept.rows(PAGES, "month", "url"), "a kept 304 refers to its body"
    assert (OLD, f"http://a/{OLD}") not in kept.rows(PAGES, "month", "url")
    assert len(kept.rows(PAGES, "month", "url")) == 14
    assert kept.rows(LEXICON, "eojeol") == {("파란",), ("셔츠",), ("신발",), ("새말",)}, "age alone removes no word"
    assert "table rejects: 2 small files are now 1" in said
    assert tables.fingerprint(kept.spark, warehouse, REJECTS, month="2026-01") == before


# After the test above, whose work it does again.
def test_a_second_run_finds_nothing(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["maintain.py", "--conf", str(kept.conf)])
        job.main()
    assert capsys.readouterr().out == "nothing to do\n"


def test_a_window_longer_than_the_schema_keeps_what_it_reads(kept: Kept) -> None:
    longer = kept.config.model_copy(update={"shards": kept.config.shards.model_copy(update={"months_back": 4})})
    assert kept_months(kept.config, REJECTS, REJECTED) == REJECTED[-3:]
    assert kept_months(longer, REJECTS, REJECTED) == REJECTED[-4:]


def test_two_at_once_are_refused(kept: Kept) -> None:
    place = Path(kept.config.storage.warehouse) / "manifests" / "maintain.lock"
    with (
        only_one(place, "the test"),
        pytest.raises(UserError, match="the warehouse is being maintained by another run"),
    ):
        maintain(kept.spark, kept.config, dry_run=True)


def test_a_warehouse_that_is_not_there_is_not_made(kept: Kept, warehouse: str) -> None:
    storage = kept.config.storage.model_copy(update={"warehouse": warehouse})
    with pytest.raises(UserError, match="there is no warehouse"):
        maintain(kept.spark, kept.config.model_copy(update={"storage": storage}), dry_run=True)
    assert not Path(warehouse).exists()
