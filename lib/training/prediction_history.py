"""What the network has said of each row in the last epochs, and the label it got since: two bytes a value.

A worker keeps its own files' rows. In a checkpoint the rows of all workers lie by row_id, so that another number of
workers can deal them anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.training import agreement
from lib.training.noisy_labels import Ranges

Tensor = Any
# In place of a refurbished label: there is none.
NONE = 65_535
# Names of a checkpoint's arrays begin so; the row_id of the first row follows.
PREFIX = "history/"


class PredictionHistory:
    """The rows of one worker.

    Args:
        length: predictions kept of a row, one an epoch.
        ranges: of each worker, first row_id and number of rows of each of its files.
        worker: which of them this one is.
    """

    def __init__(self, length: int, ranges: Sequence[Ranges], worker: int) -> None:
        self.length, self.ranges, self.own = length, ranges, sorted(ranges[worker])
        counts = [count for _, count in self.own]
        self._first = tf.constant([first for first, _ in self.own], tf.int64)
        self._offset = tf.constant(np.concatenate([[0], np.cumsum(counts)[:-1]]), tf.int64)
        # Beside the tables of a GPU it would take room there for nothing.
        with tf.device("CPU:0"):
            self._predictions = tf.Variable(tf.zeros([sum(counts), length], tf.uint16), trainable=False)
            self._refurbished = tf.Variable(tf.fill([sum(counts)], tf.constant(NONE, tf.uint16)), trainable=False)

    def slots(self, row_ids: Tensor) -> Tensor:
        """Where this worker keeps them. [rows] int64."""
        place = tf.searchsorted(self._first, row_ids, side="right") - 1
        return row_ids - tf.gather(self._first, place) + tf.gather(self._offset, place)

    def note(self, slots: Tensor, epoch: Tensor, predictions: Tensor) -> None:
        """Keep the epoch's predictions [rows] in place of the oldest."""
        column = tf.fill(tf.shape(slots), tf.cast((epoch - 1) % self.length, tf.int64))
        with tf.device("CPU:0"):
            self._predictions.scatter_nd_update(tf.stack([slots, column], axis=1), tf.cast(predictions, tf.uint16))

    def refurbish(self, slots: Tensor, taught: Tensor, entropy: float, classes: int) -> Tensor:
        """The refurbished labels of the rows [rows] int32, NONE where there is none; new ones only when `taught`."""
        with tf.device("CPU:0"):
            kept = tf.cast(tf.gather(self._refurbished, slots), tf.int32)
            predictions = tf.cast(tf.gather(self._predictions, slots), tf.int32)
            frequent, found = most_frequent(predictions, classes)
            labels = tf.where(taught & (found <= entropy), frequent, kept)
            self._refurbished.scatter_nd_update(slots[:, None], tf.cast(labels, tf.uint16))
        return labels

    def forget(self) -> None:
        """Empty the predictions."""
        self._predictions.assign(tf.zeros_like(self._predictions))

    def arrays(self, strategy: Any) -> dict[str, NDArray[np.uint16]]:
        """All workers' rows: PREFIX and first row_id -> [rows, length + 1], the last column the refurbished label.

        Every worker must call it at the same place.
        """
        own = np.concatenate([self._predictions.numpy(), self._refurbished.numpy()[:, None]], axis=1)
        every = own if len(self.ranges) == 1 else _of_all(strategy, own)
        dealt = [one for ranges in self.ranges for one in sorted(ranges)]
        ends = np.cumsum([count for _, count in dealt])
        return {f"{PREFIX}{first}": every[end - count : end] for (first, count), end in zip(dealt, ends, strict=True)}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Find this worker's rows in what `arrays` gave, of however many workers."""
        stored = sorted((int(name.removeprefix(PREFIX)), name) for name in arrays if name.startswith(PREFIX))
        starts = np.array([first for first, _ in stored])
        found = []
        for first, count in self.own:
            left, at = count, first
            while left:
                begin, name = stored[int(np.searchsorted(starts, at, side="right")) - 1]
                part = arrays[name][at - begin : at - begin + left]
                found.append(part)
                left, at = left - len(part), at + len(part)
        values = np.concatenate(found)
        self._predictions.assign(values[:, :-1])
        self._refurbished.assign(values[:, -1])


def refurbished_rows(arrays: Mapping[str, NDArray[np.uint16]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """row_id and label of all rows that have been refurbished, from what `PredictionHistory.arrays` gave."""
    ids, labels = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for name, values in arrays.items():
        rows = np.flatnonzero(values[:, -1] != NONE)
        ids.append(int(name.removeprefix(PREFIX)) + rows)
        labels.append(values[rows, -1].astype(np.int32))
    return np.concatenate(ids), np.concatenate(labels)


def most_frequent(predictions: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The most frequent of each row's predictions [rows], and their entropy as a share of the largest [rows].

    Args:
        predictions: [rows, length] int32.
        classes: labels there are.
    """
    alike = tf.cast(tf.equal(predictions[:, :, None], predictions[:, None, :]), tf.float32)
    # Of each prediction, the share that are the same: the mean of its logarithm is the sum over labels of P log P.
    shares = tf.reduce_mean(alike, axis=2)
    entropy = -tf.reduce_mean(tf.math.log(shares), axis=1) / tf.math.log(tf.constant(max(classes, 2), tf.float32))
    return tf.gather(predictions, tf.argmax(shares, axis=1), batch_dims=1), entropy


def _of_all(strategy: Any, own: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """The workers' rows one after another [rows of all, width]."""
    width = own.shape[1]
    # Two values travel as one int32, which is what collectives can carry.
    even = np.pad(own, ((0, 0), (0, width % 2))).view(np.int32)
    return agreement.joined(strategy, even).view(np.uint16)[:, :width]
