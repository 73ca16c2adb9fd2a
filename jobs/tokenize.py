"""Tokenize a month's products: clean names, choose their side of the split, cut them into tokens.

spark-submit jobs/tokenize.py --conf conf/local.yaml --month 2026-01
"""

if __name__ == "tokenize":
    # Running any script of this folder puts the folder first on the path, where the standard library's own
    # `import tokenize` then finds this file. Take the folder off the path and let it find the right one.
    import importlib
    import sys
    from pathlib import Path

    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    del sys.modules["tokenize"]
    importlib.import_module("tokenize")
else:
    from pyspark.sql import SparkSession

    from lib import tables
    from lib.command import run_stage_job
    from lib.config import Config
    from lib.manifest import Manifest, Outcome, Stage, run_stage
    from lib.sources.latest import latest_products
    from lib.text.tokenizers import TokenizerSettings
    from lib.text.tokens import PRODUCT_COLUMNS, tokenized
    from schemas.products import PRODUCTS
    from schemas.tokens import TOKENS

    STAGE = Stage("tokenize", revision=2, config_keys=("text",))

    def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
        """Write the month's tokens: one row for the latest row of each product."""
        warehouse = config.storage.warehouse
        settings = TokenizerSettings.of(config.text)
        products = str(tables.fingerprint(spark, warehouse, PRODUCTS, month=month))

        def work(_key: str) -> Outcome:
            stored = tables.read_month(spark, warehouse, PRODUCTS, month).select(*PRODUCT_COLUMNS)
            with tokenized(latest_products(stored), warehouse, config.text, settings, month) as made:
                outcome = Outcome(rows_in=made.products)
                for where, batch in made.by_batch(warehouse, month, stored):
                    outcome.wrote(TOKENS, where, tables.write(batch, warehouse, TOKENS, where))
                outcome.exits = {"tokens": sum(entry.rows for entry in outcome.written)}
                outcome.facts = made.facts()
            return outcome

        inputs = {"products": products, "tokenizer": settings.key}
        return run_stage(spark, STAGE, config, month, inputs, work, tables_written={"tokens": TOKENS}, force=force)

    if __name__ == "__main__":
        run_stage_job("tokenize", __doc__, run)
