"""How right a month's model is on a later month's offers: what a study of months measures (R11)."""

import numpy as np
from pyspark.sql import SparkSession

from lib import tables
from lib.categories.taxonomy import replacements
from lib.config import Config
from lib.evaluation import bootstrap
from lib.evaluation.record import Predictions
from lib.evaluation.replacement import followed
from lib.evaluation.sample import Sample, draw, labels_of
from lib.scoring import pictures, recorded
from lib.scoring.month_evaluation import Version
from lib.scoring.predictor import shared_predictor
from lib.studies.study import Figures
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS
from schemas.truth import TRUTH


def measure(spark: SparkSession, config: Config, version: Version, month: str) -> Figures:
    """Accuracy on the month's test names, by the given labels and, of the embedded market, by the true ones.

    Returns:
        'rows', 'accuracy' with its 95 % interval 'low' and 'high', and 'true_accuracy' (None where nobody knows).
    """
    sample, seen, labels = answered(spark, config, version, month)
    if len(sample) == 0:
        return {"rows": 0.0}
    right = bootstrap.mean(seen.correct, config.evaluate.bootstrap_rounds)
    true = None
    if sample.true_cat_ids is not None:
        true_labels = labels_of(sample.true_cat_ids, labels)
        true = float(np.mean((seen.predicted == true_labels) & (true_labels >= 0)))
    found = {"accuracy": right.value, "low": right.low, "high": right.high, "true_accuracy": true}
    return {"rows": float(len(sample)), **found}


def answered(
    spark: SparkSession, config: Config, version: Version, month: str
) -> tuple[Sample, Predictions, dict[str, int]]:
    """The month's test names, a model's answers on them, and its label map; replaced categories are followed in all."""
    warehouse = config.storage.warehouse
    predictor = shared_predictor(str(version.artefact.folder))
    replaced_by = replacements(tables.read_if_there(spark, warehouse, TAXONOMY, month=month))
    tokens = followed(tables.read(spark, warehouse, TOKENS, month=month), "cat_id", replaced_by)
    truth = None
    if config.market is not None:
        truth = followed(tables.read(spark, warehouse, TRUTH, month=month), "cat_id", replaced_by)
    pictured = pictures.with_pictures(tokens, warehouse, month, predictor.picture)
    sample = draw(pictured, truth, config.evaluate.sample_rows)
    return sample, *recorded.of_older(predictor, sample, replaced_by, config.evaluate.batch_size)
