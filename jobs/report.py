"""Write a month's report, one HTML page that needs no network, and the index of all months beside it.

spark-submit jobs/report.py --conf conf/local.yaml --month 2026-01
"""

import logging
from pathlib import Path

from pyspark.sql import SparkSession

from lib import manifest
from lib.command import run_stage_job
from lib.config import Config
from lib.report.gather import gather
from lib.report.index import gather_index, render_index
from lib.report.page import render, store

LOG = logging.getLogger(__name__)


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Path:  # noqa: ARG001 always written
    """Write both pages anew (it takes seconds) and return where the month's is."""
    reports, code = config.storage.reports, manifest.code_version()
    facts = gather(spark, config.storage.warehouse, month, config.report.history_months)
    place = store(render(facts, config.report, code), reports, month)
    store(render_index(gather_index(spark, config), code), reports, "index")
    LOG.info("report %s: %s", month, place)
    return place


if __name__ == "__main__":
    run_stage_job("report", __doc__, run)
