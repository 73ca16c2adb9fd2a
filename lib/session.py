"""The one Spark session factory: Delta's jars, time zone, Arrow and worker Python are set here and nowhere else.

`python -m lib.session` fetches Delta's jars once into the folder of this environment's Spark, so that no job resolves
packages when it starts, and spark-submit's Java finds them too: it runs before Python can name any.
"""

import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from lib.config import SparkSettings
from lib.environment import check_java, check_packages
from lib.errors import UserError
from lib.java_classes import java_options
from lib.own_files import ROOT, read

# Of this environment, whichever Spark has started this Python.
JARS = Path(sysconfig.get_path("purelib")) / "pyspark" / "jars"
JARS_LOCK = "requirements/jars.lock"
DELTA = "io.delta:delta-spark_2.13:4.0.1"
DELTA_CLASS = "io.delta.sql.DeltaSparkSessionExtension"
# What spark-submit says where it is given no master.
NO_MASTER = "local[*]"


def open_session(settings: SparkSettings, name: str) -> SparkSession:
    """Open (or reuse) the session of a job.

    A master, memory or --conf given to spark-submit wins over the configuration, so that the same job runs on a
    cluster; but for the master local[*], which spark-submit says too where it is given none.

    Raises:
        UserError: Java, Delta's jars or the pinned packages are missing.
    """
    check_packages()
    check_java(os.environ.get("JAVA_HOME"))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    submitted = _submitted_settings()
    builder = SparkSession.builder.appName(name)
    # For executors, too, whose Spark may be another one.
    if "spark.jars" not in submitted:
        builder = builder.config("spark.jars", _jar_list())
    for key, value in _session_settings(settings).items():
        if key not in submitted:
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel(settings.log_level)
    return session


def _submitted_settings() -> dict[str, str]:
    """What spark-submit set before Python started; empty when Python started the JVM itself."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return {}
    # Until Python is connected to spark-submit's Java, a SparkConf is empty.
    SparkContext._ensure_initialized()
    end_with(os.getppid())
    _check_delta(SparkContext._jvm)
    submitted = dict(SparkConf().getAll())
    if submitted.get("spark.master") == NO_MASTER:
        del submitted["spark.master"]
    return submitted


def end_with(parent: int) -> None:
    """End this process when its parent does: killed, spark-submit's Java leaves its Python behind.

    A training would go on by itself for hours, and whoever tries again would find it in the way.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="end with spark-submit", daemon=True).start()


def _check_delta(java: Any) -> None:
    """Java that has started finds no further classes; those that Spark's own jars lack were to be given to it."""
    try:
        java.java.lang.Thread.currentThread().getContextClassLoader().loadClass(DELTA_CLASS)
    except Py4JJavaError:
        home = os.environ.get("SPARK_HOME", "?")
        raise UserError(f"the Spark in {home} has no Delta; give spark-submit --jars {_jar_list()}") from None


def _session_settings(settings: SparkSettings) -> dict[str, str]:
    if settings.master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return {
        "spark.master": settings.master,
        "spark.driver.memory": settings.driver_memory,
        "spark.driver.extraJavaOptions": java_options(),
        "spark.sql.shuffle.partitions": str(settings.shuffle_partitions),
        "spark.sql.extensions": DELTA_CLASS,
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Executors find the project where the driver has it, as they do Python (PYSPARK_PYTHON).
        "spark.executorEnv.PYTHONPATH": str(ROOT),
        "spark.ui.enabled": str(settings.ui).lower(),
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
        # Our tables have a handful of log files: Delta's default of 50 tasks to read a log is for huge ones.
        "spark.databricks.delta.snapshotPartitions": "2",
        # A task with few partition values keeps a file open for each, instead of sorting its rows by them first.
        "spark.sql.maxConcurrentOutputFileWriters": "16",
        # Spark 4 decodes no CP949 otherwise; and marks what it cannot (lib/sources/lines.py).
        "spark.sql.legacy.javaCharsets": "true",
        "spark.sql.legacy.codingErrorAction": "true",
        # A month's stages make some hundred classes each; with Spark's default of 100 kept, a second month compiles
        # them all again, and Java begins to warm up anew.
        "spark.sql.codegen.cache.maxEntries": "2000",
        # A method over 8000 bytes is never compiled by Java; Spark then makes several of the steps.
        "spark.sql.codegen.hugeMethodLimit": "8000",
        **settings.extra,
    }


def locked_jars() -> list[Path]:
    """The jar files that requirements/jars.lock names, in its order.

    Raises:
        UserError: one of them has not been fetched.
    """
    jars = [JARS / name for name in _lock()]
    for jar in jars:
        if not jar.is_file():
            raise UserError(f"{jar} is missing; run `make venv`, which fetches Delta's jars once")
    return jars


def _jar_list() -> str:
    """As Spark takes it."""
    return ",".join(map(str, locked_jars()))


def fetch_jars() -> None:
    """Resolve Delta's jars with Spark's own Ivy, check their hashes and keep them with Spark's own."""
    check_java(os.environ.get("JAVA_HOME"))
    if all((JARS / name).is_file() for name in _lock()):
        return
    with tempfile.TemporaryDirectory() as ivy:
        session = (
            SparkSession.builder.master("local[1]")
            .config("spark.ui.enabled", "false")
            .config("spark.jars.packages", DELTA)
            .config("spark.jars.ivy", ivy)
            .getOrCreate()
        )
        session.stop()
        for name, expected in _lock().items():
            fetched = Path(ivy) / "jars" / name
            found = hashlib.sha256(fetched.read_bytes()).hexdigest()
            if found != expected:
                raise UserError(f"{name} was fetched with SHA-256 {found}, {JARS_LOCK} expects {expected}")
            shutil.copyfile(fetched, JARS / f"{name}.part")
            (JARS / f"{name}.part").replace(JARS / name)


def _lock() -> dict[str, str]:
    """File name -> SHA-256."""
    text = read(JARS_LOCK)
    if text is None:
        raise UserError(f"{ROOT} holds no {JARS_LOCK}; run from a checkout, or from the zip that `make package` builds")
    lines = text.decode().splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: digest for digest, name in pairs}


if __name__ == "__main__":
    try:
        fetch_jars()
    except UserError as error:
        sys.exit(str(error))
