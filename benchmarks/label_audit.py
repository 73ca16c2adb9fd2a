"""Does the label audit find wrong labels of real names as well as cleanlab does?

python -m benchmarks.label_audit [--rows 50000] [--seeds 1 2 3]

Names of conf/noise_names.yaml, of which 10 % of the train rows get a wrong label. Three networks, each trained without
a third of the rows, answer for that third; both sides rank the rows by these same answers. Ours is what the job
stores: the rows that a network would label otherwise, by how unlikely it finds the given label, and all others behind
them. The peer is cleanlab's `get_label_quality_scores`, by whichever of its methods finds most. Measured is the average
precision.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import average_precision_score

from benchmarks.accuracy_names import FULL_ROWS, MONTH, NAMES, in_folder, thinned
from benchmarks.noise import CONF, ROWS, SEEDS, mean, shards_made
from benchmarks.result import data_folder, finish
from lib import config, tables
from lib.artefact import Artefact
from lib.config import Config
from lib.review import label_audit
from lib.session import open_session
from lib.training import candidate
from schemas.tokens import TOKENS

SHARE, FOLDS = 0.1, 3
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
LESS = 0.01
BAR = f"average precision >= that of cleanlab's best method - {LESS:g}, {SHARE:.0%} wrong labels"


def main() -> None:
    """Make the shards, let three networks answer for each seed, rank."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    given = parser.parse_args()
    data = data_folder()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CATMATCH_DATA"] = str(thinned(data, Path(folder), min(given.rows, FULL_ROWS)))
        settings = in_folder(config.load(CONF), Path(folder))
        made, clean, parts = prepared(settings)
        found = [ranked(settings, made, clean, parts, seed) for seed in given.seeds]
    figures: dict[str, Any] = {name: mean([one[name] for one in found]) for name in found[0]}
    figures["cleanlab"] = max(figures[method] for method in CLEANLAB)
    holds = figures["ours"] >= figures["cleanlab"] - LESS
    full = given.rows >= ROWS and len(given.seeds) >= len(SEEDS)
    finish("label_audit", figures, BAR, bool(holds) if full else None, given.rows, given.seeds, [data / NAMES])


def prepared(settings: Config) -> tuple[Artefact, NDArray[np.int32], NDArray[np.uint8]]:
    """The shards, and by row_id the clean label and the fold of each train row."""
    spark = open_session(settings.spark, "label audit")
    made = shards_made(spark, settings)
    rows = label_audit.rows(spark, made)
    labels = rows.select("row_id", "label").toArrow()
    clean = np.zeros(len(labels), np.int32)
    clean[labels.column("row_id").to_numpy()] = labels.column("label").to_numpy()
    tokens = tables.read(spark, settings.storage.warehouse, TOKENS, month=MONTH)
    parts = label_audit.folds(rows, tokens, len(labels), FOLDS)
    spark.stop()
    return made, clean, parts


def ranked(
    settings: Config, made: Artefact, clean: NDArray[np.int32], parts: NDArray[np.uint8], seed: int
) -> dict[str, float]:  # fmt: skip
    """Average precision of both sides, with this seed of the noise and of the networks."""
    injected = settings.train.injected.model_copy(update={"share": SHARE, "seed": seed})
    train = settings.train.model_copy(update={"injected": injected, "seed": seed})
    own = settings.model_copy(update={"train": train})
    work = candidate.work_without_a_model(own, candidate.Inputs.of_shards(own, made))
    columns = zip(*label_audit.unseen_answers(work, parts), strict=True)
    rows, labels, logits = (np.concatenate(column) for column in columns)
    wrong = clean[rows] != labels
    proposed, doubt = label_audit.doubts(logits, labels)
    scores = {"ours": np.where(proposed != labels, doubt, 0)}
    probabilities = softmax(logits, axis=1)
    scores |= {method: -get_label_quality_scores(labels, probabilities, method=method) for method in CLEANLAB}
    found = {name: float(average_precision_score(wrong, score)) for name, score in scores.items()}
    print(
        f"seed {seed}: {wrong.mean():.2%} wrong;", {name: round(value, 4) for name, value in found.items()}, flush=True
    )
    return found


if __name__ == "__main__":
    main()
