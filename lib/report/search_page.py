"""A search's outcome as a page: what won, what mattered, and how the search went."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from lib.artefact import write_whole
from lib.config.tune import Parameter, TuneSettings
from lib.report import search_charts
from lib.report.charts import is_number, number
from lib.report.page import fill
from lib.studies.finals import WHICH, Finals
from lib.studies.search import FROM, REASON, RETRIES, best_trials
from lib.studies.weights import Weight

SHOWN = 5


@dataclass(frozen=True)
class Searched:
    """All that the page tells.

    Attributes:
        name: of the study.
        trials: all of them.
        weights: of each key, the most important first.
        finals: who won, and against what.
        best: file of the best configuration, as the page shows it.
    """

    name: str
    settings: TuneSettings
    trials: Sequence[FrozenTrial]
    weights: Sequence[Weight]
    finals: Finals
    best: str


def page(found: Searched, code: str) -> str:
    """As HTML.

    Args:
        code: the commit that made it.
    """
    space, trials = found.settings.space, found.trials
    complete = best_trials(trials, len(trials))
    return fill(
        "search.html",
        found=found,
        which=WHICH,
        counts=_counts(trials),
        keys=list(space),
        best=[_row(one, space) for one in complete[:SHOWN]],
        worst=[_row(one, space) for one in complete[::-1][:SHOWN][::-1]],
        failed=[(one.number, one.user_attrs.get(REASON, "")) for one in trials if one.state == TrialState.FAIL],
        retried=[(one.number, one.user_attrs[RETRIES]) for one in trials if RETRIES in one.user_attrs],
        begun_from=next((one.user_attrs[FROM] for one in trials if FROM in one.user_attrs), ""),
        history=search_charts.history(trials),
        parallel=search_charts.parallel(trials, space),
        slices=search_charts.slices(trials, space),
        fronts=search_charts.fronts(trials),
        epochs=sum(int(one.user_attrs.get("epochs", 0)) for one in trials),
        code=code,
    )


def store(found: Searched, reports: str, code: str) -> Path:
    """Write the page to <reports>/tune_<study>.html and return where it is."""
    place = Path(reports) / f"tune_{found.name.replace('/', '_')}.html"
    write_whole(place, page(found, code))
    return place


def _counts(trials: Sequence[FrozenTrial]) -> str:
    """How many ended how."""
    words = (
        (TrialState.COMPLETE, "trained to the end"), (TrialState.PRUNED, "ended early"), (TrialState.FAIL, "failed"),
        (TrialState.WAITING, "waiting"),
    )  # fmt: skip
    counted = [(sum(one.state == state for one in trials), said) for state, said in words]
    return ", ".join(f"{count} {said}" for count, said in counted if count)


def _row(trial: FrozenTrial, space: dict[str, Parameter]) -> list[str]:
    """Number, accuracy and values of a trial."""
    shown = [_shown(trial.params[key]) if key in trial.params else "–" for key in space]
    return [str(trial.number), f"{100 * (trial.value or 0.0):.2f} %", *shown]


def _shown(value: object) -> str:
    return number(value) if is_number(value) else str(value)
