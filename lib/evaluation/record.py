"""What is kept of each evaluated row: enough for every figure, far less than one probability per class.

With 4,800 classes a row of probabilities is 19 kB; this record is about 90 bytes a row, filled batch by
batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.evaluation.hierarchy import LEVELS, Hierarchy

TOP = 5
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Predictions:
    """One head's answers on N rows.

    Attributes:
        label: int32 [N], the given label; -1 where its leaf is not in the label map (always an error).
        level_labels: int32 [N, LEVELS], the given nodes; -1 where a level is absent.
        top: int32 [N, TOP], most probable labels, best first; -1 where there are fewer classes.
        top_probability: float32 [N, TOP], their probabilities with the temperature applied.
        raw_confidence: float32 [N], largest probability without the temperature.
        entropy: float32 [N], nats, with the temperature.
        levels: int32 [N, LEVELS], most probable node of each level taken alone.
        consistent: bool [N], whether `levels` is an existing path.
        joint: int32 [N], label of the best existing path (Hierarchy.decode).
        pictured: bool [N], whether the model saw a picture.
    """

    label: Ints
    level_labels: Ints
    top: Ints
    top_probability: Floats
    raw_confidence: Floats
    entropy: Floats
    levels: Ints
    consistent: NDArray[np.bool_]
    joint: Ints
    pictured: NDArray[np.bool_]

    @property
    def predicted(self) -> Ints:
        """int32 [N], the most probable label."""
        return self.top[:, 0]

    @property
    def confidence(self) -> Floats:
        """float32 [N], its probability with the temperature applied."""
        return self.top_probability[:, 0]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """bool [N], whether the most probable label is the given one."""
        return np.equal(self.predicted, self.label)

    def __len__(self) -> int:
        return len(self.label)

    def where(self, chosen: NDArray[np.bool_]) -> "Predictions":
        """The rows that are chosen, bool [N]."""
        return Predictions(**{field.name: getattr(self, field.name)[chosen] for field in fields(Predictions)})


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities [rows, classes] of logits divided by the temperature (Guo et al. 2017)."""
    scaled: Floats = logits.astype(np.float32) / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def entropy_of(probabilities: Floats) -> Floats:
    """Entropy [rows] in nats of probabilities [rows, classes]."""
    logarithm = np.log(np.maximum(probabilities, np.float32(1e-30)))
    entropy: Floats = -np.einsum("ij,ij->i", probabilities, logarithm).astype(np.float32)
    return entropy


def top_labels(probabilities: Floats, count: int = TOP) -> tuple[Ints, Floats]:
    """The `count` most probable labels and their probabilities, best first; -1 and 0 where classes run out.

    Ties go to the smaller label, so that a result never depends on the batch.
    """
    rows, classes = probabilities.shape
    kept = min(count, classes)
    candidates = np.argpartition(-probabilities, kept - 1, axis=1)[:, :kept] if kept < classes else _all(rows, classes)
    values = np.take_along_axis(probabilities, candidates, axis=1)
    order = np.lexsort((candidates, -values), axis=1)
    labels = np.full((rows, count), -1, np.int32)
    best = np.zeros((rows, count), np.float32)
    labels[:, :kept] = np.take_along_axis(candidates, order, axis=1)
    best[:, :kept] = np.take_along_axis(values, order, axis=1)
    return labels, best


def _all(rows: int, classes: int) -> NDArray[np.int64]:
    return np.broadcast_to(np.arange(classes), (rows, classes))


class Recorder:
    """Collects one head's record batch by batch."""

    def __init__(self, hierarchy: Hierarchy, temperature: float = 1.0) -> None:
        self._hierarchy = hierarchy
        self._temperature = temperature
        self._parts: list[Predictions] = []

    def add(
        self, logits: Floats, label: Ints, level_labels: Ints | None = None, pictured: NDArray[np.bool_] | None = None
    ) -> None:
        """Take one batch.

        Args:
            logits: float32 [rows, classes].
            label: int [rows], -1 for a leaf that is not in the label map.
            level_labels: int [rows, LEVELS]; by default the ancestors of `label`.
            pictured: bool [rows]; by default none is.
        """
        label = np.asarray(label, np.int32)
        probabilities = softmax(logits, self._temperature)
        decoded = self._hierarchy.decode(probabilities)
        top, best = top_labels(probabilities)
        self._parts.append(
            Predictions(
                label=label,
                level_labels=self._levels(label) if level_labels is None else np.asarray(level_labels, np.int32),
                top=top,
                top_probability=best,
                raw_confidence=softmax(logits).max(axis=1),
                entropy=entropy_of(probabilities),
                levels=decoded.levels,
                consistent=decoded.consistent,
                joint=decoded.joint,
                pictured=np.zeros(len(label), np.bool_) if pictured is None else pictured,
            )
        )

    def finish(self) -> Predictions:
        """All batches as one record."""
        return join(self._parts)

    def _levels(self, label: Ints) -> Ints:
        return levels_of(self._hierarchy, label)


def levels_of(hierarchy: Hierarchy, label: Ints) -> Ints:
    """Nodes [N, LEVELS] above labels [N]; all -1 above an unknown label."""
    known = hierarchy.ancestors[np.maximum(label, 0)] if hierarchy.classes else np.full((len(label), LEVELS), -1)
    return np.where((label >= 0)[:, None], known, -1).astype(np.int32)


def join(parts: Sequence[Predictions]) -> Predictions:
    """Records one after the other; an empty list gives an empty record."""
    parts = parts or [_empty()]
    return Predictions(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Predictions)})


def record(
    batches: Iterable[tuple[dict[str, Floats], Ints, Ints | None, NDArray[np.bool_] | None]],
    hierarchy: Hierarchy,
    temperatures: dict[str, float],
) -> dict[str, Predictions]:
    """Fill one record per head from (logits by head, labels, level labels, pictured) batches."""
    recorders = {head: Recorder(hierarchy, temperature) for head, temperature in temperatures.items()}
    for logits, label, level_labels, pictured in batches:
        for head, recorder in recorders.items():
            recorder.add(logits[head], label, level_labels, pictured)
    return {head: recorder.finish() for head, recorder in recorders.items()}


def _empty() -> Predictions:
    kinds: dict[str, Any] = {
        "label": np.zeros(0, np.int32),
        "level_labels": np.zeros((0, LEVELS), np.int32),
        "top": np.zeros((0, TOP), np.int32),
        "top_probability": np.zeros((0, TOP), np.float32),
        "raw_confidence": np.zeros(0, np.float32),
        "entropy": np.zeros(0, np.float32),
        "levels": np.zeros((0, LEVELS), np.int32),
        "consistent": np.zeros(0, np.bool_),
        "joint": np.zeros(0, np.int32),
        "pictured": np.zeros(0, np.bool_),
    }
    return Predictions(**kinds)
