"""Write a month's report: one HTML page that needs no network.

spark-submit jobs/report.py --conf conf/local.yaml --month 2026-01
"""

import logging
from pathlib import Path

from pyspark.sql import SparkSession

from lib import manifest
from lib.command import run_stage_job
from lib.config import Config
from lib.report.gather import gather
from lib.report.page import render, store

LOG = logging.getLogger(__name__)


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Path:  # noqa: ARG001 always written
    """Write the page anew (it takes a second) and return where it is."""
    facts = gather(spark, config.storage.warehouse, month, config.report.history_months)
    page = render(facts, config.report, manifest.code_version())
    place = store(page, config.storage.reports, month)
    LOG.info("report %s: %s", month, place)
    return place


if __name__ == "__main__":
    run_stage_job("report", __doc__, run)
