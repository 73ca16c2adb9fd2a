"""All figures of one model on one split, as rows of `metrics` and as facts for the report."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.evaluation import bootstrap, calibration, categories
from lib.evaluation.bootstrap import Interval
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Predictions

MAIN_HEAD, IMAGE_HEAD = "output", "img_output"
# The answering head's answers had it seen no picture, recorded like a head.
WITHOUT_PICTURE = "output_without_picture"
# As the paper of `shot_figures` has them.
FEW_SHOTS, MANY_SHOTS = 20, 100


@dataclass(frozen=True)
class Figure:
    """One row of `metrics`, without the month, version and split it belongs to."""

    slice: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None


def figure(place: str, name: str, value: Interval | float) -> Figure:
    """A figure with its interval, where it has one."""
    if isinstance(value, Interval):
        return Figure(place, name, value.value, value.low, value.high)
    return Figure(place, name, float(value))


def head_figures(head: str, seen: Predictions, classes: int, rounds: int) -> list[Figure]:
    """Accuracy, top-5 accuracy and macro F1 of one head."""
    place = f"head={head}"
    in_top = (seen.top == seen.label[:, None]).any(axis=1) & (seen.label >= 0)
    return [
        figure(place, "rows", len(seen)),
        figure(place, "accuracy", bootstrap.mean(seen.correct, rounds)),
        figure(place, "top5_accuracy", bootstrap.mean(in_top, rounds)),
        figure(place, "macro_f1", bootstrap.macro_f1(seen.label, seen.predicted, classes, rounds)),
    ]


def level_figures(seen: Predictions, hierarchy: Hierarchy, rounds: int) -> list[Figure]:
    """Per level: accuracy of the level's own argmax, of the joint path and of the leaf's ancestors.

    A row counts on a level where its given path has one; a row whose leaf is unknown counts as an error on
    every level that its given path does not name.
    """
    found = []
    joint, leaf = hierarchy.ancestors[seen.joint], hierarchy.ancestors[seen.predicted]
    for level in range(hierarchy.depth):
        given = seen.level_labels[:, level]
        counted = (given >= 0) | (seen.label < 0)
        if not counted.any():
            continue
        place = f"level={level + 1}"
        found.append(figure(place, "rows", int(counted.sum())))
        for name, said in (
            ("accuracy", seen.levels[:, level]),
            ("joint_accuracy", joint[:, level]),
            ("leaf_accuracy", leaf[:, level]),
        ):
            right = (said == given) & (given >= 0)
            found.append(figure(place, name, bootstrap.mean(right[counted], rounds)))
    return found


def path_figures(seen: Predictions, hierarchy: Hierarchy, rounds: int) -> list[Figure]:
    """Joint decoding over existing paths against each level's own argmax, as whole paths."""
    independent = independent_right(seen, hierarchy)
    joint = seen.joint == seen.label
    return [
        figure("paths", "inconsistent_share", bootstrap.mean(~seen.consistent, rounds)),
        figure("paths", "independent_accuracy", bootstrap.mean(independent, rounds)),
        figure("paths", "joint_accuracy", bootstrap.mean(joint, rounds)),
        figure("paths", "joint_minus_independent", bootstrap.paired_difference(joint, independent, rounds)),
    ]


def independent_right(seen: Predictions, hierarchy: Hierarchy) -> NDArray[np.bool_]:
    """bool [N], whether every level's own argmax is the given leaf's node."""
    given = hierarchy.ancestors[np.maximum(seen.label, 0)]
    right: NDArray[np.bool_] = (seen.label >= 0) & seen.consistent & (seen.levels == given).all(axis=1)
    return right


def hierarchical_figures(seen: Predictions, hierarchy: Hierarchy, rounds: int) -> list[Figure]:
    """Hierarchical precision, recall and F1: overlap of the said and the given leaf with their ancestors.

    Kiritchenko, Matwin, Famili 2005; recommended by Silla & Freitas 2011 (micro-averaged over rows, root
    excluded).
    """
    said = hierarchy.ancestors[seen.predicted]
    shared = ((said == seen.level_labels) & (said >= 0)).sum(axis=1)
    said_size = hierarchy.depths[seen.predicted]
    # The leaf of an unknown label is itself a node that was missed.
    given_size = (seen.level_labels >= 0).sum(axis=1) + (seen.label < 0)
    return [
        figure("all", "hierarchical_precision", bootstrap.ratio(shared, said_size, rounds)),
        figure("all", "hierarchical_recall", bootstrap.ratio(shared, given_size, rounds)),
        figure("all", "hierarchical_f1", bootstrap.ratio(2 * shared, said_size + given_size, rounds)),
    ]


def confidence_figures(seen: Predictions, thresholds: list[float], rounds: int) -> list[Figure]:
    """Calibration before and after the temperature, and coverage and accuracy at each threshold."""
    right = seen.correct
    found = [
        figure("all", "ece_before", calibration.calibration_error(seen.raw_confidence, right)),
        figure("all", "ece_after", calibration.calibration_error(seen.confidence, right)),
        figure("all", "mean_confidence", float(seen.confidence.mean()) if len(seen) else 0.0),
    ]
    for one in calibration.covered(seen.confidence, right, thresholds):
        place = f"threshold={one.threshold:.2f}"
        accepted = seen.confidence >= np.float32(one.threshold)
        found += [
            figure(place, "coverage", bootstrap.mean(accepted, rounds)),
            figure(place, "accuracy", bootstrap.ratio(right & accepted, accepted, rounds)),
        ]
    return found


def category_figures(seen: Predictions, cat_ids: list[str], classes: int) -> list[Figure]:
    """Rows and accuracy of every category that has enough rows, and the small ones together."""
    small = categories.small_categories(seen.label, seen.predicted, classes)
    found = [
        Figure("small_categories", "categories", small.categories),
        Figure("small_categories", "rows", small.rows),
        Figure("small_categories", "accuracy", small.accuracy),
        Figure("unknown_leaf", "rows", int((seen.label < 0).sum())),
    ]
    for one in categories.per_category(seen.label, seen.predicted, classes):
        place = f"category={cat_ids[one.label]}"
        found += [
            Figure(place, "rows", one.rows),
            Figure(place, "accuracy", one.accuracy),
            Figure(place, "f1", one.f1),
        ]
    return found


def split_figures(
    records: Mapping[str, Predictions],
    hierarchy: Hierarchy,
    cat_ids: list[str],
    thresholds: list[float],
    rounds: int,
) -> list[Figure]:
    """Every figure of a model on one split.

    Args:
        records: head -> record; MAIN_HEAD is what levels, confidence and categories are about.
    """
    main = records[MAIN_HEAD]
    heads = {head: seen for head, seen in records.items() if head != WITHOUT_PICTURE}
    if IMAGE_HEAD in heads:
        # It says nothing of rows without a picture.
        heads[IMAGE_HEAD] = heads[IMAGE_HEAD].where(main.pictured)
    found = [one for head, seen in heads.items() for one in head_figures(head, seen, hierarchy.classes, rounds)]
    if WITHOUT_PICTURE in records:
        found += picture_figures(main, records[WITHOUT_PICTURE], rounds)
    found += level_figures(main, hierarchy, rounds)
    found += path_figures(main, hierarchy, rounds)
    found += hierarchical_figures(main, hierarchy, rounds)
    found += confidence_figures(main, thresholds, rounds)
    return found + category_figures(main, cat_ids, hierarchy.classes)


def shot_figures(seen: Predictions, train_rows: NDArray[np.int64], rounds: int) -> list[Figure]:
    """Accuracy on categories of many (over 100), medium (20 to 100) and few (under 20) rows to learn from.

    Liu et al.: Large-scale long-tailed recognition in an open world (CVPR 2019), who call them shots.

    Args:
        train_rows: of each label [classes], as the model was learnt from them.
    """
    shots = np.append(train_rows, -1)[seen.label]
    found = []
    for name, where in (
        ("many", shots > MANY_SHOTS),
        ("medium", (shots >= FEW_SHOTS) & (shots <= MANY_SHOTS)),
        ("few", (shots >= 0) & (shots < FEW_SHOTS)),
    ):
        place = f"shots={name}"
        found.append(figure(place, "rows", int(where.sum())))
        if where.any():
            found.append(figure(place, "accuracy", bootstrap.mean(seen.correct[where], rounds)))
    return found


def picture_figures(main: Predictions, hidden: Predictions, rounds: int) -> list[Figure]:
    """The answer on rows with and without a picture, and what the picture adds where there is one.

    Args:
        hidden: answers on the same rows with every picture taken away.
    """
    seen, unseen = main.pictured, ~main.pictured
    return [
        figure("picture=with", "rows", int(seen.sum())),
        figure("picture=with", "accuracy", bootstrap.mean(main.correct[seen], rounds)),
        figure("picture=with", "accuracy_hidden", bootstrap.mean(hidden.correct[seen], rounds)),
        figure(
            "picture=with", "gain", bootstrap.paired_difference(main.correct[seen], hidden.correct[seen], rounds)
        ),
        figure("picture=without", "rows", int(unseen.sum())),
        figure("picture=without", "accuracy", bootstrap.mean(main.correct[unseen], rounds)),
    ]  # fmt: skip


def split_facts(
    seen: Predictions, hierarchy: Hierarchy, cat_ids: list[str], paths: list[list[str]], worst: int
) -> dict[str, Any]:
    """What the report draws of one split; its size does not grow with the rows."""
    right = seen.correct
    ranked = categories.per_category(seen.label, seen.predicted, hierarchy.classes)
    return {
        "rows": len(seen),
        "unknown_leaf_rows": int((seen.label < 0).sum()),
        "reliability_before": [asdict(one) for one in calibration.reliability(seen.raw_confidence, right)],
        "reliability_after": [asdict(one) for one in calibration.reliability(seen.confidence, right)],
        "coverage": [asdict(one) for one in calibration.coverage_curve(seen.confidence, right)],
        "coverage_at_95": asdict(calibration.coverage_at(seen.confidence, right, 0.95)),
        "categories_judged": len(ranked),
        "worst": [_worst(asdict(one), cat_ids, paths) for one in ranked[:worst]],
        "small_categories": asdict(categories.small_categories(seen.label, seen.predicted, hierarchy.classes)),
        "confusions": [
            {"given": paths[one.label], "said": paths[one.predicted], "rows": one.rows}
            for one in categories.confusions(seen.label, seen.predicted, worst)
        ],
    }


def headline(figures: Iterable[Figure]) -> dict[str, list[float | None]]:
    """'slice name' -> [value, low, high] of everything but single categories, for the report."""
    return {
        f"{one.slice} {one.name}": [one.value, one.low, one.high]
        for one in figures
        if not one.slice.startswith("category=")
    }


def _worst(record: dict[str, Any], cat_ids: list[str], paths: list[list[str]]) -> dict[str, Any]:
    rival = record["mistaken_for"]
    label = record["label"]
    return {
        **record,
        "cat_id": cat_ids[label],
        "path": paths[label],
        "mistaken_for": paths[rival] if rival >= 0 else None,
    }
