"""A month's model beside others on the same rows: last month's model, the scikit-learn peer, the market's truth."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.evaluation import bootstrap
from lib.evaluation.bootstrap import Interval
from lib.evaluation.figures import Figure, figure
from lib.evaluation.peer import PEER_VERSION, PeerAnswer
from lib.evaluation.record import Predictions
from lib.evaluation.sample import Sample
from lib.sources.product_ids import mall_of

# Names are kept in the manifest only as examples: no longer than a person reads.
EXAMPLE_CHARACTERS = 200
# Smaller malls have too few sampled names to say anything.
MOST_MALLS = 100
Right = NDArray[np.bool_]


def next_month(older: Predictions, newer: Predictions, rounds: int) -> dict[str, Any]:
    """Last month's model against this month's on this month's test names.

    Args:
        older, newer: both models' answers on the same rows.
    """
    return {
        "rows": len(older),
        "unknown_leaf_rows": int((older.label < 0).sum()),
        "accuracy": listed(bootstrap.mean(older.correct, rounds)),
        "retrained": listed(bootstrap.mean(newer.correct, rounds)),
        "retrained_minus_old": listed(bootstrap.paired_difference(newer.correct, older.correct, rounds)),
    }


def mall_confidence(sample: Sample, confidence: NDArray[np.float32]) -> dict[str, list[float]]:
    """Mall -> mean confidence on its sampled names and how many they are, of the malls with most of them.

    Args:
        confidence: float32 [rows of the sample].
    """
    malls, place, rows = np.unique(
        [mall_of(str(product)) for product in sample.product_ids], return_inverse=True, return_counts=True
    )
    means = np.bincount(place, confidence) / rows
    largest = np.argsort(-rows, kind="stable")[:MOST_MALLS]
    return {str(malls[one]): [float(means[one]), int(rows[one])] for one in largest}


def against_truth(seen: Predictions, true_labels: NDArray[np.int32], given_right: Right, rounds: int) -> dict[str, Any]:
    """The model and the given labels against what the embedded market made each offer from (simulated).

    Args:
        seen: answers held against the given labels.
        true_labels: int32 [rows], -1 where the true leaf is not in the label map.
        given_right: bool [rows], whether the given leaf is the true one.
    """
    right = (seen.predicted == true_labels) & (true_labels >= 0)
    return {
        "rows": len(seen),
        "accuracy": listed(bootstrap.mean(right, rounds)),
        "given_accuracy": listed(bootstrap.mean(given_right, rounds)),
        "repaired": listed(bootstrap.ratio(right & ~given_right, ~given_right, rounds)),
    }


def truth_figures(facts: dict[str, Any]) -> list[Figure]:
    """`against_truth` as rows of `metrics`, in a slice that says what they are."""
    return [
        Figure("truth=simulated", name, *facts[key])
        for name, key in (
            ("accuracy", "accuracy"),
            ("given_label_accuracy", "given_accuracy"),
            ("wrong_labels_repaired", "repaired"),
        )
    ]


def against_peer(
    answered: PeerAnswer,
    learnt: int,
    sample: Sample,
    seen: Predictions,
    name_head: Predictions | None,
    rounds: int,
) -> dict[str, Any]:
    """The peer and the month's model on the same test names.

    Args:
        learnt: how many names the peer learnt from.
        name_head: the head that sees names only, as the peer does.
    """
    right: Right = answered.predicted == sample.cat_ids
    return {
        "name": PEER_VERSION,
        "rows": len(sample),
        "rows_learnt": learnt,
        "seconds": answered.seconds,
        "accuracy": listed(bootstrap.mean(right, rounds)),
        "ours": listed(bootstrap.mean(seen.correct, rounds)),
        "ours_minus_peer": listed(bootstrap.paired_difference(seen.correct, right, rounds)),
        "name_head": None if name_head is None else listed(bootstrap.mean(name_head.correct, rounds)),
    }


def peer_figures(facts: dict[str, Any]) -> list[Figure]:
    """`against_peer` as rows of `metrics`, under the peer's own name."""
    return [
        figure("all", "rows", facts["rows"]),
        Figure("head=output", "accuracy", *facts["accuracy"]),
        figure("all", "rows_learnt", facts["rows_learnt"]),
    ]


def examples(
    sample: Sample, seen: Predictions, cat_ids: Collection[str], paths: Sequence[Sequence[str]], limit: int
) -> dict[str, list[dict[str, Any]]]:
    """Up to `limit` mistaken names of each of these categories, the surest mistakes first."""
    surest = np.argsort(-seen.confidence, kind="stable")
    return _first_names(sample, seen, surest[~seen.correct[surest]], cat_ids, paths, limit)


def unsure_examples(
    sample: Sample, seen: Predictions, cat_ids: Collection[str], paths: Sequence[Sequence[str]], limit: int
) -> dict[str, list[dict[str, Any]]]:
    """Up to `limit` names of each of these categories, those of the highest entropy first."""
    return _first_names(sample, seen, np.argsort(-seen.entropy, kind="stable"), cat_ids, paths, limit)


def _first_names(
    sample: Sample, seen: Predictions, rows: NDArray[np.int64], cat_ids: Collection[str],
    paths: Sequence[Sequence[str]], limit: int,
) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {cat_id: [] for cat_id in cat_ids}
    for row in rows:
        kept = found.get(sample.cat_ids[row])
        if kept is None or len(kept) >= limit:
            continue
        kept.append(
            {
                "product_id": str(sample.product_ids[row]),
                "name": str(sample.names[row])[:EXAMPLE_CHARACTERS],
                "said": list(paths[seen.predicted[row]]),
                "confidence": round(float(seen.confidence[row]), 3),
            }
        )
    return {cat_id: names for cat_id, names in found.items() if names}


def listed(interval: Interval) -> list[float]:
    """[value, low, high], as facts keep an interval."""
    return list(asdict(interval).values())
