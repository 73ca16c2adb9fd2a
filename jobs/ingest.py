"""Take in a month's deliveries: every record becomes a row of `products` or of `rejects`.

spark-submit jobs/ingest.py --conf conf/local.yaml --month 2026-01
"""

from pyspark.sql import SparkSession

from lib.command import run_stage_job
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.sources.ingest import fingerprints, ingest
from schemas.products import PRODUCTS
from schemas.rejects import REJECTS

# Where a run stages its files, and how much, changes nothing of its result.
STAGE = Stage(
    "ingest",
    revision=2,
    config_keys=(
        "ingest.sources", "ingest.max_line_bytes", "ingest.max_name_length", "ingest.max_field_length",
    ),
)  # fmt: skip


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Replace the month's batches unless its files and what conf says of them are as they were."""
    settings = config.ingest
    if settings is None:
        raise UserError("this configuration has no ingest section; take conf/local.yaml or add one")

    def work(_key: str) -> Outcome:
        return ingest(spark, settings, config.storage.warehouse, month)

    return run_stage(
        spark, STAGE, config, month, fingerprints(spark, settings, config.storage.warehouse, month), work,
        tables_written={"products": PRODUCTS, "rejects": REJECTS}, force=force,
    )  # fmt: skip


if __name__ == "__main__":
    run_stage_job("ingest", __doc__, run)
