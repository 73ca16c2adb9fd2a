"""Learn word vectors from a month's train names and mall categories.

spark-submit jobs/word2vec.py --conf conf/local.yaml --month 2026-01
"""

import tempfile
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from lib import artefact, tables
from lib.artefact import ArtefactWriter
from lib.command import run_stage_job
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, artefact_of, run_stage
from lib.text import counts, word2vec
from lib.text.vocabulary import write_words
from schemas.token_counts import TOKEN_COUNTS
from schemas.tokens import TOKENS

STAGE = Stage("word2vec", revision=1, config_keys=("word2vec",))


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Make the month's word vectors, over the months of its vocabulary, as an artefact."""
    warehouse = config.storage.warehouse
    months = list(artefact_of(warehouse, "vocabulary", month, "vocabulary").facts["months"])
    inputs = counts.fingerprints(spark, warehouse, TOKENS, months)
    inputs |= counts.fingerprints(spark, warehouse, TOKEN_COUNTS, months)
    tokens = tables.read(spark, warehouse, TOKENS, month=months)
    tokenizer = counts.tokenizer_key_of(tokens, " to ".join((months[0], months[-1])))

    def build(writer: ArtefactWriter) -> None:
        summed = counts.summed(spark, warehouse, months)
        frequencies = word2vec.frequencies(summed, config.word2vec.min_count)
        with tempfile.TemporaryDirectory(dir=writer.folder, prefix="corpus-") as scratch:
            corpus = word2vec.export(counts.train_rows(tokens), Path(scratch))
            vectors = word2vec.train(corpus, frequencies, config.word2vec)
        write_words(writer.file("words.parquet"), list(frequencies), list(frequencies.values()))
        np.save(writer.file("vectors.npy"), vectors, allow_pickle=False)
        writer.facts = {
            "tokenizer_key": tokenizer,
            "months": months,
            "dimensions": config.word2vec.dimensions,
        }
        writer.facts |= word2vec.figures(corpus, frequencies, config.word2vec)

    def work(key: str) -> Outcome:
        made = artefact.make(warehouse, "word2vec", month, key, build, force=force)
        return Outcome(artefacts={"word2vec": made}, facts=dict(made.facts))

    return run_stage(spark, STAGE, config, month, inputs, work, force=force)


if __name__ == "__main__":
    run_stage_job("word2vec", __doc__, run)
