"""Count a month's words and character grams, and choose those that get an id.

spark-submit jobs/vocabulary.py --conf conf/local.yaml --month 2026-01
"""

from pyspark.sql import SparkSession

from lib import artefact, tables
from lib.artefact import ArtefactWriter
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.text import counts
from lib.text.select import funnel, write_vocabulary
from schemas.token_counts import TOKEN_COUNTS
from schemas.tokens import TOKENS

STAGE = Stage("vocabulary", revision=1, config_keys=("vocabulary",))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Write the month's token_counts, and the vocabulary of its history as an artefact."""
    warehouse = config.storage.warehouse
    tokens = tables.read_month(spark, warehouse, TOKENS, month)
    tokenizer = counts.tokenizer_key_of(tokens, month)
    earlier = counts.earlier_months(spark, warehouse, month, config.vocabulary.history_months, tokenizer)
    inputs = counts.fingerprints(spark, warehouse, TOKEN_COUNTS, earlier)
    inputs |= counts.fingerprints(spark, warehouse, TOKENS, [month])

    def work(key: str) -> Outcome:
        outcome = Outcome()
        train = counts.train_rows(tokens)
        outcome.wrote(TOKEN_COUNTS, {"month": month}, counts.write(train, warehouse, month, tokenizer))
        products = train.count()
        total = products + counts.counted_products(warehouse, earlier)
        months = [*earlier, month]

        def build(writer: ArtefactWriter) -> None:
            summed = counts.summed(spark, warehouse, months)
            files = writer.file("words.parquet"), writer.file("grams.parquet")
            write_vocabulary(summed, config.vocabulary, total, *files)
            steps = funnel(summed, config.vocabulary)
            writer.facts = {"tokenizer_key": tokenizer, "months": months, "products": total, "funnel": steps}

        made = artefact.make(warehouse, "vocabulary", month, key, build, force=force)
        outcome.artefacts["vocabulary"] = made
        outcome.facts = {**made.facts, "products": products, "history_products": total}
        return outcome

    return run_stage(
        spark, STAGE, config, month, inputs, work, tables_written={"token_counts": TOKEN_COUNTS}, force=force
    )


if __name__ == "__main__":
    run_stage_job("vocabulary", __doc__, run)
