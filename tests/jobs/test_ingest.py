"""The ingest job: what it writes, replaces, refuses and skips."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import ingest
from lib import tables
from lib.config import Config, Source, Storage
from lib.errors import UserError
from schemas.products import PRODUCTS
from schemas.rejects import REJECTS
from tests.sources.feeds import MONTH, ep, feed, row, settings


def configuration(folder: Path, warehouse: str, **more: Any) -> Config:
    storage = Storage(warehouse=warehouse, state=str(folder / "state"), reports=str(folder / "reports"))
    return Config(storage=storage, ingest=settings(folder, ep(folder / "in", **more), max_bytes=100_000))


def stored(spark: SparkSession, warehouse: str) -> tuple[dict[str, str], list[tuple[str, list[str]]]]:
    """(name by product_id, (file, reasons) of the rejects) of the month."""
    products = tables.read(spark, warehouse, PRODUCTS, month=MONTH).collect()
    names = {line["product_id"]: line["prod_nm"] for line in products}
    assert len(names) == len(products)
    rejects = tables.read(spark, warehouse, REJECTS, month=MONTH).orderBy("file", "position").collect()
    return names, [(Path(line["file"]).name, line["reasons"]) for line in rejects]


def test_a_month_is_ingested_skipped_replaced_and_never_spoiled(
    spark: SparkSession, tmp_path: Path, warehouse: str
) -> None:
    config = configuration(tmp_path, warehouse)
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "a.tsv").write_text(feed(row("1", "하나"), row("2", "둘", "x"), row("1", "다시")))
    (inbox / "b.tsv.gz").write_bytes(gzip.compress(feed(row("1", "다른 몰")).encode()))
    first = ingest.run(spark, config, MONTH)
    assert (first.rows_in, first.exits) == (4, {"products": 2, "rejects": 2})
    assert first.facts["sources"]["malls"] == {
        "batch": "2026-01-01", "files": 2, "products": 2, "without_category": 0, "malls": 2,
        "rejects": {"bad_price": 1, "duplicate": 1},
    }  # fmt: skip
    before = ({"a:1": "하나", "b:1": "다른 몰"}, [("a.tsv", ["bad_price"]), ("a.tsv", ["duplicate"])])
    assert stored(spark, warehouse) == before
    assert ingest.run(spark, config, MONTH).skipped

    spoilt = {
        "b.tsv.gz": (gzip.compress(feed(row("1", "x")).encode())[:-9], "truncated"),
        "c.tsv.gz": (gzip.compress(feed(*[row("1", "x")] * 5000).encode()), "ingest.max_bytes"),
        "d.tsv": (b"1\tno header\n", "has no column"),
    }
    for name, (content, complaint) in spoilt.items():
        kept = (inbox / name).read_bytes() if (inbox / name).exists() else None
        (inbox / name).write_bytes(content)
        with pytest.raises(UserError, match=complaint):
            ingest.run(spark, config, MONTH)
        (inbox / name).unlink()
        if kept is not None:
            (inbox / name).write_bytes(kept)
    (inbox / "b.tsv.gz").unlink()
    (inbox / "a.tsv").write_text(feed())
    with pytest.raises(UserError, match="hold no records for 2026-01; nothing was replaced"):
        ingest.run(spark, config, MONTH)
    (inbox / "a.tsv").write_bytes(feed(row("1", "전부"), row("2", "한글")).encode("cp949"))
    with pytest.raises(UserError, match=r"none of the 2 records .* 'undecodable' .*a\.tsv at"):
        ingest.run(spark, config, MONTH)
    assert stored(spark, warehouse) == before
    assert list((tmp_path / "staging").iterdir()) == []

    (inbox / "a.tsv").write_text(feed(row("3", "셋")))
    second = ingest.run(spark, config, MONTH)
    assert second.exits == {"products": 1, "rejects": 0}
    assert stored(spark, warehouse) == ({"a:3": "셋"}, [])


def test_a_filter_may_take_a_months_rows_of_one_file(spark: SparkSession, tmp_path: Path, warehouse: str) -> None:
    (tmp_path / "all.csv").write_text("id,name,day\n1,하나,2026-01-31\n2,둘,2026-02-01\n3,셋,2026-02-28\n")
    between = [("day", ">=", "{month}-01"), ("day", "<=", "{month}-31")]
    source = Source(
        name="m", kind="table", format="csv", path=str(tmp_path / "all.csv"), mall="m",
        columns={"id": "id", "prod_nm": "name"},
        filters=[{"column": column, "is": compared, "value": value} for column, compared, value in between],
    )  # fmt: skip
    config = configuration(tmp_path, warehouse).model_copy(update={"ingest": settings(tmp_path, source)})
    assert ingest.run(spark, config, "2026-01").exits == {"products": 1, "rejects": 2}
    assert ingest.run(spark, config, "2026-02").exits == {"products": 2, "rejects": 1}


def test_two_runs_at_once_neither_double_nor_lose(spark: SparkSession, tmp_path: Path, warehouse: str) -> None:
    config = configuration(tmp_path, warehouse)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tsv").write_text(feed(row("1", "하나"), row("2", "둘", "x"), row("3", "셋")))
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(ingest.run, spark, config, MONTH, True) for _ in range(2)]
        assert [run.result().exits for run in runs] == [{"products": 2, "rejects": 1}] * 2
    assert stored(spark, warehouse) == ({"a:1": "하나", "a:3": "셋"}, [("a.tsv", ["bad_price"])])


def test_a_month_without_files_is_named(spark: SparkSession, tmp_path: Path, warehouse: str) -> None:
    with pytest.raises(UserError, match=r"malls: no file matches .*/in/\*\.tsv\*"):
        ingest.run(spark, configuration(tmp_path, warehouse), MONTH)
    assert not tables.exists(spark, warehouse, PRODUCTS)


def test_a_configuration_without_sources_is_named(spark: SparkSession, tmp_path: Path, warehouse: str) -> None:
    config = configuration(tmp_path, warehouse).model_copy(update={"ingest": None})
    with pytest.raises(UserError, match="no ingest section"):
        ingest.run(spark, config, MONTH)
