"""What a training says of each epoch, for the progress, TensorBoard, the manifest and the report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf
from numpy.typing import NDArray

from lib.model.architecture import MAIN_HEAD
from lib.training.step import MEASURED


@dataclass(frozen=True)
class Measured:
    """A model on one split.

    Attributes:
        rows: rows seen.
        loss: head -> mean cross-entropy in nats over its rows with a known label; None where there is none.
        accuracy: head -> share of the rows with its input that it labels rightly; None where there is none.
    """

    rows: int
    loss: dict[str, float | None]
    accuracy: dict[str, float | None]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows.

    Attributes:
        number: from 1.
        loss: weighted mean of the multitask loss, as trained (smoothed labels, dropout).
        accuracy: weighted share of rows that the main head labels rightly while training.
        rows, seconds: of the pass.
        input_wait: share of the seconds spent waiting for batches.
        learning_rate: after the pass.
        validation: the model on the validation split; None where it is not validated.
        refurbished, left_out: rows that got another label, and rows that were not learnt from (lib/training/selfie.py).
    """

    number: int
    loss: float
    accuracy: float
    rows: int
    seconds: float
    input_wait: float
    learning_rate: float
    validation: Measured | None
    refurbished: int = 0
    left_out: int = 0

    @property
    def rows_per_second(self) -> float:
        """Training rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def score(self) -> float | None:
        """What early stopping goes by: the main head's accuracy on validation."""
        return self.validation.accuracy[MAIN_HEAD] if self.validation else None

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self), "rows_per_second": round(self.rows_per_second, 1)}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> "Epoch":
        """From what `to_json` made."""
        given = {name: value for name, value in record.items() if name not in ("rows_per_second", "validation")}
        validation = record["validation"]
        return Epoch(**given, validation=None if validation is None else Measured(**validation))

    def sentence(self) -> str:
        """One line for the log."""
        said = (
            f"epoch {self.number}: loss {self.loss:.4f}, accuracy {self.accuracy:.4f}, "
            f"{self.rows_per_second:,.0f} rows/s, input wait {self.input_wait:.0%}"
        )
        if self.refurbished or self.left_out:
            said += f", {self.refurbished:,} labels refurbished, {self.left_out:,} rows left out"
        return said if self.score is None else f"{said}; validation accuracy {self.score:.4f}"


def measured(heads: Sequence[str], sums: NDArray[Any]) -> Measured:
    """From the summed results of measuring steps, [heads, MEASURED]."""
    columns = {head: dict(zip(MEASURED, map(float, row), strict=True)) for head, row in zip(heads, sums, strict=True)}
    return Measured(
        rows=int(columns[MAIN_HEAD]["rows"]),
        loss={head: _share(of["loss"], of["labelled"]) for head, of in columns.items()},
        accuracy={head: _share(of["correct"], of["rows"]) for head, of in columns.items()},
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


class Listener(Protocol):
    """Told how a training goes."""

    def steps(self, first: int, losses: NDArray[Any]) -> None:
        """Mean loss of each of some steps [steps], the first of them counted from 1 over the whole training."""

    def epoch(self, epoch: Epoch) -> None:
        """A finished epoch."""


class TensorBoard:
    """Writes each step's loss and each epoch's figures as TensorBoard scalars."""

    def __init__(self, folder: Path) -> None:
        self.writer = tf.summary.create_file_writer(str(folder))

    def steps(self, first: int, losses: NDArray[Any]) -> None:
        """Write."""
        with self.writer.as_default():
            for step, loss in enumerate(losses.tolist(), first):
                tf.summary.scalar("step/loss", loss, step=step)

    def epoch(self, epoch: Epoch) -> None:
        """Write and flush."""
        with self.writer.as_default(step=epoch.number):
            for name in ("loss", "accuracy", "rows_per_second", "input_wait", "learning_rate"):
                tf.summary.scalar(f"train/{name}", getattr(epoch, name))
            if epoch.validation:
                for kind in ("loss", "accuracy"):
                    for head, value in getattr(epoch.validation, kind).items():
                        if value is not None:
                            tf.summary.scalar(f"validation/{kind}/{head}", value)
        self.writer.flush()
