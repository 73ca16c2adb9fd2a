"""Cut a window's tokens into training shards.

spark-submit jobs/shards.py --conf conf/local.yaml --month 2026-01
"""

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from lib import artefact, tables
from lib.artefact import ArtefactWriter
from lib.categories.fixed_rows import RULES, read_rules
from lib.categories.labels import label_ids
from lib.categories.taxonomy import leaves_of
from lib.categories.window import check_tokenizer, token_window
from lib.command import run_stage_job
from lib.config import Config
from lib.images.portions import portions_for
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.shards.build import Categories, build, counts_of, shares
from lib.shards.pictures import pictures_of
from lib.shards.sources import distribution_of, encoding_of, source_facts, sources_of
from schemas.labels import LABELS
from schemas.taxonomy import TAXONOMY

STAGE = Stage("shards", revision=2, config_keys=("shards",))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Make the artefact `shards` of the window that ends with the month."""
    warehouse, settings = config.storage.warehouse, config.shards
    window = token_window(spark, warehouse, month, settings.months_back)
    tokenizer_key = check_tokenizer(window)
    sources = sources_of(warehouse, month, settings, window.months, tokenizer_key)
    distribution = distribution_of(warehouse, month, window.months)
    taxonomy = tables.read_month(spark, warehouse, TAXONOMY, month)
    pictures = pictures_of(spark, config, window.months)
    labels = tables.read(spark, warehouse, LABELS).join(taxonomy.select("cat_id"), on="cat_id", how="left_semi")

    def work(key: str) -> Outcome:
        def write(writer: ArtefactWriter) -> None:
            drawn = shares(pq.read_table(distribution.path("categories.parquet")))
            categories = Categories(tuple(leaves_of(taxonomy)), label_ids(labels), drawn)
            tokens = window.tokens(read_rules(distribution.path(RULES)))
            fact, rows = (pictures.fact, pictures.rows) if pictures is not None else (None, None)
            with portions_for(spark, settings.image):
                build(tokens, categories, encoding_of(sources, settings, fact), settings, writer, rows)
            writer.facts |= {"months": list(window.months), "tokenizer_key": tokenizer_key}
            writer.facts |= source_facts(warehouse, sources)

        made = artefact.make(warehouse, "shards", month, key, write, force=force)
        facts = {name: value for name, value in made.facts.items() if name != "level_names"}
        exits = counts_of(made)
        return Outcome(sum(exits.values()), exits, artefacts={"shards": made}, facts=facts)

    inputs = {
        **window.fingerprints,
        "distribution": distribution.content,
        "taxonomy": str(tables.fingerprint(spark, warehouse, TAXONOMY, month=month)),
        "labels": str(tables.scan_fingerprint(labels.select("label_id", "cat_id"))),
        **{name: made.content for name, made in sources.items()},
        **(pictures.fingerprints if pictures is not None else {}),
    }
    return run_stage(spark, STAGE, config, month, inputs, work, force=force)


if __name__ == "__main__":
    run_stage_job("shards", __doc__, run)
