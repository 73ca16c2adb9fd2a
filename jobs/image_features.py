"""Look at a month's pictures with a pretrained backbone: `images` -> `image_features`.

spark-submit jobs/image_features.py --conf conf/local.yaml --month 2026-01
"""

from pathlib import Path

from pyspark.sql import SparkSession

from lib import tables
from lib.chunks import Chunks
from lib.command import run_stage_job
from lib.config import Config
from lib.errors import UserError
from lib.images.portions import small_portions
from lib.manifest import Manifest, Outcome, Stage, run_stage
from schemas.image_features import IMAGE_FEATURES
from schemas.images import IMAGES

STAGE = Stage("image_features", revision=1, config_keys=())


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Write the month's features of one backbone: one row for each product with a picture."""
    # Here, so that what imports every job does not start TensorFlow for Spark-only stages.
    from lib.images.features import Looking, month_features

    if config.images is None:
        raise UserError("this configuration has no images section, so there are no pictures to look at; add one")
    warehouse = config.storage.warehouse
    looking = Looking(config.backbone, config.images.size, config.image_features)
    where = {"month": month, "backbone": looking.key}
    inputs = {"images": str(tables.fingerprint(spark, warehouse, IMAGES, month=month)), "backbone": looking.key}
    staging = Path(config.images.staging).resolve()

    def work(key: str) -> Outcome:
        chunks = Chunks(staging / f"features-{month}-{key}")
        with small_portions(spark):
            made = month_features(spark, warehouse, month, looking, chunks)
            written = tables.write(made.rows, warehouse, IMAGE_FEATURES, where)
        chunks.forget()
        with_picture, without = made.products
        outcome = Outcome(rows_in=with_picture + without, exits={"image_features": written.rows, "without": without})
        outcome.facts = {"backbone": looking.key, **made.facts()}
        outcome.wrote(IMAGE_FEATURES, where, written)
        return outcome

    tables_written = {"image_features": IMAGE_FEATURES}
    return run_stage(spark, STAGE, config, month, inputs, work, tables_written=tables_written, force=force)


if __name__ == "__main__":
    run_stage_job("image_features", __doc__, run)
