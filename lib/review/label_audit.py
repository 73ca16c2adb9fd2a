"""Train rows whose given label networks that have not seen them contradict, the surest first.

The window's train rows are parted into folds by name group, so that no near copy of a row is learnt from when the row
is asked about; the month's model is trained once without each fold. Doubted are the rows that a network would label
otherwise, ranked by how unlikely it finds the given label: the self-confidence of Northcutt, Jiang, Chuang: Confident
learning (JAIR 2021), as a negative logarithm, in which rows of a sure network do not tie. The margin to the best other
label ranks worse (docs/results.md): a network that wavers between two others is no surer of the given one.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from scipy.special import log_softmax

from lib.artefact import Artefact
from lib.errors import UserError
from lib.model.architecture import MAIN_HEAD
from lib.shards.build import split_files
from lib.text.split import group_key
from lib.training.feed import TRAIN, Feed, FeedOver
from lib.training.members import Work, train
from lib.training.step import AnyBatch, inputs_of

LOG = logging.getLogger(__name__)
FOLD_SALT = "catmatch-folds"
DOUBTED = pa.schema([("row_id", pa.int64()), ("given", pa.int32()), ("proposed", pa.int32()), ("score", pa.float32())])


@dataclass(frozen=True)
class FoldFeed(FeedOver):
    """Another feed without the train rows of one fold, so that batches get smaller; they have a column row_id.

    Attributes:
        folds: of each row_id of the train split its fold [train rows] uint8.
        left_out: the fold.
    """

    folds: NDArray[np.uint8]
    left_out: int

    def rows(self, split: str) -> int:
        """Those that are left."""
        return int((self.folds != self.left_out).sum()) if split == TRAIN else super().rows(split)

    def whole(self) -> Feed:
        """The other's: only train rows are left out."""
        return self.feed.whole()

    def batches(self, split: str, epoch: int, done: int = 0) -> Iterable[Mapping[str, Any]]:
        """The other's, with what is left of each train batch."""
        for batch in self.feed.batches(split, epoch, done):
            yield self._left(batch) if split == TRAIN else batch

    def _left(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        return _masked(batch, self.folds[np.asarray(batch["row_id"])] != self.left_out)


def folds(rows: DataFrame, tokens: DataFrame, total: int, count: int) -> NDArray[np.uint8]:
    """The fold of each train row [train rows]: products of one name group share one.

    Args:
        rows: row_id and product_id of the train rows, `total` of them.
        tokens: of the window's months: month, product_id, name.
    """
    newest = F.row_number().over(Window.partitionBy("product_id").orderBy(F.desc("month"), F.desc("batch")))
    names = tokens.withColumn("newest", newest).where("newest = 1").select("product_id", "name")
    joined = rows.join(names, on="product_id", how="left")
    group = F.coalesce(group_key(F.col("name")), F.col("product_id"))
    fold = F.pmod(F.xxhash64(F.lit(FOLD_SALT), group), F.lit(count)).cast("int")
    table = joined.select("row_id", fold.alias("fold")).toArrow()
    made = np.zeros(total, np.uint8)
    made[table.column("row_id").to_numpy()] = table.column("fold").to_numpy()
    return made


def rows(spark: SparkSession, shards: Artefact) -> DataFrame:
    """row_id, product_id and label of the train rows."""
    return spark.read.parquet(*split_files(shards, TRAIN)).select("row_id", "product_id", "label")


def audit(work: Work, folds: NDArray[np.uint8], place: Path) -> dict[str, int]:
    """Train once without each fold and write the rows of it that the network would label otherwise, as DOUBTED.

    Returns:
        How many were 'doubted', and how many could not be judged: all rows of their category lie in one fold, so that
        no network that was trained without them knows it.

    Raises:
        UserError: all rows lie in one fold.
    """
    elsewhere = _elsewhere(work, folds)
    counts = {"doubted": 0, "not_judged": 0}
    with pq.ParquetWriter(place, DOUBTED) as writer:
        for row_ids, labels, logits in unseen_answers(work, folds):
            judged = elsewhere[folds[row_ids], labels]
            counts["not_judged"] += int((~judged).sum())
            table = _doubted(row_ids[judged], labels[judged], logits[judged])
            counts["doubted"] += table.num_rows
            writer.write_table(table)
    return counts


def _elsewhere(work: Work, folds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a label has train rows outside a fold [folds, classes]."""
    if len(np.unique(folds)) < 2:
        raise UserError(
            "all train rows of the month have names of one group, and label_audit.folds needs two at least; there is "
            "nothing to compare them with"
        )
    rows = np.zeros((int(folds.max()) + 1, work.architecture.classes), np.int64)
    for batch in work.feed(work.settings.seed).batches(TRAIN, 0):
        np.add.at(rows, (folds[np.asarray(batch["row_id"])], np.asarray(batch["label"])), 1)
    found: NDArray[np.bool_] = rows.sum(axis=0) > rows
    return found


def unseen_answers(work: Work, folds: NDArray[np.uint8]) -> Iterator[tuple[Any, Any, Any]]:
    """row_ids, given labels and logits of all train rows, in batches, of networks that were trained without them."""
    for fold in np.unique(folds).tolist():
        LOG.info("training without fold %d of %d", fold + 1, int(folds.max()) + 1)
        trained = train(replace(work, feed=partial(_without, work, folds, fold)))
        yield from _asked(trained.model, work.feed(work.settings.seed), folds, fold)


def doubts(logits: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What the network would label each row [rows], and how unlikely it finds the given label, in nats [rows].

    Args:
        logits: [rows, classes].
        labels: [rows] int, none negative.
    """
    likelihood = log_softmax(logits.astype(np.float32), axis=1)
    return logits.argmax(axis=1).astype(np.int32), -likelihood[np.arange(len(labels)), labels]


def _without(work: Work, folds: NDArray[np.uint8], fold: int, seed: int) -> FoldFeed:
    return FoldFeed(work.feed(seed), folds, fold)


def _asked(model: Any, feed: Feed, folds: NDArray[np.uint8], fold: int) -> Iterator[tuple[Any, Any, Any]]:
    """row_ids, given labels and logits of the fold's rows, batch by batch."""
    answer = AnyBatch(lambda batch: model(inputs_of(batch), training=False)[MAIN_HEAD])
    for batch in feed.batches(TRAIN, 0):
        asked = _masked(batch, folds[np.asarray(batch["row_id"])] == fold)
        yield np.asarray(asked["row_id"]), np.asarray(asked["label"]), answer(asked).numpy()


def _doubted(row_ids: NDArray[Any], labels: NDArray[Any], logits: NDArray[Any]) -> pa.Table:
    proposed, score = doubts(logits, labels)
    chosen = proposed != labels
    return pa.table([column[chosen] for column in (row_ids, labels, proposed, score)], schema=DOUBTED)


def _masked(batch: Mapping[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {name: tf.boolean_mask(values, mask) for name, values in batch.items()}
