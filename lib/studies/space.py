"""The space of a search: its keys against the configuration, and one point of it drawn for a trial."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna

from lib import config as configuration
from lib.artefact import Artefact
from lib.config import Config
from lib.config.tune import Parameter, TuneSettings
from lib.errors import UserError

# Sections whose keys change neither tables nor shards.
OF_TRAINING = ("model", "train", "feed")
ShardsOf = Callable[[Config], Artefact]
# Keys that every trial sets by itself: more networks of one shape and a second fit tell no more of the shape, and cost
# as much again.
ITS_OWN = ("model.members", "train.refit", "train.tensorboard", "train.seed")


def changed(settings: TuneSettings, point: Mapping[str, Any], overrides: list[str] | None = None) -> Config:
    """The base configuration at a point of the space.

    Args:
        overrides: further key=value changes, of the command line.

    Raises:
        UserError: the configuration lacks a key or refuses a value.
    """
    return configuration.load(settings.base, given(settings, point, overrides or []))


def given(settings: TuneSettings, point: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """As key=value: what all trials set alike, then the command line, then the point."""
    fixed, drawn = ([f"{key}={json.dumps(value)}" for key, value in of.items()] for of in (settings.fixed, point))
    return [*fixed, *overrides, *drawn]


def default(settings: TuneSettings, overrides: Sequence[str]) -> Config:
    """The base configuration's own model, for the trials' tables and shards."""
    alike = given(settings, {}, overrides)
    return configuration.load(settings.base, [one for one in alike if not _of_training(_key(one))])


def begins_elsewhere(settings: TuneSettings, overrides: Sequence[str]) -> bool:
    """Whether what all trials set alike makes another model of the base configuration's own."""
    return any(_of_training(_key(one)) for one in given(settings, {}, overrides))


def of_a_trial(config: Config, seed: int) -> Config:
    """The configuration as a trial trains it."""
    model = config.model.model_copy(update={"members": 1})
    train = config.train.model_copy(update={"refit": False, "tensorboard": False, "seed": seed})
    return config.model_copy(update={"model": model, "train": train})


def check(settings: TuneSettings, overrides: list[str] | None = None) -> None:
    """Hold the ends of every range and each choice against the configuration.

    Raises:
        UserError: a key that the configuration lacks, one that every trial sets alike, or a value that it refuses.
    """
    changed(settings, {}, overrides)
    set_besides = set(map(_key, overrides or []))
    for key, parameter in settings.space.items():
        if key in set_besides:
            raise UserError(f"--set {key}: the search varies it; take it out of space, or of the command line")
        if key in settings.fixed:
            raise UserError(f"{key} is in space and in fixed; keep one of them")
        if key in ITS_OWN:
            raise UserError(f"space: {key} is set by the search itself; take it out")
        for value in parameter.ends:
            try:
                changed(settings, {key: value}, overrides)
            except UserError as error:
                raise UserError(f"space: {key} cannot be searched in {settings.base}: {error}") from None


def shared_shards(settings: TuneSettings) -> bool:
    """Whether all trials learn from the same shards."""
    return all(_of_training(key) for key in settings.space)


def own_tables(settings: TuneSettings, overrides: list[str]) -> bool:
    """Whether what is tuned has other tables or shards than the month of the base configuration."""
    keys = [*settings.space, *settings.fixed, *map(_key, overrides)]
    return not all(_of_training(key) for key in keys)


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _of_training(key: str) -> bool:
    return key.split(".")[0] in OF_TRAINING


def key_of_shards(config: Config) -> str:
    """Alike for configurations that learn from the same shards."""
    return config.model_dump_json(exclude=set(OF_TRAINING))


def draw(trial: optuna.Trial, space: Mapping[str, Parameter]) -> dict[str, Any]:
    """Values for a trial, without those of keys whose conditions do not hold."""
    point: dict[str, Any] = {}
    for key, parameter in space.items():
        if all(point.get(other) in values for other, values in parameter.when.items()):
            point[key] = _suggested(trial, key, parameter)
    return point


def _suggested(trial: optuna.Trial, key: str, parameter: Parameter) -> Any:
    if parameter.choice:
        return trial.suggest_categorical(key, parameter.choice)
    low, high, step = parameter.low, parameter.high, parameter.step
    assert low is not None
    assert high is not None
    if parameter.whole:
        return trial.suggest_int(key, int(low), int(high), step=int(step or 1), log=parameter.log)
    return trial.suggest_float(key, float(low), float(high), step=step, log=parameter.log)


def within(point: Mapping[str, Any], space: Mapping[str, Parameter]) -> dict[str, Any]:
    """Those values of a point of another space that this one has too."""
    return {key: value for key, value in point.items() if key in space and _has(space[key], value)}


def _has(parameter: Parameter, value: Any) -> bool:
    if parameter.choice:
        return value in parameter.choice
    low, high, step = parameter.low, parameter.high, parameter.step
    if low is None or high is None or not isinstance(value, int | float) or not low <= value <= high:
        return False
    # With a step, only what lies on it; a range of numbers takes what lies nearest.
    return not parameter.whole or (float(value).is_integer() and (value - low) % (step or 1) == 0)
