"""What a tuning file (conf/tune.yaml) says: which keys are searched, from which configuration, how and for how long."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lib.config.base import Count, Positive, Settings, Text
from lib.config.reading import read_settings

Number = int | float
EXAMPLE = "conf/tune.yaml"


class Parameter(Settings):
    """The values that one key may take: one of a list, or a number of a range, both ends included."""

    choice: list[bool | int | float | str | None] = Field(
        default=[], max_length=100, description="values to choose from"
    )
    low: Number | None = Field(default=None, description="least number; whole ends give whole numbers")
    high: Number | None = None
    step: Number | None = Field(default=None, gt=0, description="numbers are this far apart; not with log")
    log: bool = Field(default=False, description="as many below the middle by ratio as above")
    when: dict[Text, list[Any]] = Field(
        default={}, description="keys above it, and with which values of theirs this key is set at all"
    )

    @model_validator(mode="after")
    def _is_a_list_or_a_range(self) -> "Parameter":
        ends = (self.low, self.high)
        if bool(self.choice) == (None not in ends) or (self.choice and ends != (None, None)):
            raise ValueError("give a choice of values, or low and high")
        if self.choice and (self.step is not None or self.log):
            raise ValueError("step and log are for a range, not for a choice")
        if self.low is not None and self.high is not None:
            self._check_range(self.low, self.high)
        return self

    def _check_range(self, low: Number, high: Number) -> None:
        if low > high:
            raise ValueError(f"low {low} is above high {high}")
        if self.log and (low <= 0 or self.step is not None):
            raise ValueError("log is for numbers above 0, without a step")
        if self.whole and self.step is not None and not isinstance(self.step, int):
            raise ValueError(f"a range of whole numbers has whole steps, not {self.step}")

    @property
    def whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> list[Any]:
        """Values that the configuration must accept."""
        return self.choice or [self.low, self.high]


class Budget(Settings):
    """When a search ends: at what comes first."""

    trials: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="of the study, those that failed included and those that a kill cut off left out"
    )
    hours: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="of one run, after which no trial is begun; those that are under way end"
    )

    @model_validator(mode="after")
    def _is_not_empty(self) -> "Budget":
        if self.trials is None and self.hours is None:
            raise ValueError("the budget is empty; give trials, hours or both")
        return self


class Sampler(Settings):
    """How the next values are chosen."""

    kind: Literal["tpe", "random"] = "tpe"
    startup: Positive = Field(default=10, description="trials at random before tpe models what is good")


class Pruner(Settings):
    """Which trials are ended early, by validation accuracy after each epoch."""

    kind: Literal["asha", "hyperband", "none"] = "asha"
    min_epochs: Positive = Field(default=1, description="epochs that every trial gets")
    reduction: Annotated[int, Field(ge=2, le=100)] = Field(
        default=3, description="of so many trials one goes on to so many times the epochs"
    )


class TuneSettings(Settings):
    """One tuning file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")] = Field(description="the file's, unless given")
    base: Text = Field(description="configuration that trials change")
    fixed: dict[Text, Any] = Field(default={}, description="keys of the base that every trial sets alike")
    space: dict[Text, Parameter] = Field(min_length=1, description="dotted key: the values to be searched")
    budget: Budget
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    parallel: Annotated[int, Field(ge=1, le=1024)] = Field(default=1, description="trials at once, each a Spark task")
    cores: Positive = Field(default=1, description="of a trial, which is held to them")
    memory_gib: Annotated[float, Field(gt=0)] = Field(
        default=8.0, description="a trial that needs more fails, and nothing else does"
    )
    seed: Count = Field(default=0, description="of the sampler, and train.seed of every trial")
    finalists: Positive = Field(default=3, description="best trials that are trained again before one is called best")
    seeds: list[Count] = Field(default=[1, 2, 3], min_length=1, description="train.seed of these trainings")
    warm_start: Count = Field(default=5, description="best trials of last month's study that are tried first")
    storage: Text | None = Field(
        default=None,
        description="SQLAlchemy URL of the study's database, where CATMATCH_TUNE_STORAGE has none; null: SQLite in the "
        "base's storage.state",
    )

    @field_validator("space")
    @classmethod
    def _conditions_come_before(cls, space: dict[str, Parameter]) -> dict[str, Parameter]:
        seen: set[str] = set()
        for key, parameter in space.items():
            if missing := sorted(set(parameter.when) - seen):
                raise ValueError(f"{key}.when names {missing[0]}, which is no key above it")
            seen.add(key)
        return space


def load_tuning(path: Path | str) -> TuneSettings:
    """Read a tuning file.

    Raises:
        UserError: it is missing, no YAML, or a key or value is not accepted.
    """
    return read_settings(Path(path), "tuning file", EXAMPLE, TuneSettings)
