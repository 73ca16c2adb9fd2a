"""Train a month's model on its shards, calibrate it, and register it as the candidate.

spark-submit jobs/train.py --conf conf/local.yaml --month 2026-01
"""

from pyspark.sql import SparkSession

from lib import manifest
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage

STAGE = Stage("train", revision=2, config_keys=("model", "train", "text"))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Shards -> a model artefact, registered with alias `candidate`."""
    # Here, so that what imports every job does not start TensorFlow for Spark-only stages.
    from lib.registry import register
    from lib.training import candidate

    shards = manifest.artefact_of(config.storage.warehouse, "shards", month, "shards")
    sources = candidate.Inputs.of_shards(config.storage.warehouse, shards)
    inputs = {"shards": shards.content, "vocabulary": sources.vocabulary.content}
    if sources.word2vec is not None:
        inputs["word2vec"] = sources.word2vec.content

    def work(key: str) -> Outcome:
        made = candidate.make(config, sources, month, key, force=force)
        figures = candidate.summary(made)
        settings = {
            **config.model.model_dump(mode="json"),
            **config.train.model_dump(mode="json"),
            "month": month,
        }
        version = register(config.registry_store, made, figures, settings, name=config.registry.name)
        return Outcome(artefacts={"model": made}, facts={**made.facts, "version": version})

    return run_stage(spark, STAGE, config, month, inputs, work, force=force)


if __name__ == "__main__":
    run_stage_job("train", __doc__, run)
