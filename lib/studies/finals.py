"""The end of a search: the best few are trained again from other seeds, and the winner meets the base on test rows.

The best of many trials is partly the luckiest: only what holds from several seeds is called best. The test rows are
looked at once for each winner, in the end.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from lib.errors import UserError
from lib.evaluation.bootstrap import paired_difference
from lib.studies import space
from lib.studies.search import Search, best_trials
from lib.studies.trial import Outcome

LOG = logging.getLogger(__name__)
TEST = "test"


@dataclass(frozen=True)
class Finalist:
    """A point that was trained from several seeds.

    Attributes:
        number: of the trial; None for the base configuration, trained as trials are: one network, without refit.
        point: its values.
        scores: validation accuracy by seed; None where a training failed.
    """

    number: int | None
    point: dict[str, Any]
    scores: list[float | None]

    @property
    def mean(self) -> float | None:
        """Over the seeds; None where one failed."""
        known = [score for score in self.scores if score is not None]
        return float(np.mean(known)) if len(known) == len(self.scores) else None


@dataclass(frozen=True)
class Verdict:
    """Winner against base on the same test rows, each row's result the mean over the seeds.

    Attributes:
        winner, base: accuracy.
        difference, low, high: winner - base, with its 95 % paired bootstrap interval.
        rows: of the test split.
    """

    winner: float
    base: float
    difference: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Finals:
    """What the search came to.

    Attributes:
        finalists: best first.
        base: the configuration that trials changed.
        verdict: of the first of them; None where `why_not` says why.
        why_not: empty where there is a verdict.
    """

    finalists: list[Finalist]
    base: Finalist
    verdict: Verdict | None
    why_not: str = ""

    @property
    def winner(self) -> Finalist:
        """The one that is called best."""
        return self.finalists[0]


def decide(search: Search) -> Finals:
    """Train finalists and base; what an earlier run has trained is not trained again.

    Raises:
        UserError: the storage is gone, or no finalist could be trained from every seed.
    """
    with search.memory.in_use():
        named: list[tuple[int | None, dict[str, Any]]] = [
            (one.number, dict(one.params))
            for one in best_trials(search.study.get_trials(deepcopy=False), search.settings.finalists)
        ]
        named.append((None, {}))
        seeds = search.settings.seeds
        search.in_slots([partial(_score, search, number, point, seed) for number, point in named for seed in seeds])
        *finalists, base = [_finalist(search, number, point) for number, point in named]
        steady = sorted((one for one in finalists if one.mean is not None), key=lambda one: -(one.mean or 0.0))
        if not steady:
            raise UserError(f"study {search.name}: no finalist could be trained from each of the seeds {seeds}")
        verdict, why_not = _verdict(search, steady[0])
        return Finals(steady, base, verdict, why_not)


def _score(search: Search, number: int | None, point: dict[str, Any], seed: int) -> None:
    name = _name(number, seed)
    search.memory.check()
    if name not in search.study.user_attrs:
        outcome = _trained(search, point, seed)
        whose = "the base" if number is None else f"trial {number}"
        LOG.info("%s from seed %d: %s", whose, seed, outcome.reason or f"validation accuracy {outcome.score:.4f}")
        if outcome.score is not None:
            search.study.set_user_attr(name, outcome.score)


def _trained(search: Search, point: dict[str, Any], seed: int, split: str | None = None) -> Outcome:
    return search.trained(search.config(point, seed), split=split)


def _finalist(search: Search, number: int | None, point: dict[str, Any]) -> Finalist:
    kept = search.study.user_attrs
    return Finalist(number, point, [kept.get(_name(number, seed)) for seed in search.settings.seeds])


def _name(number: int | None, seed: int) -> str:
    return f"final/{'base' if number is None else number}/{seed}"


def _verdict(search: Search, winner: Finalist) -> tuple[Verdict | None, str]:
    """The one look at the test rows."""
    if not space.shared_shards(search.settings):
        return None, "Keys of the space change the shards, so that winner and base have no test rows in common."
    name = f"verdict/{winner.number}"
    if name in search.study.user_attrs:
        return Verdict(**json.loads(search.study.user_attrs[name])), ""
    answers = {}
    for who, point in (("winner", winner.point), ("base", {})):
        outcomes = list(_answered(search, point))
        if failed := [one.reason for one in outcomes if one.reason]:
            return None, f"The {who} could not be trained again: {failed[0]}"
        if not outcomes[0].right:
            return None, "The shards have no test rows."
        answers[who] = np.array([one.right for one in outcomes])
    found = paired_difference(answers["winner"], answers["base"])
    verdict = Verdict(
        winner=float(answers["winner"].mean()),
        base=float(answers["base"].mean()),
        difference=found.value,
        low=found.low,
        high=found.high,
        rows=int(answers["base"].shape[1]),
    )
    search.study.set_user_attr(name, json.dumps(asdict(verdict)))
    return verdict, ""


def _answered(search: Search, point: dict[str, Any]) -> Iterator[Outcome]:
    """The point from each seed, with its answers on the test rows."""
    found: dict[int, Outcome] = {}

    def train(seed: int) -> None:
        found[seed] = _trained(search, point, seed, TEST)

    search.in_slots([partial(train, seed) for seed in search.settings.seeds])
    yield from (found[seed] for seed in search.settings.seeds)
