"""Deliver a month of the simulated market: the malls' feeds, the platform's taxonomy, the true labels.

spark-submit jobs/market.py --conf conf/local.yaml --month 2026-01
"""

from pyspark.sql import SparkSession

from lib import manifest, tables
from lib.command import run_stage_job
from lib.config import Config, MarketSettings
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.marketplace import feed
from lib.marketplace.offers import Market
from schemas.truth import TRUTH

STAGE = Stage("market", revision=1, config_keys=("market",))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Deliver the month unless its delivery and its truth are still as the last run left them."""
    settings = _settings(config)
    warehouse = config.storage.warehouse

    def work(_key: str) -> Outcome:
        delivery = feed.deliver(spark, settings, month)
        offers = sum(delivery.rows.values())
        outcome = Outcome(rows_in=settings.offers_per_month, exits={"deliveries": offers})
        where = {"month": month}
        outcome.wrote(TRUTH, where, tables.write(feed.truth(spark, settings, month), warehouse, TRUTH, where))
        outcome.facts = delivery.facts(Market(settings))
        return outcome

    return run_stage(
        spark, STAGE, config, month, {}, work, tables_written={"truth": TRUTH},
        force=force or not _still_delivered(config, settings, month),
    )  # fmt: skip


def _settings(config: Config) -> MarketSettings:
    if config.market is None:
        raise UserError("this configuration has no market section; take conf/local.yaml or add one")
    return config.market


def _still_delivered(config: Config, settings: MarketSettings, month: str) -> bool:
    """Whether the folder holds what the last run says; deliveries lie outside the warehouse and may be removed."""
    found = manifest.find(config.storage.warehouse, STAGE.name, month)
    return found is not None and feed.listing(feed.folder(settings, month)) == found.facts.get("listing")


if __name__ == "__main__":
    run_stage_job("market", __doc__, run)
