"""The end of a search: the best few are trained again from other seeds, and the winner meets its rivals on test rows.

The best of many trials is partly the luckiest: only what holds from several seeds is called best. The test rows are
looked at once for each winner, in the end.
"""

import json
import logging
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.config import Config
from lib.errors import UserError
from lib.evaluation.bootstrap import paired_difference
from lib.studies import space
from lib.studies.search import Search, best_trials
from lib.studies.trial import Outcome

LOG = logging.getLogger(__name__)
TEST = "test"
# Rivals of the winner: what all trials begin with, and the base configuration's own model; which base either is.
BASE, DEFAULT = "base", "default"
WHICH = {BASE: "with what all trials set alike", DEFAULT: "as it is"}


@dataclass(frozen=True)
class Finalist:
    """What was trained from several seeds, as trials are: one network, without refit.

    Attributes:
        name: number of the trial; of a rival, BASE or DEFAULT.
        point: its values.
        scores: validation accuracy by seed; None where a training failed.
    """

    name: str
    point: dict[str, Any]
    scores: list[float | None]

    @property
    def mean(self) -> float | None:
        """Over the seeds; None where one failed."""
        known = [score for score in self.scores if score is not None]
        return float(np.mean(known)) if len(known) == len(self.scores) else None


@dataclass(frozen=True)
class Verdict:
    """Winner against a rival on the same test rows, each row's result the mean over the seeds.

    Attributes:
        winner, rival: accuracy.
        difference, low, high: winner - rival, with its 95 % paired bootstrap interval.
        rows: of the test split.
    """

    winner: float
    rival: float
    difference: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Finals:
    """What the search came to.

    Attributes:
        finalists: best first.
        rivals: what all trials begin with, and where that differs from it, the base configuration's own model.
        verdicts: of the first finalist, by rival; empty where `why_not` says why.
        why_not: empty where there are verdicts.
    """

    finalists: list[Finalist]
    rivals: list[Finalist]
    verdicts: dict[str, Verdict]
    why_not: str = ""

    @property
    def winner(self) -> Finalist:
        """The one that is called best."""
        return self.finalists[0]


def decide(search: Search) -> Finals:
    """Train finalists and rivals; what an earlier run has trained is not trained again.

    Raises:
        UserError: the storage is gone, or no finalist could be trained from every seed.
    """
    with search.memory.in_use():
        best = best_trials(search.study.get_trials(deepcopy=False), search.settings.finalists)
        points = {str(one.number): dict(one.params) for one in best}
        rivals = [BASE, DEFAULT] if space.begins_elsewhere(search.settings, search.overrides) else [BASE]
        seeds = search.settings.seeds
        named = [*points, *rivals]
        search.in_slots([partial(_score, search, name, points.get(name, {}), seed) for name in named for seed in seeds])
        finalists = [_finalist(search, name, point) for name, point in points.items()]
        steady = sorted((one for one in finalists if one.mean is not None), key=lambda one: -(one.mean or 0.0))
        if not steady:
            raise UserError(f"study {search.name}: no finalist could be trained from each of the seeds {seeds}")
        beside = [_finalist(search, name, {}) for name in rivals]
        verdicts, why_not = _verdicts(search, steady[0], beside)
        return Finals(steady, beside, verdicts, why_not)


def _score(search: Search, name: str, point: dict[str, Any], seed: int) -> None:
    search.memory.check()
    kept = _kept(name, seed)
    if kept not in search.study.user_attrs:
        outcome = search.trained(_config(search, name, point, seed))
        whose = f"the {name}" if name in WHICH else f"trial {name}"
        LOG.info("%s from seed %d: %s", whose, seed, outcome.reason or f"validation accuracy {outcome.score:.4f}")
        if outcome.score is not None:
            search.study.set_user_attr(kept, outcome.score)


def _config(search: Search, name: str, point: dict[str, Any], seed: int) -> Config:
    return search.default(seed) if name == DEFAULT else search.config(point, seed)


def _finalist(search: Search, name: str, point: dict[str, Any]) -> Finalist:
    kept = search.study.user_attrs
    return Finalist(name, point, [kept.get(_kept(name, seed)) for seed in search.settings.seeds])


def _kept(name: str, seed: int) -> str:
    return f"final/{name}/{seed}"


def _verdicts(search: Search, winner: Finalist, rivals: list[Finalist]) -> tuple[dict[str, Verdict], str]:
    """The one look at the test rows."""
    if not space.shared_shards(search.settings):
        return {}, "Keys of the space change the shards, so that winner and base have no test rows in common."
    kept = f"verdict/{winner.name}"
    if kept in search.study.user_attrs:
        known = json.loads(search.study.user_attrs[kept])
        return {rival: Verdict(**verdict) for rival, verdict in known.items()}, ""
    answers = {}
    for one in (winner, *rivals):
        outcomes = _answered(search, one)
        if failed := [outcome.reason for outcome in outcomes if outcome.reason]:
            return {}, f"The {'winner' if one is winner else one.name} could not be trained again: {failed[0]}"
        if not outcomes[0].right:
            return {}, "The shards have no test rows."
        answers[one.name] = np.array([outcome.right for outcome in outcomes])
    verdicts = {one.name: _verdict(answers[winner.name], answers[one.name]) for one in rivals}
    said = {rival: asdict(verdict) for rival, verdict in verdicts.items()}
    search.study.set_user_attr(kept, json.dumps(said))
    return verdicts, ""


def _verdict(winner: NDArray[np.bool_], rival: NDArray[np.bool_]) -> Verdict:
    """Of answers (seeds, rows)."""
    found = paired_difference(winner, rival)
    return Verdict(
        winner=float(winner.mean()),
        rival=float(rival.mean()),
        difference=found.value,
        low=found.low,
        high=found.high,
        rows=int(rival.shape[1]),
    )


def _answered(search: Search, one: Finalist) -> list[Outcome]:
    """Trained from each seed, with the answers on the test rows."""
    found: dict[int, Outcome] = {}

    def train(seed: int) -> None:
        found[seed] = search.trained(_config(search, one.name, one.point, seed), split=TEST)

    search.in_slots([partial(train, seed) for seed in search.settings.seeds])
    return [found[seed] for seed in search.settings.seeds]
