"""Look for wrong labels among a month's train rows; writes `label_doubts`, the most doubted first in its manifest.

spark-submit jobs/label_audit.py --conf conf/local.yaml --month 2026-01
"""

import tempfile
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from lib import manifest, tables
from lib.categories.window import token_window
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.review import label_doubts
from schemas.label_doubts import LABEL_DOUBTS

STAGE = Stage("label_audit", 3, ("label_audit", "model", "train"))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """What the month's training refurbished, if it did; and what trainings that leave rows out say of these."""
    # Here, so that what imports every job does not start TensorFlow for Spark-only stages.
    from lib.review import label_audit
    from lib.training import candidate

    warehouse, settings = config.storage.warehouse, config.label_audit
    shards = manifest.artefact_of(warehouse, "shards", month, "shards")
    model = manifest.artefact_of(warehouse, "train", month, "model")
    inputs = candidate.Inputs.of_shards(config, shards)
    window = token_window(spark, warehouse, month, config.shards.months_back)

    def work(key: str) -> Outcome:  # noqa: ARG001 no artefact
        outcome = Outcome()
        rows = label_audit.rows(spark, shards).persist()

        def store(method: str, found: DataFrame) -> None:
            where = {"month": month, "method": method}
            made = label_doubts.table_rows(spark, found, rows, shards, month, method)
            outcome.wrote(LABEL_DOUBTS, where, tables.write(made, warehouse, LABEL_DOUBTS, where))
            stored = tables.read(spark, warehouse, LABEL_DOUBTS, **where)
            outcome.facts[method] = label_doubts.facts(stored, settings.shown)

        members = len(model.facts["members"])
        learnt = label_doubts.read(spark, model.path(candidate.REFURBISHED))
        store("selfie", label_doubts.refurbished(rows, learnt, members))
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "doubted.parquet"
            total = int(shards.facts["splits"]["train"]["rows"])
            # Only their names are asked for: which rows and labels there are, fixes included, the shards say.
            parts = label_audit.folds(rows, window.delivered, total, settings.folds)
            counts = label_audit.audit(candidate.work_without_a_model(config, inputs), parts, place)
            store("folds", label_doubts.read(spark, place))
            outcome.facts["folds"]["not_judged"] = counts["not_judged"]
        rows.unpersist()
        return outcome

    contents = {**inputs.contents, "model": model.content, **window.fingerprints}
    written = {"label_doubts": LABEL_DOUBTS}
    return run_stage(spark, STAGE, config, month, contents, work, tables_written=written, force=force)


if __name__ == "__main__":
    run_stage_job("label_audit", __doc__, run)
