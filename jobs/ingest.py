"""Take in a month's deliveries: every record becomes a row of `products` or of `rejects`.

spark-submit jobs/ingest.py --conf conf/local.yaml --month 2026-01      (--source pages: its batch only)
"""

from pyspark.sql import SparkSession

from lib import manifest
from lib.command import run_stage_job
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.sources.ingest import carry_over, fingerprints, ingest, sharing_batches
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


def run(
    spark: SparkSession, config: Config, month: str, force: bool = False, source: str | None = None
) -> Manifest:  # fmt: skip
    """Replace the month's batches, or those of one source, unless what they are made from is as it was."""
    settings = config.ingest
    if settings is None:
        raise UserError("this configuration has no ingest section; take conf/local.yaml or add one")
    warehouse = config.storage.warehouse
    sources = settings.sources if source is None else sharing_batches(settings, source, month)
    last = None
    inputs = fingerprints(spark, warehouse, month, sources)
    if len(sources) < len(settings.sources):
        last = manifest.find(warehouse, STAGE.name, month)
        if last is None or (last.revision, last.settings) != (STAGE.revision, STAGE.settings(config)):
            raise UserError(
                f"month {month} has not been taken in whole with this configuration and code, so its other batches "
                "are not known; run jobs/ingest.py without --source first"
            )
        inputs = last.inputs | inputs

    def work(_key: str) -> Outcome:
        others = None if last is None else carry_over(spark, warehouse, last, sources, month)
        return ingest(spark, settings, warehouse, month, sources, others)

    return run_stage(
        spark, STAGE, config, month, inputs, work,
        tables_written={"products": PRODUCTS, "rejects": REJECTS}, force=force,
    )  # fmt: skip


if __name__ == "__main__":
    run_stage_job("ingest", __doc__, run, source="take in only this source (and what shares its batch)")
