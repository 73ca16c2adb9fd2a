"""Read a month's taxonomy and its fixes, give its leaves label ids, and flatten the train split's distribution.

spark-submit jobs/normalize.py --conf conf/local.yaml --month 2026-01
"""

from dataclasses import asdict

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from lib import artefact, tables
from lib.artefact import ArtefactWriter
from lib.categories.distribution import normalise, summary
from lib.categories.fixed_rows import RULES, write_rules
from lib.categories.fixes import MonthFixes
from lib.categories.labels import assign
from lib.categories.taxonomy import leaves_of_labels, living, read_taxonomy, taxonomy_frame, taxonomy_path
from lib.categories.window import token_window
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from schemas.taxonomy import TAXONOMY

STAGE = Stage("normalize", revision=2, config_keys=("categories", "shards.months_back"))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Write the month's taxonomy and labels, and the artefact `distribution` of its window."""
    warehouse, settings = config.storage.warehouse, config.categories
    window = token_window(spark, warehouse, month, config.shards.months_back)
    fixes = MonthFixes.of(settings.fixes, month)
    listed = not settings.taxonomy.from_offers
    taxonomy_file = artefact.sha256(taxonomy_path(settings.taxonomy, month)) if listed else "of the offers"

    def work(key: str) -> Outcome:
        if listed:
            delivered, conflicts = read_taxonomy(settings, month)
        else:
            delivered, conflicts = leaves_of_labels(window.delivered, settings.max_leaves), 0
        leaves = fixes.merged(delivered)
        rules = fixes.rules(leaves)
        tokens = window.tokens(rules)
        outcome = Outcome()
        where = {"month": month}
        outcome.wrote(TAXONOMY, where, tables.write(taxonomy_frame(spark, leaves, month), warehouse, TAXONOMY, where))
        labels = assign(spark, warehouse, month, set(living(leaves).values()))
        made = normalise(tokens, leaves, settings)
        facts = {"months": list(window.months), **summary(made.table), **window.facts()}
        facts["fixes"] = fixes.facts(tokens, leaves)

        def build(writer: ArtefactWriter) -> None:
            pq.write_table(made.table, writer.file("categories.parquet"))
            write_rules(rules, writer.file(RULES))
            writer.facts = facts

        outcome.artefacts["distribution"] = artefact.make(warehouse, "distribution", month, key, build, force=force)
        outcome.rows_in, outcome.exits = sum(made.exits.values()), made.exits
        outcome.facts = {**facts, "labels": asdict(labels), "taxonomy_conflicts": conflicts}
        return outcome

    inputs = {**window.fingerprints, **fixes.fingerprints(), "taxonomy": taxonomy_file}
    return run_stage(spark, STAGE, config, month, inputs, work, tables_written={"taxonomy": TAXONOMY}, force=force)


if __name__ == "__main__":
    run_stage_job("normalize", __doc__, run)
