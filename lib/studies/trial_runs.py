"""Each trial that has ended as an MLflow run."""

import logging

from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial

from lib.registry import log_trial
from lib.studies.search import Told

LOG = logging.getLogger(__name__)
FIGURES = ("epochs", "parameters", "rows_per_second", "seconds", "overhead")


def logged_to(state: str, study: str) -> Told:
    """What a search tells its trials to.

    Args:
        state: `registry.uri`, or `storage.state`.
    """

    def log(trial: FrozenTrial) -> None:
        figures = {name: float(trial.user_attrs.get(name, 0)) for name in FIGURES}
        if trial.value is not None:
            figures["best_validation_accuracy"] = trial.value
        params = {**trial.params, **{key: value for key, value in trial.user_attrs.items() if key not in FIGURES}}
        try:
            log_trial(state, study, trial.number, trial.state.name, params, trial.intermediate_values, figures)
        except MlflowException as error:
            # The study's own storage has all of it; a registry that is away for a moment is no reason to end.
            LOG.warning("trial %d is not in MLflow: %s", trial.number, " ".join(str(error).split()))

    return log
