"""What an earlier study of the same storage found best, for the next one to begin with."""

from typing import Any

import optuna

from lib.studies.search import best_trials
from lib.studies.search_storage import Memory


def best_points(memory: Memory, study: str, count: int) -> list[dict[str, Any]]:
    """Values of the study's best trials, best first; none where there is no such study."""
    with memory.in_use():
        if study not in optuna.get_all_study_names(memory.storage):
            return []
        trials = optuna.load_study(study_name=study, storage=memory.storage).get_trials(deepcopy=False)
        return [dict(one.params) for one in best_trials(trials, count)]
