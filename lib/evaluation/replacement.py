"""Labels of two months are compared after categories that were replaced in between are followed to what took
their place."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lib.evaluation.record import Predictions

# A chain of replacements is as long as the months it took; a longer one is a circle.
MAX_STEPS = 100


def successor(cat_id: str, replaced_by: Mapping[str, str]) -> str:
    """The living leaf at the end of a chain of replacements; a circle ends where it is entered."""
    seen = {cat_id}
    for _ in range(MAX_STEPS):
        following = replaced_by.get(cat_id)
        if following is None or following in seen:
            return cat_id
        seen.add(following)
        cat_id = following
    return cat_id


def followed(rows: DataFrame, column: str, replaced_by: Mapping[str, str]) -> DataFrame:
    """The rows with the column's categories followed to what took their place."""
    if not replaced_by:
        return rows
    moved = [(cat_id, successor(cat_id, replaced_by)) for cat_id in sorted(replaced_by)]
    known = rows.sparkSession.createDataFrame(moved, f"{column} string, now string")
    joined = rows.join(F.broadcast(known), on=column, how="left")
    return joined.withColumn(column, F.coalesce("now", column)).drop("now")


def merged_labels(cat_ids: Sequence[str], replaced_by: Mapping[str, str]) -> tuple[dict[str, int], NDArray[np.int32]]:
    """The label map seen from a later month.

    Args:
        cat_ids: the older label map, in label order.
        replaced_by: the later month's replacements.

    Returns:
        living cat_id -> label, and for each old label the label that now stands for it (two leaves that became one
        share the smaller).
    """
    living = [successor(cat_id, replaced_by) for cat_id in cat_ids]
    labels: dict[str, int] = {}
    for label, cat_id in enumerate(living):
        labels.setdefault(cat_id, label)
    return labels, np.array([labels[cat_id] for cat_id in living], np.int32)


def merged(seen: Predictions, stands_for: NDArray[np.int32]) -> Predictions:
    """The same answers with every said label replaced by the one that stands for it."""
    if len(stands_for) == 0 or (stands_for == np.arange(len(stands_for))).all():
        return seen
    top = np.where(seen.top >= 0, stands_for[np.maximum(seen.top, 0)], -1).astype(np.int32)
    return replace(seen, top=top, joint=stands_for[seen.joint])
