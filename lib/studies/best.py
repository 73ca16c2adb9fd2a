"""The best configuration as a file that jobs/train.py --conf takes as it is."""

import yaml

from lib import config as configuration
from lib.config import Config
from lib.config.tune import TuneSettings
from lib.studies import space
from lib.studies.finals import WHICH, Finals


def best_yaml(settings: TuneSettings, overrides: list[str], trials: Config, study: str, finals: Finals) -> str:
    """The base's file with the winner's values in it.

    Where the data lies stays a reference to the environment. A registry that the command line names is left out: its
    address may hold a password.

    Args:
        trials: configuration of the trials, whose storage has the shards that they learnt from.
    """
    winner = finals.winner
    named = [one for one in overrides if not one.strip().startswith("registry.")]
    record = configuration.overridden(settings.base, space.given(settings, winner.point, named))
    if space.own_tables(settings, overrides):
        # A model of other tables than the month's is no candidate of the month's registry.
        record["storage"] = trials.storage.model_dump(mode="json")
        record["registry"] = {"name": trials.registry.name}
    seeds = ", ".join(map(str, settings.seeds))
    said = f"# Trial {winner.name} of study {study}: validation accuracy {winner.mean:.4f} from seeds {seeds}"
    means = [(WHICH[one.name], one.mean) for one in finals.rivals if one.mean is not None]
    beside = "".join(f",\n# where {settings.base} {which} comes to {mean:.4f}" for which, mean in means)
    dumped = yaml.safe_dump(record, allow_unicode=True, sort_keys=False)
    return f"{said}{beside};\n# each one network, without refit.\n{dumped}"
