"""The train split's distribution over leaves, made flatter (R10): large leaves sampled down, small ones weighted.

Validation and test are never touched: they keep the natural distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lib.categories.taxonomy import Leaf, living
from lib.config import CategoriesSettings

# Never change it: another salt would draw other products into every month's train rows.
SAMPLE_SALT = "catmatch-sample"
# A double holds 52 bits exactly, so a share of 1 keeps every product.
SAMPLE_STEPS = 1 << 52
UNLABELLED = "unlabelled"
UNKNOWN = "unknown_category"
SAMPLED_OUT = "sampled_out"
EXCLUDED = "excluded_by_fix"
KEPT = "kept"
TOP = 10
SCHEMA = pa.schema(
    [
        pa.field("cat_id", pa.string(), False),
        pa.field("before", pa.int64(), False),
        pa.field("after", pa.int64(), False),
        pa.field("keep", pa.float64(), False),
        pa.field("weight", pa.float32(), False),
    ]
)


@dataclass(frozen=True)
class Distribution:
    """The window's train rows by leaf.

    Attributes:
        table: SCHEMA, one row per living leaf in cat_id order.
        exits: where the train rows went: kept, sampled_out, excluded_by_fix, unlabelled, unknown_category.
    """

    table: pa.Table
    exits: dict[str, int]


def with_leaf(rows: DataFrame, stands_for: Mapping[str, str]) -> DataFrame:
    """Adds `leaf`, the living leaf of the row's cat_id; null where the label is null or not in the taxonomy."""
    known = rows.sparkSession.createDataFrame(sorted(stands_for.items()), "cat_id string, leaf string")
    return rows.join(F.broadcast(known), on="cat_id", how="left")


def label_exit() -> Column:
    """Why a row has no leaf: 'excluded_by_fix', 'unlabelled' or 'unknown_category'; null where it has one.

    Needs cat_id, fix and leaf.
    """
    excluded = F.col("cat_id").isNull() & F.col("fix").isNotNull()
    return F.when(excluded, EXCLUDED).when(F.col("cat_id").isNull(), UNLABELLED).when(F.col("leaf").isNull(), UNKNOWN)


def is_kept(keep: Column) -> Column:
    """Whether the product is among the share `keep` of its leaf: by its id alone, so the same in every month."""
    place = F.pmod(F.xxhash64(F.col("product_id"), F.lit(SAMPLE_SALT)), F.lit(SAMPLE_STEPS))
    return place / F.lit(float(SAMPLE_STEPS)) < keep


def normalise(tokens: DataFrame, leaves: list[Leaf], settings: CategoriesSettings) -> Distribution:
    """Counts of the window's train rows, the share of each leaf to keep, and the weight of what is kept.

    Args:
        tokens: product_id, split, cat_id, fix.
        leaves: the month's, merged ones replaced.
    """
    stands_for = living(leaves)
    train = with_leaf(tokens.where("split = 'train'").select("product_id", "cat_id", "fix"), stands_for)
    before, exits = _count(train)
    names = sorted(set(stands_for.values()))
    delivered = np.array([before.get(name, 0) for name in names], dtype=np.int64)
    thinned = long_tail(delivered, settings.long_tail)
    counts = _after(train, names, delivered, thinned)
    # Rows are kept by one number each, so of those that the tail has left the cap keeps a part.
    keep = thinned * np.minimum(1.0, settings.cap / np.maximum(counts, 1))
    after = _after(train, names, delivered, keep)
    exits = {KEPT: int(after.sum()), SAMPLED_OUT: int((delivered - after).sum()), **exits}
    columns = [
        pa.array(names),
        pa.array(counts),
        pa.array(after),
        pa.array(keep),
        pa.array(weights(after, settings)),
    ]
    return Distribution(pa.table(columns, schema=SCHEMA), exits)


def long_tail(counts: npt.NDArray[np.int64], exponent: float) -> npt.NDArray[np.float64]:
    """Share of each leaf's rows [leaves] that a Zipf distribution of this exponent leaves; all of them at 0."""
    if not exponent:
        return np.ones(len(counts))
    rank = np.empty(len(counts))
    rank[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
    wanted = counts.max(initial=0) * rank**-exponent
    found: npt.NDArray[np.float64] = np.minimum(1.0, wanted / np.maximum(counts, 1))
    return found


def weights(after: npt.NDArray[np.int64], settings: CategoriesSettings) -> npt.NDArray[np.float32]:
    """Weight of a row by its leaf's kept rows [leaves]: (median / rows) ** power, from 1 up to weight_max."""
    filled = after[after > 0]
    target = float(np.median(filled)) if filled.size else 1.0
    raised = np.power(target / np.maximum(after, 1), settings.weight_power)
    return np.where(after > 0, np.clip(raised, 1.0, settings.weight_max), 1.0).astype(np.float32)


def summary(table: pa.Table) -> dict[str, Any]:
    """A few figures for the manifest; the whole table is in the artefact."""
    before = table.column("before").to_numpy()
    after = table.column("after").to_numpy()
    weight = table.column("weight").to_numpy()
    largest = np.argsort(-before, kind="stable")[:TOP]
    names = table.column("cat_id").to_pylist()
    return {
        "leaves": len(names),
        "leaves_without_rows": int((before == 0).sum()),
        "before": _spread(before[before > 0]),
        "after": _spread(after[before > 0]),
        "capped": int((after < before).sum()),
        "weighted": int((weight > 1).sum()),
        "top": [{"cat_id": names[i], "before": int(before[i]), "after": int(after[i])} for i in largest if before[i]],
    }


def _count(train: DataFrame) -> tuple[dict[str, int], dict[str, int]]:
    """Rows by leaf, and rows that have none by reason."""
    rows = train.groupBy("leaf", label_exit().alias("exit")).count().collect()
    before = {row["leaf"]: int(row["count"]) for row in rows if row["exit"] is None}
    without = {row["exit"]: int(row["count"]) for row in rows if row["exit"] is not None}
    return before, {reason: without.get(reason, 0) for reason in (EXCLUDED, UNLABELLED, UNKNOWN)}


def _after(
    train: DataFrame, names: list[str], counts: npt.NDArray[np.int64], keep: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Rows kept by leaf; another pass over the data only where a leaf is above the cap."""
    shares = {name: float(share) for name, share in zip(names, keep, strict=True) if share < 1}
    if not shares:
        return counts
    drawn = train.sparkSession.createDataFrame(sorted(shares.items()), "leaf string, keep double")
    kept = train.join(F.broadcast(drawn), on="leaf", how="inner").where(is_kept(F.col("keep"))).groupBy("leaf").count()
    found = {row["leaf"]: int(row["count"]) for row in kept.collect()}
    return np.array([found.get(n, 0) if n in shares else c for n, c in zip(names, counts, strict=True)], dtype=np.int64)


def _spread(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    if not counts.size:
        return {"rows": 0}
    points = {"min": 0, "p25": 25, "median": 50, "p75": 75, "p95": 95, "max": 100}
    return {
        "rows": int(counts.sum()),
        **{name: int(np.percentile(counts, at)) for name, at in points.items()},
    }
