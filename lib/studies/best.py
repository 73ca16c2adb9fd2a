"""The best configuration as a file that jobs/train.py --conf takes as it is."""

import json
from typing import Any

import yaml

from lib import config as configuration
from lib.config import Config
from lib.config.tune import TuneSettings
from lib.studies.finals import Finals


def best_yaml(settings: TuneSettings, overrides: list[str], trials: Config, study: str, finals: Finals) -> str:
    """The base's file with the winner's values in it.

    What the base takes from the environment stays a reference, so that no secret comes into the file.

    Args:
        trials: configuration of the trials, whose storage has the shards that they learnt from.
    """
    winner = finals.winner
    changes: dict[str, Any] = {**settings.fixed, **winner.point}
    given = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    record = configuration.overridden(settings.base, [*overrides, *given])
    record["storage"] = trials.storage.model_dump(mode="json")
    seeds, base = ", ".join(map(str, settings.seeds)), finals.base.mean
    said = f"# Trial {winner.number} of study {study}: validation accuracy {winner.mean:.4f} from seeds {seeds}"
    beside = "" if base is None else f",\n# where {settings.base} as it is comes to {base:.4f}"
    return f"{said}{beside}.\n{yaml.safe_dump(record, allow_unicode=True, sort_keys=False)}"
