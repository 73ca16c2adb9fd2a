"""Choose the offers that people should look at, write them as a sheet, and read their answers back.

spark-submit jobs/review.py --conf conf/local.yaml --month 2026-01
spark-submit jobs/review.py --conf conf/local.yaml --month 2026-01 --answers answers.csv --reviewer kim
"""

from pyspark.sql import SparkSession

from lib import tables
from lib.categories.taxonomy import leaves_of
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.review import handed_in, queue, sheet
from schemas.reviews import REVIEWS
from schemas.taxonomy import TAXONOMY

CHOOSING = ("review.size", "review.max_per_category", "review.max_per_mall")
STAGE = Stage("review", 1, (*CHOOSING, "review.name_length"))


def run(
    spark: SparkSession, config: Config, month: str, force: bool = False,
    answers: str | None = None, reviewer: str | None = None,
) -> Manifest:  # fmt: skip
    """The month's open offers -> `reviews` and the sheet; with answers, those first."""
    warehouse, settings = config.storage.warehouse, config.review
    handed_in.take(spark, warehouse, month, "queue", answers, reviewer, settings)
    given = queue.sources(spark, warehouse, month)
    taxonomy = tables.read_month(spark, warehouse, TAXONOMY, month)
    inputs = {**given.fingerprints, "taxonomy": str(tables.fingerprint(spark, warehouse, TAXONOMY, month=month))}

    def work(key: str) -> Outcome:  # noqa: ARG001 no artefact
        chosen = queue.choose(given, settings)
        tables.merge(queue.sent_rows(spark, month, chosen), warehouse, REVIEWS, {"month": month, "kind": "queue"})
        categories = sheet.categories_of(leaves_of(taxonomy))
        ids, suggested = [one.product_id for one in chosen], queue.suggestions(chosen, categories)
        offers = sheet.offers_of(spark, warehouse, month, ids, settings.name_length, suggested)
        files = sheet.write(sheet.Sheet(month, "queue", offers, categories), config.storage.reports)
        facts = {"model_version": given.version, "open": len(offers), "sheet": files}
        return Outcome(facts={**facts, **queue.answer_facts(given.answers, month)})

    return run_stage(spark, STAGE, config, month, inputs, work, force=force)


if __name__ == "__main__":
    run_stage_job("review", __doc__, run, answers="answered sheet to read back", reviewer="who answered it")
