"""What mattered in a search: how much each key explains of the trials' accuracy, and which way it goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import kruskal, spearmanr

from lib.config.tune import Parameter
from lib.studies.search import scored

# Below so many trials neither importance nor correlation means anything.
LEAST = 4


@dataclass(frozen=True)
class Weight:
    """One key of the space.

    Attributes:
        key: of the configuration.
        importance: share of the variance over the space that it explains, alone and with others (functional ANOVA,
            Hutter, Hoos, Leyton-Brown, ICML 2014); of one that stands under a condition, among the trials that have it
            and by itself; None where too few do.
        correlation: Spearman's rank correlation with accuracy; None for a choice, which has no order.
        p: of the correlation, or of a choice's Kruskal-Wallis test; None where too few trials have it.
    """

    key: str
    importance: float | None
    correlation: float | None
    p: float | None


def weights(study: optuna.Study, space: Mapping[str, Parameter]) -> list[Weight]:
    """Of each key, over the trials that were trained to their end; the most important first."""
    complete = scored(study.get_trials(deepcopy=False), TrialState.COMPLETE)
    shares = _importances(study, complete)
    for key in space:
        having = [one for one in complete if key in one.params]
        if key not in shares and len({one.value for one in having if len(having) >= LEAST}) > 1:
            # One that stands under a condition: its share among the trials that have it.
            shares[key] = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), params=[key])[key]
    found = [Weight(key, shares.get(key), *_correlation(complete, key, of)) for key, of in space.items()]
    return sorted(found, key=lambda one: -(one.importance or 0.0))


def _importances(study: optuna.Study, complete: Sequence[FrozenTrial]) -> dict[str, float]:
    values = {one.value for one in complete}
    if len(complete) < LEAST or len(values) < 2:
        return {}
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def _correlation(complete: Sequence[FrozenTrial], key: str, parameter: Parameter) -> tuple[float | None, float | None]:
    having = [(one.params[key], float(one.value or 0.0)) for one in complete if key in one.params]
    if len(having) < LEAST or len({value for value, _ in having}) < 2 or len({score for _, score in having}) < 2:
        return None, None
    if parameter.choice:
        groups: dict[Any, list[float]] = {}
        for value, score in having:
            groups.setdefault(value, []).append(score)
        return None, float(kruskal(*groups.values()).pvalue)
    ranked = spearmanr(*np.array(having, np.float64).T)
    return float(ranked.statistic), float(ranked.pvalue)
