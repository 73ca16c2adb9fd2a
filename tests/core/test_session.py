"""A job started by spark-submit, whose Java runs before Python: it has Delta, and what spark-submit was given holds."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
JOB = """
import json, sys
from lib.config import SparkSettings
from lib.session import open_session

session = open_session(SparkSettings(master="local[2]", shuffle_partitions=3), "submitted")
session.range(5).write.format("delta").save(sys.argv[1])
got = session.sparkContext.getConf().get
print(json.dumps({
    "master": got("spark.master"),
    "partitions": session.conf.get("spark.sql.shuffle.partitions"),
    "rows": session.read.format("delta").load(sys.argv[1]).count(),
}))
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {"master": "local[2]", "partitions": "3"}),
        (
            ["--master", "local[1]", "--conf", "spark.sql.shuffle.partitions=7"],
            {"master": "local[1]", "partitions": "7"},
        ),
    ],
)
def test_what_spark_submit_is_given_wins(tmp_path: Path, given: list[str], expected: dict[str, str]) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB)
    done = submitted([*given, str(job), str(tmp_path / "table")])
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {**expected, "rows": 5}


def test_a_spark_without_delta_is_told_how_to_get_it(tmp_path: Path) -> None:
    """Another installation of Spark, which our set-up has put nothing into."""
    own = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "pyspark"
    other = tmp_path / "spark"
    (other / "jars").mkdir(parents=True)
    for name in ("bin", "python"):
        (other / name).symlink_to(own / name)
    for jar in (own / "jars").iterdir():
        if not jar.name.startswith("io.delta"):
            (other / "jars" / jar.name).symlink_to(jar)
    job = tmp_path / "job.py"
    job.write_text(f"from lib.command import guarded\nguarded(lambda: exec({JOB!r}))")
    done = submitted([str(job), str(tmp_path / "table")], SPARK_HOME=str(other))
    assert done.returncode == 2
    assert f"error: the Spark in {other} has no Delta; give spark-submit --jars " in done.stdout


def test_a_driver_ends_with_the_java_that_started_it() -> None:
    """A killed spark-submit leaves no Python behind that works on beside the next try."""
    driver = "import os, time; from lib.session import end_with; end_with(os.getppid()); print(os.getpid(), flush=True)"
    java = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {driver + '; time.sleep(60)'!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", java], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        driving = psutil.Process(int(process.stdout.readline()))
        process.kill()
        # The driver holds the pipe's other end until it ends.
        assert process.stdout.read() == ""
    # Of its end the pipe tells a moment before the kernel does; without an init process it stays as a zombie.
    for _ in range(1000):
        try:
            if driving.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.01)
    pytest.fail(f"the driver {driving} works on")


def submitted(arguments: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK"))}
    return subprocess.run(
        [str(Path(sys.executable).parent / "spark-submit"), *arguments],
        env={**inherited, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
