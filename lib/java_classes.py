"""An archive of the Java classes that Spark and Delta load, which shortens what a job takes to start.

`python -m lib.java_classes` runs a small job once and lets Java keep the classes of it as it has parsed and checked
them (application class-data sharing, JEP 310 and 350). A session that Python starts uses the archive where it is there;
another Java, or another class path, passes over it without a word. It is of this machine: `make package` leaves it out.
"""

import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lib.errors import UserError

ARCHIVE = Path(sysconfig.get_path("data")) / "spark-classes.jsa"
# Java says on standard output why it cannot use an archive, which is nobody's concern.
QUIET = "-Xlog:disable -Xlog:all=error:stderr"
# Of a Java that ends within a minute: what its optimising compiler and parallel collector would win later, they cost at
# once. A small stage on two cores takes little more than half of the time without them.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
ROWS = 100


def java_options() -> str:
    """What a Java of Spark is to be started with; nothing where there is no archive."""
    return f"-XX:SharedArchiveFile={ARCHIVE} {QUIET}" if ARCHIVE.is_file() else ""


def make() -> None:
    """Write the archive.

    Raises:
        UserError: Java did not write it.
    """
    part = ARCHIVE.with_suffix(".part")
    command = [sys.executable, "-m", "lib.java_classes", "--job", f"-XX:ArchiveClassesAtExit={part} {QUIET}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 this module
    if not part.is_file():
        raise UserError(f"Java wrote no archive of Spark's classes: {done.stderr.strip()[-500:]}")
    part.replace(ARCHIVE)


def run_job(options: str) -> None:
    """What every stage does: write, read, join and merge a table, and hand rows to Python.

    Args:
        options: of Java.
    """
    import pyarrow as pa
    from delta import DeltaTable
    from pyspark.sql import functions as F

    from lib.config import SparkSettings
    from lib.session import open_session

    def same(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    settings = SparkSettings(master="local[2]", driver_memory="1g", extra={"spark.driver.extraJavaOptions": options})
    spark = open_session(settings, "classes")
    with tempfile.TemporaryDirectory() as folder:
        rows = spark.range(ROWS).select(F.col("id"), F.lit("2026-01").alias("month"), F.array("id").alias("ids"))
        for _ in range(2):
            rows.write.format("delta").mode("overwrite").partitionBy("month").save(folder)
        table = DeltaTable.forPath(spark, folder)
        found = rows.mapInArrow(same, rows.schema).withColumn("id", F.col("id") + 1)
        merge = table.alias("old").merge(found.alias("new"), "old.id = new.id AND old.month = new.month")
        merge.whenMatchedUpdate(set={"ids": "new.ids"}).whenNotMatchedInsertAll().execute()
        stored = spark.read.format("delta").load(folder).where("month = '2026-01'")
        joined = stored.join(rows.select("id"), on="id", how="left").groupBy("month").agg(F.sum(F.xxhash64("ids")))
        joined.collect()
    spark.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        run_job(sys.argv[2])
    else:
        try:
            make()
        except UserError as error:
            sys.exit(f"error: {error}")
