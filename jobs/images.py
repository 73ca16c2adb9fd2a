"""Take the pictures of a month's products, from hosts or from files: one small JPEG each, or why there is none.

spark-submit jobs/images.py --conf conf/local.yaml --month 2026-01
"""

from contextlib import nullcontext
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.crawl import reachable
from lib import tables
from lib.command import run_stage_job
from lib.config import Config, ImagesSettings
from lib.errors import UserError
from lib.images import delivery, fetch, files
from lib.images.delivery import Delivery
from lib.images.month_images import PRODUCT_COLUMNS, month_images, stored_reasons, taking
from lib.manifest import Manifest, Outcome, Stage, run_stage
from schemas.images import IMAGES
from schemas.products import PRODUCTS

# How fast and politely pictures are fetched changes nothing of what they show.
STAGE = Stage(
    "images",
    revision=1,
    config_keys=(
        "images.source", "images.file", "images.hosts", "images.share", "images.size", "images.fit", "images.quality",
        "images.max_bytes", "images.max_pixels", "images.min_side",
    ),
)  # fmt: skip


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Write the month's pictures: one row for the latest row of each sampled product."""
    settings = _settings(config)
    warehouse = config.storage.warehouse
    inputs = {"products": str(tables.fingerprint(spark, warehouse, PRODUCTS, month=month))}
    if settings.source != "url":
        inputs["files"] = files.fingerprint(settings)

    def work(key: str) -> Outcome:
        stored = tables.read_month(spark, warehouse, PRODUCTS, month).select(*PRODUCT_COLUMNS)
        served = reachable(config, month, STAGE.name) if settings.source == "url" else nullcontext(config)
        with served as reached, taking(spark, settings, warehouse, month, key) as folder:
            made = month_images(stored, _delivery(spark, reached, month, folder), month, folder)
            outcome = Outcome(rows_in=made.products)
            for where, batch in made.by_batch(warehouse, month, stored):
                outcome.wrote(IMAGES, where, tables.write(batch, warehouse, IMAGES, where))
        reasons = stored_reasons(spark, warehouse, month)
        outcome.exits, outcome.facts = made.exits(reasons), made.facts(reasons)
        return outcome

    return run_stage(spark, STAGE, config, month, inputs, work, tables_written={"images": IMAGES}, force=force)


def _settings(config: Config) -> ImagesSettings:
    if config.images is None:
        raise UserError("this configuration has no images section; take conf/local.yaml or add one")
    if config.images.source == "url" and config.crawl is None:
        raise UserError(
            "images.source url asks hosts as the crawl section says, and this configuration has none; add one, or take "
            "the pictures from a folder or zip"
        )
    return config.images


def _delivery(spark: SparkSession, config: Config, month: str, folder: Path) -> Delivery:
    assert config.images is not None
    if config.images.source != "url":
        return delivery.from_files(config.images)
    assert config.crawl is not None
    return fetch.from_hosts(spark, config.images, config.crawl, config.storage.warehouse, month, folder)


if __name__ == "__main__":
    run_stage_job("images", __doc__, run)
