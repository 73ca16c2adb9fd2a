"""The test names of a month that evaluation holds in memory: for examples, the peer, last month's model, the truth.

Bounded by evaluate.sample_rows; which rows are taken is a function of their product ids alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

Texts = NDArray[np.object_]


@dataclass(frozen=True)
class Sample:
    """Test rows of one month, columns of equal length.

    Attributes:
        product_ids: which products.
        names: normalised names.
        name_tokens, category_tokens, brand_fields: as `tokens` has them.
        cat_ids: given labels.
        true_cat_ids: what the market made each offer from; None outside the embedded market.
        rows_of: how many test rows the month has.
        pictures: of each row, as the model takes it, null where it has none; None for a model of texts.
    """

    product_ids: Texts
    names: Texts
    name_tokens: pa.ListArray
    category_tokens: pa.ListArray
    brand_fields: pa.StructArray
    cat_ids: Texts
    true_cat_ids: Texts | None
    rows_of: int
    pictures: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Names:
    """Normalised names with their given labels, for the peer to learn from."""

    names: Texts
    cat_ids: Texts


def draw(tokens: DataFrame, truth: DataFrame | None, rows: int) -> Sample:
    """At most `rows` labelled test rows of a month.

    Args:
        tokens: the month's `tokens`, with a column `picture` for a model that sees pictures.
        truth: the month's `truth`, where the embedded market wrote one.
    """
    test = tokens.where((F.col("split") == "test") & F.col("cat_id").isNotNull())
    if truth is None:
        test = test.withColumn("true_cat_id", F.lit(None).cast("string"))
    else:
        true = truth.select("product_id", F.col("cat_id").alias("true_cat_id"))
        test = test.join(true, on="product_id", how="left")
    pictures = [name for name in test.columns if name == "picture"]
    lists = ["name_tokens", "category_tokens", "brand_fields", *pictures]
    taken = _first(test.select("product_id", "name", "cat_id", "true_cat_id", *lists), rows).toArrow()
    columns = {
        name: column.combine_chunks() if name in lists else column.to_pandas().to_numpy()
        for name, column in zip(taken.column_names, taken.columns, strict=True)
    }
    known = truth is not None and len(taken) > 0 and taken.column("true_cat_id").null_count == 0
    return Sample(
        columns["product_id"],
        columns["name"],
        columns["name_tokens"],
        columns["category_tokens"],
        columns["brand_fields"],
        columns["cat_id"],
        columns["true_cat_id"] if known else None,
        test.count() if len(taken) == rows else len(taken),
        columns["picture"] if pictures else None,
    )


def learnable(tokens: DataFrame, rows: int) -> Names:
    """At most `rows` labelled names of the train and validation sides."""
    wanted = tokens.where(F.col("split").isin("train", "validation") & F.col("cat_id").isNotNull())
    taken = _first(wanted.select("product_id", "name", "cat_id"), rows).toPandas()
    return Names(taken["name"].to_numpy(), taken["cat_id"].to_numpy())


def labels_of(cat_ids: Sequence[str] | Texts, known: Mapping[str, int]) -> NDArray[np.int32]:
    """Dense labels [rows] of leaves; -1 for a leaf that is not in the label map."""
    return np.array([known.get(cat_id, -1) for cat_id in cat_ids], np.int32)


def _first(frame: DataFrame, rows: int) -> DataFrame:
    """The rows with the smallest hashes of their product ids: as good as random, and the same every time."""
    return frame.orderBy(F.xxhash64("product_id"), "product_id").limit(rows)
