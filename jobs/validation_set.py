"""Draw a month's audit sample, write it as a sheet for people, and read their answers back (R1).

spark-submit jobs/validation_set.py --conf conf/local.yaml --month 2026-01
spark-submit jobs/validation_set.py --conf conf/local.yaml --month 2026-01 --answers answers.csv --reviewer kim
"""

from pyspark.sql import SparkSession

from lib import tables
from lib.categories.taxonomy import leaves_of
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.review import audit, audit_result, handed_in, sheet
from schemas.audit_sample import AUDIT_SAMPLE
from schemas.taxonomy import TAXONOMY

STAGE = Stage("validation_set", 1, ("review.audit_sample", "review.name_length", "review.disagreements"))


def run(
    spark: SparkSession, config: Config, month: str, force: bool = False,
    answers: str | None = None, reviewer: str | None = None,
) -> Manifest:  # fmt: skip
    """The month's sample, its sheet, and what the answers so far say."""
    warehouse, settings = config.storage.warehouse, config.review
    handed_in.take(spark, warehouse, month, "audit", answers, reviewer, settings)
    leaves = leaves_of(tables.read_month(spark, warehouse, TAXONOMY, month))
    said = audit.answers(spark, warehouse, month)
    inputs = audit_result.inputs(spark, warehouse, month, said)

    def work(key: str) -> Outcome:  # noqa: ARG001 no artefact
        outcome = Outcome()
        # Drawn once: a month that is delivered anew later keeps the sample that people have in hand.
        sample, where = audit.stored(spark, warehouse, month), {"month": month}
        if sample.isEmpty():
            drawn = audit.draw(audit.population(spark, warehouse, month), leaves, settings.audit_sample)
            tables.write(drawn, warehouse, AUDIT_SAMPLE, where)
            sample = audit.stored(spark, warehouse, month)
        outcome.wrote(AUDIT_SAMPLE, where, tables.fingerprint(spark, warehouse, AUDIT_SAMPLE, **where))
        ids = [row["product_id"] for row in sample.orderBy("position").select("product_id").collect()]
        shown = sheet.offers_of(spark, warehouse, month, ids, settings.name_length)
        made = sheet.Sheet(month, "audit", shown, sheet.categories_of(leaves))
        offers = audit_result.audited(sample, said, audit_result.machine_answers(spark, warehouse, month), leaves)
        outcome.facts = audit_result.facts(sample, offers, shown, leaves, settings.disagreements)
        outcome.facts["model_version"] = audit_result.scored_version(warehouse, month)
        outcome.facts["sheet"] = sheet.write(made, config.storage.reports)
        return outcome

    written = {"audit_sample": AUDIT_SAMPLE}
    return run_stage(spark, STAGE, config, month, inputs, work, tables_written=written, force=force)


if __name__ == "__main__":
    run_stage_job("validation_set", __doc__, run, answers="answered sheet to read back", reviewer="who answered it")
