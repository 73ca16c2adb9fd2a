"""From which confidence on a category's answers may go unseen, learnt from the validation split.

Kept as an artefact of its own under the model's month, by the content of the model and the targets: whoever scores
with that model finds it, however old the model is and whatever was evaluated since.
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib import artefact as artefacts
from lib.artefact import MANIFEST, Artefact, ArtefactWriter
from lib.config.routing import RoutingSettings
from lib.errors import UserError
from lib.evaluation.hierarchy import Hierarchy, node_path
from lib.evaluation.record import Predictions
from lib.evaluation.wilson import Z, wilson_lower
from schemas.predictions import AUTOMATIC, REVIEW

LOG = logging.getLogger(__name__)
KIND, FILE = "thresholds", "thresholds.json"
# Raised by hand when the same record would give other thresholds.
REVISION = 1
# Two ways to compute one confidence differ by less.
STEP = 1e-6
# Whose rows a threshold was learnt from, where they are not those of a node above the leaf.
LEAF, ROOT = "leaf", "all"


@dataclass(frozen=True)
class Found:
    """What some rows say of a target.

    Attributes:
        threshold: the lowest confidence from which on answers reach it, rounded down; None: none does.
        share: of the rows, at or above it.
        precision, lower: of those, and its one-sided 95 % bound.
    """

    threshold: float | None = None
    share: float = 0.0
    precision: float | None = None
    lower: float | None = None


@dataclass(frozen=True)
class Threshold:
    """One leaf's.

    Attributes:
        cat_id: the predicted leaf.
        target: precision that was asked for.
        learnt_from: whose rows: LEAF, the path of a node above it, or ROOT.
        rows: how many those are.
        found: what they say.
    """

    cat_id: str
    target: float
    learnt_from: str
    rows: int
    found: Found


def lowest_confidence(confidence: NDArray[np.float32], correct: NDArray[np.bool_], target: float) -> Found:
    """The lowest confidence from which on the answers' lower bound of precision reaches the target.

    Args:
        confidence: [rows], of the answers.
        correct: [rows], whether each is right.
    """
    if len(confidence) == 0:
        return Found()
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    right, rows = np.cumsum(correct[order]), np.arange(1, len(order) + 1)
    lower = wilson_lower(right, rows)
    # Answers of one confidence go one way.
    whole = np.append(sorted_confidence[1:] != sorted_confidence[:-1], True)
    reached = np.flatnonzero((lower >= target) & whole)
    if len(reached) == 0:
        return Found()
    last = int(reached[-1])
    threshold = min(math.floor(float(sorted_confidence[last]) / STEP) * STEP, 1.0)
    return Found(threshold, float(rows[last] / len(order)), float(right[last] / rows[last]), float(lower[last]))


def fewest_rows(settings: RoutingSettings, target: float) -> int:
    """Rows below which the parent's threshold holds: the configured number, or so few that even if all were right
    their bound would miss the target."""
    return max(settings.min_predictions, math.ceil(Z * Z * target / (1 - target)))


def thresholds_of(
    seen: Predictions, hierarchy: Hierarchy, cat_ids: Sequence[str], paths: Sequence[Sequence[str]],
    settings: RoutingSettings,
) -> list[Threshold]:  # fmt: skip
    """Thresholds of all leaves, in the order of their labels.

    Args:
        seen: the answering head's record of the validation split.
        cat_ids, paths: of each label.
    """
    _warn_of_unknown(settings, paths)
    rows_of = _Rows(seen, hierarchy)
    confidence, correct = seen.confidence, seen.correct
    above: dict[tuple[str, float], Found] = {}
    made = []
    for label, (cat_id, path) in enumerate(zip(cat_ids, paths, strict=True)):
        target = _target(settings, path)
        name, rows = rows_of.nearest(label, path, fewest_rows(settings, target))
        # Many leaves share what a node above them says.
        if name == LEAF or (name, target) not in above:
            above[name, target] = lowest_confidence(confidence[rows], correct[rows], target)
        made.append(Threshold(cat_id, target, name, len(rows), above[name, target]))
    return made


class _Rows:
    """Rows of the record by what was predicted."""

    def __init__(self, seen: Predictions, hierarchy: Hierarchy) -> None:
        predicted = seen.predicted
        self._ancestors = hierarchy.ancestors
        self._by_leaf = _grouped(predicted, hierarchy.classes)
        above = hierarchy.ancestors[predicted]
        self._by_node = [_grouped(above[:, level], len(names)) for level, names in enumerate(hierarchy.names)]
        self._all = np.arange(len(predicted))

    def nearest(self, label: int, path: Sequence[str], fewest: int) -> tuple[str, NDArray[np.int64]]:
        """Name and rows of the leaf, or of the nearest node above it that has enough; ROOT's where none has."""
        for name, rows in self._upwards(label, path):
            if len(rows) >= fewest:
                return name, rows
        return ROOT, self._all

    def _upwards(self, label: int, path: Sequence[str]) -> Iterator[tuple[str, NDArray[np.int64]]]:
        # A leaf's rows are its own even where its path is also a node with leaves below.
        yield LEAF, self._by_leaf[label]
        for level in reversed(range(len(path) - 1)):
            yield " > ".join(path[: level + 1]), self._by_node[level][self._ancestors[label, level]]


def _grouped(keys: NDArray[np.int32], count: int) -> list[NDArray[np.int64]]:
    """Rows of each key from 0 to count - 1; others are left out."""
    order = np.argsort(keys, kind="stable")
    bounds = np.searchsorted(keys[order], np.arange(count + 1))
    return [order[bounds[key] : bounds[key + 1]] for key in range(count)]


def _target(settings: RoutingSettings, path: Sequence[str]) -> float:
    """The precision asked of a leaf."""
    given = {node_path(name): target for name, target in settings.precision_by_category.items()}
    over = [node for node in given if tuple(path[: len(node)]) == node]
    return given[max(over, key=len)] if over else settings.precision


def _warn_of_unknown(settings: RoutingSettings, paths: Sequence[Sequence[str]]) -> None:
    nodes = {tuple(path[: depth + 1]) for path in paths for depth in range(len(path))}
    for name in settings.precision_by_category:
        if node_path(name) not in nodes:
            LOG.warning("routing.precision_by_category: the model has no category %s", name[:200])


def store(warehouse: str, model: Artefact, settings: RoutingSettings, made: Sequence[Threshold]) -> Artefact:
    """Keep a model's thresholds where `find` looks for them."""

    def build(writer: ArtefactWriter) -> None:
        record = [asdict(one) for one in made]
        writer.file(FILE).write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
        writer.facts = {"model": model.content, "routing": settings.model_dump(mode="json"), **facts_of(made)}

    return artefacts.make(warehouse, KIND, model.month, _key(model, settings), build)


def find(warehouse: str, model: Artefact, settings: RoutingSettings) -> Artefact | None:
    """A model's thresholds for these targets; None where it was not evaluated with them."""
    place = artefacts.folder(warehouse, KIND, model.month, _key(model, settings))
    if not (place / MANIFEST).is_file():
        return None
    found = artefacts.load(place)
    found.verify()
    return found


def read(found: Artefact, cat_ids: Sequence[str]) -> tuple[float, ...]:
    """The confidence from which on an answer of each label goes unseen; infinite where none does.

    Raises:
        UserError: they are another model's, or no thresholds.
    """
    try:
        rows = json.loads(found.path(FILE).read_text(encoding="utf-8"))
        own = [str(row["cat_id"]) for row in rows]
        values = [row["found"]["threshold"] for row in rows]
        made = tuple(math.inf if value is None else float(value) for value in values)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{found.folder} holds no thresholds ({error!r}); remove it and evaluate again") from None
    if own != list(cat_ids):
        raise UserError(f"{found.folder} holds thresholds of other categories; remove it and evaluate the model again")
    return made


def facts_of(made: Sequence[Threshold]) -> dict[str, Any]:
    """How many leaves have a threshold of their own, of a node above, or none."""
    reached = [one for one in made if one.found.threshold is not None]
    own = sum(one.learnt_from == LEAF for one in reached)
    return {"leaves": len(made), "own": own, "from_above": len(reached) - own, "unreachable": len(made) - len(reached)}


def routed(
    thresholds: Sequence[float] | None, labels: NDArray[np.int32], confidence: NDArray[np.float32]
) -> NDArray[np.str_]:
    """[rows] AUTOMATIC or REVIEW; all REVIEW without thresholds.

    Args:
        thresholds: by label.
        labels, confidence: [rows], of the answers.
    """
    if thresholds is None:
        return np.full(len(labels), REVIEW)
    return np.where(confidence >= np.array(thresholds, np.float32)[labels], AUTOMATIC, REVIEW)


def without(model: Path, month: str) -> str:
    """What to tell who scores with a model that has none."""
    return (
        f"the model in {model} has no thresholds for these targets (section routing), so all offers go to review; run "
        f"jobs/evaluate.py --month {month}, the month it was trained in"
    )


def _key(model: Artefact, settings: RoutingSettings) -> str:
    parts = [REVISION, model.content, settings.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]
