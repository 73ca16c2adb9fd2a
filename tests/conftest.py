"""One Spark session for all tests, a warehouse for each, and a count of what was skipped for want of real data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lib.config import DEFAULT_DATA, SparkSettings
from lib.session import open_session

ROOT = Path(__file__).resolve().parent.parent
# Two tasks at a time and two shuffle partitions: enough to show what depends on partitioning, cheap to schedule. With
# 2g the heap was full half-way through the tests, and collecting it took minutes.
TEST_SPARK = SparkSettings(
    master="local[2]",
    driver_memory="4g",
    shuffle_partitions=2,
    log_level="OFF",
    extra={"spark.sql.adaptive.enabled": "false", "spark.databricks.delta.snapshotPartitions": "1"},
)
SKIPPED_FOR_DATA: list[str] = []
# Files whose tests take minutes, the longest first: begun last, one of them would run while the other process idles.
LONGEST = (
    "jobs/test_month.py", "jobs/test_crawl.py", "jobs/test_pictured_month.py", "training/test_resume.py",
    "crawl/test_crawl.py", "jobs/test_images.py", "jobs/test_launch.py", "jobs/test_promote.py",
)  # fmt: skip
# What the embedded site's API accepts. Spark's Python workers have the environment of the session's start.
os.environ |= {"CATMATCH_API_CLIENT_ID": "site-id", "CATMATCH_API_CLIENT_SECRET": "site-secret"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they were."""
    places = {str(ROOT / "tests" / name): place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(str(item.path), len(places)))


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The session all tests share; no test stops it."""
    session = open_session(TEST_SPARK, "catmatch tests")
    yield session
    session.stop()


@pytest.fixture
def warehouse(tmp_path: Path) -> str:
    """An empty warehouse folder."""
    return str(tmp_path / "warehouse")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; skips the test where it is absent."""
    folder = Path(os.environ.get("CATMATCH_DATA", str(ROOT / DEFAULT_DATA))).resolve()
    if not (folder / "naver_names").is_dir():
        pytest.skip(f"real data: no folder {folder}; set CATMATCH_DATA")
    return folder


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "real data:" in str(report.longrepr):
        SKIPPED_FOR_DATA.append(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SKIPPED_FOR_DATA:
        terminalreporter.write_line(
            f"{len(SKIPPED_FOR_DATA)} tests were skipped because the real data is absent (set CATMATCH_DATA)"
        )
    else:
        terminalreporter.write_line("no test was skipped for want of real data")
