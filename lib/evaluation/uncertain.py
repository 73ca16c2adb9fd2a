"""The categories that the model is least sure of, told apart by what their held-out rows show (R13).

Only validation and test rows: of rows that it learnt from, a network is sure whatever they are. Listed are the
categories of the highest mean entropy of the answer (nats, with the temperature), and those with the most rows that
are answered otherwise: offers filed by mistake are contradicted surely, so their entropy is low. Each is one of

    twins      one other category has most of its mistaken rows, and both have rows answered with the other
    polluted   most of its mistaken rows are answered surely, more than is usual, and few come back the same way
    broad      its rows are answered with many categories, none of which has most of the mistaken ones
    uncertain  none of these: names that say too little, or too few rows to learn from

A share counts by the lower end of its interval (lib/evaluation/wilson.py), so that a few rows decide nothing. The
number of answers is exp of the entropy of the answers' own distribution, which as many equally frequent ones would have
(Hill 1973); few rows make it too small on average, so a category is not called broad for want of rows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lib.config.uncertain import UncertainSettings
from lib.evaluation.bootstrap import Interval
from lib.evaluation.record import Predictions
from lib.evaluation.wilson import wilson_lower

Kind = Literal["twins", "polluted", "broad", "uncertain"]
# 'Most': what one rival of several may have and still be one of several.
MOST = 0.5
# Rivals that are named.
RIVALS = 3
# Two-sided 95 % of a normal distribution, which the mean of min_rows entropies nearly has.
NORMAL = 1.96


@dataclass(frozen=True)
class Answers:
    """What is kept of each held-out row: label and predicted int32 [N] (label -1: unknown), confidence and entropy
    float32 [N]."""

    label: NDArray[np.int32]
    predicted: NDArray[np.int32]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32]

    @classmethod
    def of(cls, seen: Predictions) -> "Answers":
        """Of one split; copies, so that the rest of the record can go."""
        return cls(seen.label, seen.predicted.copy(), seen.confidence.copy(), seen.entropy)

    @classmethod
    def joined(cls, parts: Sequence["Answers"]) -> "Answers":
        """Those of several splits, at least one, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class Rival:
    """Another category that rows are answered with.

    Attributes:
        rows: of the category, answered with the rival.
        back: of the rival, answered with the category.
        of: rows of the rival.
    """

    label: int
    rows: int
    back: int
    of: int


@dataclass(frozen=True)
class UncertainCategory:
    """One category, by its held-out rows.

    Attributes:
        rows, mistaken: all of them, and those answered with others.
        entropy: mean over the rows, with its 95 % interval.
        answers: number of answers, as the module says.
        sure: rows surely answered with others.
        sure_back: rows of those others surely answered with this one.
        rivals: the most frequent other answers.
        kind: which of the four it is.
    """

    label: int
    rows: int
    mistaken: int
    entropy: Interval
    answers: float
    sure: int
    sure_back: int
    rivals: tuple[Rival, ...]
    kind: Kind


@dataclass(frozen=True)
class Uncertain:
    """What came of it.

    Attributes:
        listed: the highest mean entropy first.
        judged, few: categories with enough rows, and with fewer.
        sure_from, sure_share: the confidence that counts as sure, and the share of all rows that are so answered with
            another category than theirs.
    """

    listed: list[UncertainCategory]
    judged: int
    few: int
    sure_from: float
    sure_share: float


def uncertain(answers: Answers, classes: int, settings: UncertainSettings) -> Uncertain:
    """The least sure categories.

    Args:
        classes: number of labels.
    """
    flows = _Flows(answers, classes, settings.sure)
    enough = np.flatnonzero(flows.rows >= settings.min_rows)
    means, halves = _mean_entropy(answers, flows.rows)
    mistaken = flows.mistaken / np.maximum(flows.rows, 1)
    listed = {int(label) for score in (means, mistaken) for label in _highest(score, enough, settings.top)}
    usual = float(flows.sure.sum() / max(flows.rows.sum(), 1))
    found = []
    for label in sorted(listed, key=lambda one: (-means[one], one)):
        mean, half = float(means[label]), float(halves[label])
        found.append(_category(label, Interval(mean, max(0.0, mean - half), mean + half), flows, usual, settings))
    few = (flows.rows > 0) & (flows.rows < settings.min_rows)
    return Uncertain(found, len(enough), int(few.sum()), settings.sure, usual)


def facts(found: Uncertain, cat_ids: Sequence[str], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
    """As JSON for manifest and report; its size does not grow with the rows."""
    return {
        "judged": found.judged,
        "few": found.few,
        "sure_from": found.sure_from,
        "sure_share": found.sure_share,
        "categories": [
            {
                "cat_id": cat_ids[one.label],
                "path": list(paths[one.label]),
                "kind": one.kind,
                "rows": one.rows,
                "mistaken": one.mistaken,
                "entropy": [one.entropy.value, one.entropy.low, one.entropy.high],
                "answers": one.answers,
                "sure": one.sure,
                "rivals": [{"cat_id": cat_ids[r.label], "path": list(paths[r.label]), **asdict(r)} for r in one.rivals],
            }
            for one in found.listed
        ],
    }


class _Flows:
    """How many rows of each category are answered with each: sparse int [classes, classes], given by said."""

    def __init__(self, answers: Answers, classes: int, sure: float) -> None:
        known = answers.label >= 0
        wrong = known & (answers.label != answers.predicted)
        self.rows: NDArray[np.int64] = np.bincount(answers.label[known], minlength=classes)
        self.all = _counted(answers, known, classes)
        self.wrong = _counted(answers, wrong, classes)
        self.surely_wrong = _counted(answers, wrong & (answers.confidence >= np.float32(sure)), classes)
        self.wrong_back, self.surely_wrong_back = self.wrong.T.tocsr(), self.surely_wrong.T.tocsr()
        self.mistaken = np.asarray(self.wrong.sum(axis=1)).ravel()
        self.sure = np.asarray(self.surely_wrong.sum(axis=1)).ravel()


def _mean_entropy(answers: Answers, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean entropy of each category's rows and half of its 95 % interval [classes]; 0 where it has none."""
    known = answers.label >= 0
    label, entropy = answers.label[known], answers.entropy[known].astype(np.float64)
    counted = np.maximum(rows, 1)
    mean = np.bincount(label, entropy, minlength=len(rows)) / counted
    spread = np.bincount(label, (entropy - mean[label]) ** 2, minlength=len(rows)) / np.maximum(rows - 1, 1)
    return mean, NORMAL * np.sqrt(spread / counted)


def _highest(score: NDArray[np.float64], labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The labels of the highest score, at most so many, none of score 0; of equals the smaller label."""
    some = labels[score[labels] > 0]
    highest: NDArray[np.int64] = some[np.argsort(-score[some], kind="stable")[:count]]
    return highest


def _counted(answers: Answers, chosen: NDArray[np.bool_], classes: int) -> Any:
    pairs = (answers.label[chosen], answers.predicted[chosen])
    return sparse.csr_array((np.ones(len(pairs[0]), np.int64), pairs), shape=(classes, classes))


def _row(flows: Any, label: int) -> dict[int, int]:
    """said label -> rows, of one given label."""
    start, end = flows.indptr[label], flows.indptr[label + 1]
    return dict(zip(flows.indices[start:end].tolist(), flows.data[start:end].tolist(), strict=True))


def _category(
    label: int, entropy: Interval, flows: _Flows, usual: float, settings: UncertainSettings
) -> UncertainCategory:
    out, back = _row(flows.wrong, label), _row(flows.wrong_back, label)
    surely_out, surely_back = _row(flows.surely_wrong, label), _row(flows.surely_wrong_back, label)
    ranked = sorted(out, key=lambda other: (-out[other], other))[:RIVALS]
    found = UncertainCategory(
        label=label,
        rows=int(flows.rows[label]),
        mistaken=sum(out.values()),
        entropy=entropy,
        answers=_number_of_answers(list(_row(flows.all, label).values())),
        sure=sum(surely_out.values()),
        sure_back=sum(surely_back.get(other, 0) for other in surely_out),
        rivals=tuple(Rival(other, out[other], back.get(other, 0), int(flows.rows[other])) for other in ranked),
        kind="uncertain",
    )
    return replace(found, kind=_kind(found, usual, settings))


def _number_of_answers(counts: list[int]) -> float:
    shares = np.array(counts) / sum(counts)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _kind(one: UncertainCategory, usual: float, settings: UncertainSettings) -> Kind:
    if not one.rivals:
        return "uncertain"
    first = one.rivals[0]
    if first.rows >= MOST * one.mistaken and _swap(one, first, settings):
        return "twins"
    if (
        one.sure >= MOST * one.mistaken
        and _at_least(one.sure, one.rows) > max(usual, settings.polluted)
        and one.sure_back <= MOST * one.sure
    ):
        return "polluted"
    if one.answers >= settings.spread and first.rows < MOST * one.mistaken:
        return "broad"
    return "uncertain"


def _swap(one: UncertainCategory, other: Rival, settings: UncertainSettings) -> bool:
    """Whether enough rows of both are answered with the other."""
    if other.of < settings.min_rows:
        return False
    return min(_at_least(other.rows, one.rows), _at_least(other.back, other.of)) >= settings.swapped


def _at_least(count: int, rows: int) -> float:
    return float(wilson_lower(np.array(count), np.array(rows)))
