"""Build a month's dictionary of brands from its history, and count what it adds to the offers' brand fields.

spark-submit jobs/brands.py --conf conf/local.yaml --month 2026-01
"""

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from lib import artefact, tables
from lib.artefact import ArtefactWriter
from lib.categories.brand_names import BRANDS_FILE
from lib.categories.brands import dictionary, fill_rates, table_rows
from lib.categories.window import delivered_tokens
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from schemas.brands import BRANDS
from schemas.products import PRODUCTS

STAGE = Stage("brands", revision=1, config_keys=("brands",))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Write the month's `brands`, and the dictionary as an artefact."""
    warehouse, settings, where = config.storage.warehouse, config.brands, {"month": month}
    past = delivered_tokens(spark, warehouse, month, settings.history_months)
    malls = tables.read_month(spark, warehouse, PRODUCTS, month).select("mall_id", "mall_nm").distinct()

    def work(key: str) -> Outcome:
        def build(writer: ArtefactWriter) -> None:
            pq.write_table(dictionary(past.tokens, malls, settings), writer.file(BRANDS_FILE))
            writer.facts = {"months": list(past.months)}

        made = artefact.make(warehouse, "brands", month, key, build, force=force)
        forms = pq.read_table(made.path(BRANDS_FILE))
        outcome = Outcome(artefacts={"brands": made})
        written = tables.write(table_rows(spark, forms, month), warehouse, BRANDS, where)
        outcome.wrote(BRANDS, where, written)
        fresh = past.tokens.where(past.tokens.month == month)
        outcome.facts = {
            "months": list(past.months),
            "brands": written.rows,
            "forms": forms.num_rows,
            "searched": sum(forms.column("searched").to_pylist()),
            "fill": fill_rates(fresh, forms),
        }
        return outcome

    inputs = {**past.fingerprints, "malls": str(tables.scan_fingerprint(malls))}
    return run_stage(spark, STAGE, config, month, inputs, work, tables_written={"brands": BRANDS}, force=force)


if __name__ == "__main__":
    run_stage_job("brands", __doc__, run)
