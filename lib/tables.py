"""The one reader and the one writer of Delta tables, driven by the objects in schemas/.

Every write is idempotent. Every write also yields the content fingerprint of what it wrote: (row count, sum of
xxhash64 over every column and its isNull flag). The sum is made while writing (`observe`) and kept beside the table,
under the list of data files it describes; who asks for a slice's fingerprint gets the kept one as long as the slice
still consists of those very files, and a fresh scan otherwise (after OPTIMIZE, or a write that died half way).
"""

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from delta.exceptions import DeltaConcurrentModificationException
from delta.tables import DeltaMergeBuilder, DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from lib.artefact import write_whole
from lib.errors import UserError
from schemas.table import Table, WriteMode

LOG = logging.getLogger(__name__)
# Two runs that start together collide when each creates the table and writes.
COMMIT_ATTEMPTS = 8
# Between the folder that the first of them makes and its commit lie milliseconds, or seconds on a busy machine.
CREATE_SECONDS = 20.0
# What Delta says of a folder in between.
BEING_CREATED = (
    "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION",
    "DELTA_MISSING_DELTA_TABLE",
    "DELTA_TABLE_NOT_FOUND",
)
# Hashes are summed up in halves, so that their sums stay within 64 bits.
HALF_BITS = 32

Slice = Mapping[str, str]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Fingerprint:
    """Content of a set of rows, independent of their order, files and table version."""

    rows: int
    total: str

    def __str__(self) -> str:
        return f"{self.rows}:{self.total}"


def path(warehouse: str, table: Table) -> str:
    """Folder of the table; absolute, since SQL takes a relative one for a table's name."""
    return str(Path(warehouse).resolve() / table.name)


def exists(spark: SparkSession, warehouse: str, table: Table) -> bool:
    """Whether the table has been created."""
    place = path(warehouse, table)
    # A log without a commit is a table for Delta, though none that can be read: another run is about to create it.
    return bool(DeltaTable.isDeltaTable(spark, place)) and any(Path(place, "_delta_log").glob("[0-9]*"))


def table_id(spark: SparkSession, warehouse: str, table: Table) -> str:
    """The id that Delta gave the table when it was created."""
    return str(DeltaTable.forPath(spark, path(warehouse, table)).detail().select("id").collect()[0][0])


def read(spark: SparkSession, warehouse: str, table: Table, **where: str | Sequence[str]) -> DataFrame:
    """Rows of the table whose columns have the given value (or one of the given values), in schema column order.

    Raises:
        UserError: the table does not exist, or its columns are not those of the schema.
    """
    if not exists(spark, warehouse, table):
        raise UserError(
            f"table {table.name} does not exist under {warehouse}; run the stage that writes it first (docs/tables.md)"
        )
    frame = spark.read.format("delta").load(path(warehouse, table))
    _check_columns(frame, table, f"{path(warehouse, table)} holds")
    for name, value in where.items():
        values = [value] if isinstance(value, str) else list(value)
        frame = frame.where(F.col(name).isin(values))
    return frame.select(*table.columns)


def read_if_there(spark: SparkSession, warehouse: str, table: Table, **where: str | Sequence[str]) -> DataFrame:
    """As `read`; no rows where the table has not been created."""
    if not exists(spark, warehouse, table):
        return spark.createDataFrame([], table.struct)
    return read(spark, warehouse, table, **where)


def read_month(spark: SparkSession, warehouse: str, table: Table, month: str) -> DataFrame:
    """The month's rows.

    Raises:
        UserError: the month has none.
    """
    frame = read(spark, warehouse, table, month=month)
    if frame.isEmpty():
        raise UserError(f"table {table.name} has no rows of month {month}; run the stage that writes it first")
    return frame


def write(frame: DataFrame, warehouse: str, table: Table, where: Slice) -> Fingerprint:
    """Write a slice of a REPLACE or WRITE_ONCE table and return the fingerprint of what was given.

    Args:
        frame: the schema's columns, in any order; all rows lie in `where`.
        where: value of each slice column.

    Raises:
        UserError: columns differ from the schema, or a WRITE_ONCE slice exists with other content.
    """
    ordered = _in_schema_order(frame, table)
    create(frame.sparkSession, warehouse, table)
    match table.write_mode:
        case WriteMode.REPLACE:
            return _replace(ordered, warehouse, table, _full_slice(table, where))
        case WriteMode.WRITE_ONCE:
            return _write_once(ordered, warehouse, table, _full_slice(table, where))
        case WriteMode.MERGE:
            raise ValueError(f"{table.name} is merged into: call merge")
        case WriteMode.APPEND_ONCE:
            raise ValueError(f"{table.name} is appended to by rounds: call append_round")


def append_round(frame: DataFrame, warehouse: str, table: Table, transaction: str, number: int) -> None:
    """Append one round of a transaction; a round at or below the newest one stored changes nothing.

    Args:
        transaction: stage and month, for instance 'crawl/2026-01'.
        number: 1 + the largest round stored for the transaction; never reset.
    """
    ordered = _in_schema_order(frame, table)
    create(frame.sparkSession, warehouse, table)
    # Not observed: a round that Delta skips never runs, and its observation would be waited for for ever.
    (
        ordered.write.format("delta")
        .mode("append")
        .option("txnAppId", f"{table.name}/{transaction}")
        .option("txnVersion", number)
        .save(path(warehouse, table))
    )


def last_round(spark: SparkSession, warehouse: str, table: Table, transaction: str) -> int:
    """The largest round ever appended for the transaction, be its rows still there or not; 0: none."""
    found = _snapshot(spark, path(warehouse, table)).transactions()
    number = found.get(f"{table.name}/{transaction}")
    return int(number.get()) if number.isDefined() else 0


def version(spark: SparkSession, warehouse: str, name: str) -> int:
    """The newest version of the table of that name."""
    return int(_snapshot(spark, str(Path(warehouse).resolve() / name)).version())


def _snapshot(spark: SparkSession, folder: str) -> Any:
    """Delta's own object for the newest state of a table; asking it runs no Spark job."""
    delta: Any = spark._jvm
    log = delta.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, folder)
    return log.update(False, delta.scala.Option.empty(), delta.scala.Option.empty())


def fingerprint(spark: SparkSession, warehouse: str, table: Table, **where: str) -> Fingerprint:
    """Content fingerprint of the rows in the slice; the kept one where the slice's files are still the same."""
    rows = read(spark, warehouse, table, **where)
    files = _files_digest(rows)
    kept = _kept_path(warehouse, table, where)
    if (known := _kept_fingerprint(kept, files)) is not None:
        return known
    scanned = scan_fingerprint(rows)
    _keep(kept, files, scanned)
    return scanned


def scan_fingerprint(frame: DataFrame) -> Fingerprint:
    """Fingerprint of any frame, by reading all of it."""
    return _fingerprint_of(frame.agg(*_fingerprint_columns(frame)).collect()[0].asDict())


def create(spark: SparkSession, warehouse: str, table: Table) -> None:
    """Create the table with its partitioning, comments and CHECK constraints in one commit, if it is not there."""
    if exists(spark, warehouse, table):
        return
    builder = DeltaTable.createIfNotExists(spark).location(path(warehouse, table)).addColumns(table.struct)
    builder = builder.comment(table.row)
    if table.partitioned and table.slice:
        builder = builder.partitionedBy(*table.slice)
    # Extremes are kept of what files can be skipped by; those of names and prices would only cost time.
    partitioned = table.slice if table.partitioned else ()
    skipped_by = [name for name in dict.fromkeys([*table.slice, *table.key]) if name not in partitioned]
    if skipped_by:
        builder = builder.property("delta.dataSkippingStatsColumns", ",".join(skipped_by))
    for name, condition in table.checks.items():
        # What ALTER TABLE ADD CONSTRAINT writes, and a commit each less.
        builder = builder.property(f"delta.constraints.{name}", condition)
    try:
        builder.execute()
    except (DeltaConcurrentModificationException, Py4JJavaError) as error:
        if not _is_collision(error):
            raise
        LOG.info("table %s was created by another run at the same moment", table.name)
    except AnalysisException as error:
        if not any(code in str(error) for code in BEING_CREATED):
            raise
        _wait_until_created(spark, warehouse, table)


def _wait_until_created(spark: SparkSession, warehouse: str, table: Table) -> None:
    """Let another run, which has made the folder and not yet committed, create the table.

    Raises:
        UserError: nobody does.
    """
    until = time.monotonic() + CREATE_SECONDS
    while not exists(spark, warehouse, table):
        if time.monotonic() > until:
            raise UserError(
                f"{path(warehouse, table)} is neither empty nor a table; remove that folder, or name another "
                "storage.warehouse"
            )
        time.sleep(0.1)


def _replace(frame: DataFrame, warehouse: str, table: Table, where: Slice) -> Fingerprint:
    """Replace the slice in one commit."""

    def commit() -> Fingerprint:
        observed, observation = _observed(frame)
        (
            observed.write.format("delta")
            .mode("overwrite")
            .option("replaceWhere", predicate(where))
            .option("userMetadata", json.dumps({"slice": dict(where), "write": uuid.uuid4().hex}))
            .save(path(warehouse, table))
        )
        return _seen(observation)

    seen = _committed(commit, table)
    rows = read(frame.sparkSession, warehouse, table, **where)
    _keep(_kept_path(warehouse, table, where), _files_digest(rows), seen)
    return seen


def _write_once(frame: DataFrame, warehouse: str, table: Table, where: Slice) -> Fingerprint:
    spark = frame.sparkSession
    if read(spark, warehouse, table, **where).isEmpty():
        return _replace(frame, warehouse, table, where)
    stored, given = fingerprint(spark, warehouse, table, **where), scan_fingerprint(frame)
    if stored != given:
        raise UserError(
            f"table {table.name}, {predicate(where)}, was written before with other rows and is written only once; "
            "give another slice"
        )
    return stored


def merge(frame: DataFrame, warehouse: str, table: Table, where: Slice | None = None) -> None:
    """Insert rows with new keys and change matched ones only as the schema says.

    Args:
        frame: the schema's columns, in any order.
        where: slice in which all rows lie; if given, only there it is looked for their keys.

    Raises:
        UserError: columns differ from the schema.
    """
    spark = frame.sparkSession
    ordered = _in_schema_order(frame, table)
    create(spark, warehouse, table)
    key = " AND ".join(f"old.`{name}` <=> new.`{name}`" for name in table.key)
    for name, value in (where or {}).items():
        key += f" AND old.`{name}` = {_literal(value)}"

    def matching(condition: str) -> DeltaMergeBuilder:
        stored = DeltaTable.forPath(spark, path(warehouse, table)).alias("old")
        return stored.merge(ordered.alias("new"), condition)

    updates = dict(table.merge_updates)
    if table.merge_on or not updates:
        # A commit of its own: only an insert-only merge lets several new rows meet one old row, as `merge_on` may.
        _committed(lambda: matching(table.merge_on or key).whenNotMatchedInsertAll().execute(), table)
    if updates:

        def change() -> None:
            changing = matching(key).whenMatchedUpdate(condition=table.merge_when, set=updates)
            (changing if table.merge_on else changing.whenNotMatchedInsertAll()).execute()

        _committed(change, table)


def delete_months(spark: SparkSession, warehouse: str, table: Table, months: Sequence[str]) -> None:
    """Delete all rows of the months; the files that held them stay until `vacuum`."""
    listed = ", ".join(map(_literal, months))
    stored = DeltaTable.forPath(spark, path(warehouse, table))
    _committed(lambda: stored.delete(f"`month` IN ({listed})"), table)


def delete_rows(keys: DataFrame, warehouse: str, table: Table) -> None:
    """Delete the rows with the given keys.

    Args:
        keys: the table's key columns, distinct.
    """
    same = " AND ".join(f"old.`{name}` = gone.`{name}`" for name in table.key)

    def commit() -> None:
        stored = DeltaTable.forPath(keys.sparkSession, path(warehouse, table)).alias("old")
        stored.merge(keys.alias("gone"), same).whenMatchedDelete().execute()

    _committed(commit, table)


def optimize(spark: SparkSession, warehouse: str, table: Table) -> tuple[int, int]:
    """Put small files together; returns how many went and how many came. No fingerprint changes."""
    stored = DeltaTable.forPath(spark, path(warehouse, table))
    done = _committed(lambda: stored.optimize().executeCompaction(), table)
    metrics = done.select("metrics.numFilesRemoved", "metrics.numFilesAdded").collect()[0]
    return int(metrics[0]), int(metrics[1])


def vacuum(spark: SparkSession, warehouse: str, table: Table, hours: int) -> None:
    """Remove data files that no version of the last `hours` needs."""
    with _few_listing_tasks(spark):
        DeltaTable.forPath(spark, path(warehouse, table)).vacuum(hours)


def vacuumed(spark: SparkSession, warehouse: str, table: Table, hours: int) -> list[str]:
    """The files that `vacuum` would remove, as Delta names them: a thousand at most."""
    place = path(warehouse, table).replace("`", "``")
    with _few_listing_tasks(spark):
        return [str(row[0]) for row in spark.sql(f"VACUUM delta.`{place}` RETAIN {hours} HOURS DRY RUN").collect()]


@contextmanager
def _few_listing_tasks(spark: SparkSession) -> Iterator[None]:
    """Delta lists a partitioned table by 10,000 tasks, which takes minutes on few cores, unless told otherwise."""
    name = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
    before = spark.conf.get(name)
    spark.conf.set(name, str(spark.sparkContext.defaultParallelism))
    try:
        yield
    finally:
        spark.conf.set(name, str(before))


def _committed(commit: Callable[[], Value], table: Table) -> Value:
    """Commit; when another run committed to the same rows first, do it again, which is harmless."""
    for _ in range(COMMIT_ATTEMPTS):
        try:
            return commit()
        except (DeltaConcurrentModificationException, Py4JJavaError) as error:
            if not _is_collision(error):
                raise
            LOG.warning("table %s: another run committed first; writing again", table.name)
    raise UserError(f"table {table.name} is being written by another run; let it end, then run this stage again")


def _is_collision(error: BaseException) -> bool:
    """Whether Delta refused a commit because of another; PySpark passes some of these on unconverted."""
    if isinstance(error, Py4JJavaError):
        return str(error.java_exception.getClass().getName()).startswith("io.delta.exceptions.")
    return isinstance(error, DeltaConcurrentModificationException)


def predicate(where: Slice) -> str:
    """SQL condition that selects the slice."""
    return " AND ".join(f"`{name}` = {_literal(value)}" for name, value in where.items())


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _full_slice(table: Table, where: Slice) -> Slice:
    if set(where) != set(table.slice):
        raise ValueError(f"{table.name} is written by slices of {table.slice}, got {where}")
    return where


def _in_schema_order(frame: DataFrame, table: Table) -> DataFrame:
    _check_columns(frame, table, "the frame to write has")
    return frame.select(*table.columns)


def _check_columns(frame: DataFrame, table: Table, place: str) -> None:
    """Raise UserError naming the columns whose name or type is not the schema's."""
    declared = {f.name: f.dataType.simpleString() for f in table.struct.fields}
    found = {f.name: f.dataType.simpleString() for f in frame.schema.fields}
    if declared != found:
        missing = sorted(f"{name} {kind}" for name, kind in declared.items() if found.get(name) != kind)
        extra = sorted(f"{name} {kind}" for name, kind in found.items() if declared.get(name) != kind)
        raise UserError(
            f"table {table.name}: {place} {extra or 'nothing'} "
            f"where schemas/{table.name}.py declares {missing or 'nothing'}; "
            "migrate the table or bring the code and the schema together"
        )


def _fingerprint_columns(frame: DataFrame) -> list[Column]:
    columns: list[Column] = [F.col(f"`{name}`") for name in frame.columns]
    nulls = [F.isnull(column) for column in columns]
    row_hash = F.xxhash64(*columns, *nulls)
    # Exact up to 2 ** 31 rows, and an error beyond; a sum of decimals takes several times as long.
    return [
        F.count(F.lit(1)).alias("rows"),
        F.sum(F.shiftright(row_hash, HALF_BITS)).alias("high"),
        F.sum(row_hash.bitwiseAND(F.lit((1 << HALF_BITS) - 1))).alias("low"),
    ]


def _fingerprint_of(sums: Mapping[str, Any]) -> Fingerprint:
    total = (int(sums["high"] or 0) << HALF_BITS) + int(sums["low"] or 0)
    return Fingerprint(int(sums["rows"]), str(total))


def _observed(frame: DataFrame) -> tuple[DataFrame, Observation]:
    observation = Observation()
    return frame.observe(observation, *_fingerprint_columns(frame)), observation


def _seen(observation: Observation) -> Fingerprint:
    return _fingerprint_of(observation.get)


def _files_digest(rows: DataFrame) -> str:
    """Which data files the rows come from, as one hash: the list itself grows with the data and stays unstored."""
    digest = hashlib.sha256()
    for name in sorted(rows.inputFiles()):
        digest.update(name.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _kept_path(warehouse: str, table: Table, where: Slice) -> Path:
    """Where a slice's fingerprint is kept."""
    name = hashlib.sha256(json.dumps(dict(where), sort_keys=True).encode()).hexdigest()[:24]
    return Path(warehouse) / "manifests" / "fingerprints" / table.name / f"{name}.json"


def _kept_fingerprint(kept: Path, files: str) -> Fingerprint | None:
    """The kept one if it is of these files; None also where it is damaged, as it can be made anew."""
    try:
        record = json.loads(kept.read_text())
        return Fingerprint(int(record["rows"]), str(record["total"])) if record["files"] == files else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(kept: Path, files: str, value: Fingerprint) -> None:
    write_whole(kept, json.dumps({"files": files, "rows": value.rows, "total": value.total}))
