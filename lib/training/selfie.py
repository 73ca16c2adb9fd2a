"""SELFIE: learn from labels that look clean, mend those that the network contradicts steadily, leave the rest out.

Song, Kim, Lee: SELFIE: Refurbishing unclean samples for robust deep learning (ICML 2019). For the first
`warmup_epochs` every label is learnt from. Then, of a mini-batch of b rows and with the noise rate t,

- C, the clean: the (1 - t) * b rows of smallest loss under their given label;
- R, the refurbishable: rows whose last q predictions agree. With P(y) the share of them that are y, and k classes,
  F = -sum over y of P(y) log P(y) / log k; a row is refurbishable when F <= entropy, and its refurbished label is the
  most frequent of the predictions. A row that has once been refurbished keeps its newest such label.

  theta <- theta - alpha * grad of 1/|C u R| * (sum over R of loss(x, refurbished) + sum over C \\ R of loss(x, given))

Rows in neither are left out of the step. The predictions are those of the head `output` while training; the
refurbished label takes the given one's place for every head. A restart begins with fresh weights and an empty history,
and keeps the refurbished labels.

Here the quantile is taken of what one replica sees of a mini-batch, and rows count with their weights. And no more rows
of a mini-batch get another label than can have a wrong one, t * b of them, those of largest loss under the given label:
the others of R keep theirs, and are judged by C. The paper has no such bound. It matters where few labels are wrong: a
network contradicts more right ones than those as steadily, and mending them costs accuracy (benchmarks/noise.py).
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from lib.config.noise import NoiseSettings
from lib.errors import UserError
from lib.model.architecture import MAIN_HEAD
from lib.training.losses import cross_entropy, row_weights
from lib.training.noisy_labels import Arrays, Plain, Ranges
from lib.training.prediction_history import NONE, PredictionHistory

Tensor = Any


class Selfie(Plain):
    """The method's state on one worker: its rows' histories, the noise rate, the epoch.

    Args:
        settings: noise rate, warm-up, history and entropy.
        smoothing: of labels, as for plain training.
        classes: labels there are.
        ranges: row_ids of each worker's rows.
        worker: which of them this one is.

    Raises:
        UserError: there are more classes than a history can tell apart.
    """

    def __init__(
        self, settings: NoiseSettings, smoothing: float, classes: int, ranges: list[Ranges], worker: int
    ) -> None:  # fmt: skip
        super().__init__(smoothing)
        if classes >= NONE:
            raise UserError(
                f"train.noise.method selfie keeps labels in two bytes, too few for {classes} classes; use gce or plain"
            )
        self.settings, self.classes = settings, classes
        self.history = PredictionHistory(settings.history, ranges, worker)
        with tf.device("CPU:0"):
            self._epoch = tf.Variable(1, dtype=tf.int32, trainable=False)
            self._rate = tf.Variable(settings.rate or 0.0, dtype=tf.float32, trainable=False)
        self._known = settings.rate is not None

    def begin(self, epoch: int) -> None:
        """From then on the history has the epoch's predictions in place of the oldest."""
        self._epoch.assign(epoch)

    def wants_rate(self, epoch: int) -> bool:
        """At the end of the warm-up, where the settings do not say it."""
        return not self._known and epoch == self.settings.warmup_epochs

    def take_rate(self, rate: float) -> None:
        """Use it from now on."""
        self._rate.assign(rate)
        self._known = True

    @property
    def rate(self) -> float:
        """The noise rate."""
        return float(self._rate.numpy())

    def restart(self) -> None:
        """Forget the predictions; the refurbished labels stay."""
        self.history.forget()
        self.begin(1)

    def learnt_from(self, batch: Mapping[str, Tensor], logits: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """C and R with their labels; the others weigh nothing."""
        answers, given = tf.stop_gradient(logits[MAIN_HEAD]), batch["label"]
        slots = self.history.slots(batch["row_id"])
        taught = self._epoch > self.settings.warmup_epochs
        refurbished = self.history.refurbish(slots, taught, self.settings.entropy, self.classes)
        self.history.note(slots, self._epoch, tf.argmax(answers, axis=1, output_type=tf.int32))
        losses, counted = cross_entropy(answers, given, 0.0), row_weights(batch) > 0
        in_r = taught & (given >= 0) & (refurbished != NONE)
        mended = wrong(in_r & (refurbished != given), losses, counted, self._rate)
        kept = ~taught | mended | (in_r & (refurbished == given)) | clean(losses, counted, self._rate)
        return {
            **batch,
            "label": tf.where(mended, refurbished, given),
            "weight": tf.where(kept, batch["weight"], 0.0),
        }

    def arrays(self, strategy: Any) -> Arrays:
        """The histories, by the row_id that each range begins with."""
        return self.history.arrays(strategy)

    def facts(self) -> dict[str, Any]:
        """The rate, if it is known."""
        return {"rate": self.rate if self._known else None}

    def go_on(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Take over what is of this worker's rows."""
        self.history.take(arrays)
        if facts["rate"] is not None:
            self.take_rate(facts["rate"])


def clean(losses: Tensor, counted: Tensor, rate: Tensor) -> Tensor:
    """Which rows have the smallest losses, the share 1 - rate of those that count, rounded up. [rows] bool."""
    ranked = tf.where(counted, losses, tf.constant(float("inf")))
    place = tf.argsort(tf.argsort(ranked, stable=True), stable=True)
    wanted = tf.math.ceil((1.0 - rate) * tf.reduce_sum(tf.cast(counted, tf.float32)))
    return counted & (tf.cast(place, tf.float32) < wanted)


def wrong(contradicted: Tensor, losses: Tensor, counted: Tensor, rate: Tensor) -> Tensor:
    """Which contradicted rows have the largest losses, at most the share `rate` of all that count. [rows] bool."""
    ranked = tf.where(contradicted, -losses, tf.constant(float("inf")))
    place = tf.argsort(tf.argsort(ranked, stable=True), stable=True)
    most = tf.math.ceil(rate * tf.reduce_sum(tf.cast(counted, tf.float32)))
    return contradicted & (tf.cast(place, tf.float32) < most)
