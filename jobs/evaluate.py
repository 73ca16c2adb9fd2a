"""Measure a month's model; writes `metrics`, its thresholds and the version's MLflow figures, never the model.

spark-submit jobs/evaluate.py --conf conf/local.yaml --month 2026-01
"""

from pyspark.sql import SparkSession

from lib import manifest
from lib.command import run_stage_job
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, run_stage
from schemas.metrics import METRICS

STAGE = Stage("evaluate", revision=6, config_keys=("evaluate", "routing"))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """The month's model on validation, test and this month's test names -> `metrics`."""
    # Here, so that what imports every job does not start TensorFlow for Spark-only stages.
    from lib.registry import log_metrics
    from lib.scoring.month_evaluation import MonthEvaluation, inputs_of, version_of

    warehouse = config.storage.warehouse
    version = version_of(warehouse, month)
    if version is None:
        raise UserError(f"stage train has not finished for month {month} in {warehouse}; run jobs/train.py first")
    shards = manifest.artefact_of(warehouse, "shards", month, "shards")
    inputs = inputs_of(spark, warehouse, month, version, shards)

    def work(key: str) -> Outcome:  # noqa: ARG001 thresholds have a key of their own
        outcome = Outcome()
        headline = MonthEvaluation(spark, config, month, version, shards, outcome).run()
        state = config.registry_store
        log_metrics(state, version.number, headline, name=config.registry.name)
        return outcome

    written = {"metrics": METRICS}
    return run_stage(spark, STAGE, config, month, inputs, work, tables_written=written, force=force)


if __name__ == "__main__":
    run_stage_job("evaluate", __doc__, run)
