"""Write modes, checks and fingerprints of Delta tables, on a table of the tests' own."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import IntegerType, StringType, StructType
from pyspark.testing import assertDataFrameEqual

from lib import tables
from lib.errors import UserError
from schemas.labels import LABELS
from schemas.products import PRODUCTS
from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

STRUCT = StructType(
    [
        month_column(),
        column("name", StringType(), "a name", nullable=False),
        column("size", IntegerType(), "a size"),
    ]
)
TOYS = Table(
    name="toys",
    row="one toy",
    key=("month", "name"),
    struct=STRUCT,
    write_mode=WriteMode.REPLACE,
    slice=("month",),
    checks={**MONTH_CHECK, "small": "size IS NULL OR size < 100"},
)
JANUARY, FEBRUARY = {"month": "2026-01"}, {"month": "2026-02"}


def toys(spark: SparkSession, *rows: tuple[str, str, int | None]) -> DataFrame:
    return spark.createDataFrame(list(rows), STRUCT)


def test_a_slice_is_replaced_and_others_stay(spark: SparkSession, warehouse: str) -> None:
    tables.write(toys(spark, ("2026-01", "ball", 1), ("2026-01", "car", 2)), warehouse, TOYS, JANUARY)
    tables.write(toys(spark, ("2026-02", "doll", 3)), warehouse, TOYS, FEBRUARY)
    tables.write(toys(spark, ("2026-01", "kite", None)), warehouse, TOYS, JANUARY)
    expected = toys(spark, ("2026-01", "kite", None), ("2026-02", "doll", 3))
    assertDataFrameEqual(tables.read(spark, warehouse, TOYS), expected)


def test_fingerprint_is_of_content_and_survives_optimize(spark: SparkSession, warehouse: str) -> None:
    rows = toys(spark, ("2026-01", "ball", 1), ("2026-01", "car", None)).repartition(2)
    written = tables.write(rows, warehouse, TOYS, JANUARY)
    assert written == tables.scan_fingerprint(rows) == tables.fingerprint(spark, warehouse, TOYS, **JANUARY)
    spark.sql(f"OPTIMIZE delta.`{tables.path(warehouse, TOYS)}`")
    assert tables.fingerprint(spark, warehouse, TOYS, **JANUARY) == written
    spark.sql(f"UPDATE delta.`{tables.path(warehouse, TOYS)}` SET size = 7 WHERE name = 'car'")
    assert tables.fingerprint(spark, warehouse, TOYS, **JANUARY) != written


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}"])
def test_a_kept_fingerprint_that_is_damaged_is_made_anew(spark: SparkSession, warehouse: str, damage: str) -> None:
    written = tables.write(toys(spark, ("2026-01", "ball", 1)), warehouse, TOYS, JANUARY)
    (kept,) = (Path(warehouse) / "manifests" / "fingerprints" / "toys").glob("*.json")
    kept.write_text(damage)
    assert tables.fingerprint(spark, warehouse, TOYS, **JANUARY) == written
    assert kept.read_text() not in ("", "{", "[]", "{}")


def test_fingerprint_tells_null_from_value_and_counts_rows(spark: SparkSession) -> None:
    one = tables.scan_fingerprint(toys(spark, ("2026-01", "ball", None)))
    other = tables.scan_fingerprint(toys(spark, ("2026-01", "ball", 0)))
    twice = tables.scan_fingerprint(toys(spark, *[("2026-01", "ball", 0)] * 2))
    assert len({str(one), str(other), str(twice)}) == 3
    assert tables.scan_fingerprint(toys(spark)) == tables.Fingerprint(0, "0")


def test_check_constraint_keeps_what_was_there(spark: SparkSession, warehouse: str) -> None:
    tables.write(toys(spark, ("2026-01", "ball", 1)), warehouse, TOYS, JANUARY)
    with pytest.raises(Exception, match="CHECK constraint small"):
        tables.write(toys(spark, ("2026-01", "elephant", 100)), warehouse, TOYS, JANUARY)
    assert [row.name for row in tables.read(spark, warehouse, TOYS).collect()] == ["ball"]


def test_rows_outside_the_slice_are_refused(spark: SparkSession, warehouse: str) -> None:
    with pytest.raises(Exception, match="DELTA_REPLACE_WHERE_MISMATCH"):
        tables.write(toys(spark, ("2026-02", "ball", 1)), warehouse, TOYS, JANUARY)


def test_other_columns_are_one_sentence_naming_the_schema(spark: SparkSession, warehouse: str) -> None:
    frame = toys(spark, ("2026-01", "ball", 1)).selectExpr("month", "name", "CAST(size AS STRING) AS size")
    with pytest.raises(UserError, match=r"size string.*schemas/toys\.py declares .*size int"):
        tables.write(frame, warehouse, TOYS, JANUARY)


def test_missing_table_and_missing_month_say_what_to_run(spark: SparkSession, warehouse: str) -> None:
    with pytest.raises(UserError, match="table toys does not exist"):
        tables.read(spark, warehouse, TOYS)
    tables.write(toys(spark, ("2026-01", "ball", 1)), warehouse, TOYS, JANUARY)
    with pytest.raises(UserError, match="no rows of month 2026-02"):
        tables.read_month(spark, warehouse, TOYS, "2026-02")


def test_write_once_takes_the_same_rows_again_and_refuses_others(spark: SparkSession, warehouse: str) -> None:
    once = replace(TOYS, name="toys_once", write_mode=WriteMode.WRITE_ONCE)
    first = tables.write(toys(spark, ("2026-01", "ball", 1)), warehouse, once, JANUARY)
    assert tables.write(toys(spark, ("2026-01", "ball", 1)), warehouse, once, JANUARY) == first
    with pytest.raises(UserError, match="written only once"):
        tables.write(toys(spark, ("2026-01", "ball", 2)), warehouse, once, JANUARY)


def test_a_round_is_appended_once(spark: SparkSession, warehouse: str) -> None:
    appended = replace(TOYS, name="toys_appended", write_mode=WriteMode.APPEND_ONCE)
    for number in (1, 1, 2):
        row = toys(spark, ("2026-01", f"round {number}", number))
        tables.append_round(row, warehouse, appended, "toys/2026-01", number)
    assert tables.read(spark, warehouse, appended).count() == 2


def test_merge_inserts_and_changes_only_what_the_schema_allows(spark: SparkSession, warehouse: str) -> None:
    def labels(*rows: tuple[int, str, str, str | None]) -> DataFrame:
        return spark.createDataFrame(list(rows), LABELS.struct)

    tables.merge(labels((0, "a", "2026-01", None), (1, "b", "2026-01", "2026-02")), warehouse, LABELS)
    tables.merge(
        labels((0, "changed", "2026-09", "2026-03"), (1, "b", "2026-01", "2026-09"), (2, "c", "2026-03", None)),
        warehouse,
        LABELS,
    )
    expected = labels((0, "a", "2026-01", "2026-03"), (1, "b", "2026-01", "2026-02"), (2, "c", "2026-03", None))
    assertDataFrameEqual(tables.read(spark, warehouse, LABELS), expected)


def test_an_empty_slice_replaces_too(spark: SparkSession, warehouse: str) -> None:
    tables.write(toys(spark, ("2026-01", "ball", 1)), warehouse, TOYS, JANUARY)
    assert tables.write(toys(spark), warehouse, TOYS, JANUARY) == tables.Fingerprint(0, "0")
    assert tables.write(toys(spark, ("2026-01", "x", 1)).where("false"), warehouse, TOYS, JANUARY).rows == 0
    assert tables.read(spark, warehouse, TOYS).count() == 0


def test_two_runs_of_one_slice_leave_it_once(spark: SparkSession, warehouse: str) -> None:
    frame = toys(spark, ("2026-01", "ball", 1), ("2026-01", "car", 2))
    tables.create(spark, warehouse, TOYS)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            tables.write(frame, warehouse, TOYS, JANUARY)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assertDataFrameEqual(tables.read(spark, warehouse, TOYS), frame)


def test_quotes_in_a_slice_value_stay_a_value() -> None:
    assert tables.predicate({"month": "x' OR '1'='1"}) == "`month` = 'x\\' OR \\'1\\'=\\'1'"


def test_a_table_is_created_with_its_checks_in_one_commit(spark: SparkSession, warehouse: str) -> None:
    tables.create(spark, warehouse, TOYS)
    place = tables.path(warehouse, TOYS)
    assert spark.sql(f"DESCRIBE HISTORY delta.`{place}`").count() == 1
    properties = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES delta.`{place}`").collect()}
    assert {name: properties[f"delta.constraints.{name}"] for name in TOYS.checks} == dict(TOYS.checks)
    assert properties["delta.dataSkippingStatsColumns"] == "name"


def test_fingerprint_is_the_sum_of_the_rows_hashes(spark: SparkSession) -> None:
    rows = toys(spark, *[("2026-01", f"toy {number}", number) for number in range(50)])
    hashes = rows.selectExpr("xxhash64(month, name, size, isnull(month), isnull(name), isnull(size)) AS hash").collect()
    assert tables.scan_fingerprint(rows) == tables.Fingerprint(50, str(sum(row["hash"] for row in hashes)))


def test_a_folder_that_another_run_is_making_a_table_of_is_waited_for_and_any_other_is_named(
    spark: SparkSession, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(tables.path(warehouse, PRODUCTS))
    place.mkdir(parents=True)
    (place / "begun").touch()
    monkeypatch.setattr(tables, "CREATE_SECONDS", 0.3)
    with pytest.raises(UserError, match=r"/products is neither empty nor a table; remove that folder"):
        tables.create(spark, warehouse, PRODUCTS)
    monkeypatch.setattr(tables, "CREATE_SECONDS", 20.0)

    def other_run() -> None:
        time.sleep(1)
        (place / "begun").unlink()
        tables.create(spark, warehouse, PRODUCTS)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(other_run)
        tables.create(spark, warehouse, PRODUCTS)
        other.result()
    assert tables.exists(spark, warehouse, PRODUCTS)
