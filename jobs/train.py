"""Train a month's model on its shards, calibrate it, and register it as the candidate.

spark-submit jobs/train.py --conf conf/local.yaml --month 2026-01 [--workers 4]

With several workers each is a task of the Spark cluster. Without Spark, run `python jobs/train.py` on every host with
TF_CONFIG set (docs/operations.md).
"""

from pyspark.sql import SparkSession

from lib import manifest
from lib.artefact import ArtefactWriter
from lib.command import guarded, run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.training import cluster

STAGE = Stage("train", revision=7, config_keys=("model", "train", "text"))


def run(spark: SparkSession | None, config: Config, month: str, force: bool = False) -> Manifest:
    """Shards -> a model artefact, registered with alias `candidate`."""
    # Here, so that what imports every job does not start TensorFlow for Spark-only stages.
    from lib.registry import register
    from lib.training import candidate, launch

    shards = manifest.artefact_of(config.storage.warehouse, "shards", month, "shards")
    inputs = candidate.Inputs.of_shards(config, shards)

    def work(key: str) -> Outcome:
        def build(writer: ArtefactWriter) -> None:
            if spark is not None and config.launch.workers > 1:
                launch.train(spark, config, shards, month, key, writer)
            else:
                candidate.build(writer, config, inputs, month, key, cluster.of_environment())

        made = candidate.make(config, month, key, build, force=force)
        figures = candidate.summary(made)
        settings = {**config.model.model_dump(mode="json"), **config.train.model_dump(mode="json"), "month": month}
        version = register(config.registry_store, made, figures, settings, name=config.registry.name)
        return Outcome(artefacts={"model": made}, facts={**made.facts, "version": version})

    return run_stage(spark, STAGE, config, month, inputs.contents, work, force=force)


def join(_spark: None, config: Config, month: str, force: bool = False) -> None:
    """Train beside the chief of TF_CONFIG, which alone writes, unless it will find that nothing changed."""
    from lib.training import candidate

    shards = manifest.artefact_of(config.storage.warehouse, "shards", month, "shards")
    inputs = candidate.Inputs.of_shards(config, shards)
    if force or not manifest.unchanged(STAGE, config, month, inputs.contents):
        candidate.join(config, inputs, month, STAGE.key(config, inputs.contents), cluster.of_environment())


def main() -> None:
    """The whole stage, or this host's part of a training that TF_CONFIG describes, which does without Spark."""
    place = cluster.of_environment()
    chosen, alone = run if place.chief else join, place.workers == 1
    run_stage_job("train", __doc__, chosen, short={"workers": "launch.workers"}, session=alone)


if __name__ == "__main__":
    guarded(main)
