"""A study as conf/studies/*.yaml describes it: one question, a base configuration, and what is varied.

Each trial is the base configuration with one value of every axis, one seed and, where there are folds, one of them.
What came of it lies in a file of its own, named by all that it depends on, so a study that is killed or extended does
no trial twice.
"""

import hashlib
import itertools
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, ValidationError
from scipy.stats import spearmanr

from lib import config as configuration
from lib import months
from lib.artefact import write_whole
from lib.config import Config, Month
from lib.config.base import Count, Fold, Settings, Text
from lib.config.reading import read_settings, sentence
from lib.errors import UserError
from lib.manifest import code_version

LOG = logging.getLogger(__name__)
Figures = Mapping[str, float | None]
# Raised when what a trial measures changes, so that older files are not taken for it.
REVISION = 3
MOST_TRIALS = 1000
EXAMPLE = "conf/studies/image_size.yaml"


class Column(Settings):
    """A figure of every trial, as the table shows it."""

    words: Text
    percent: bool = Field(False, description="a share, shown in per cent")


class Figure(Settings):
    """What is drawn: one column over the first axis, a line for each value of the second."""

    y: Text
    log: bool = False


class Gain(Settings):
    """By how much the drawn figure is more at one value of the first axis than at another."""

    of: Any
    over: Any
    least: float


class Expected(Settings):
    """What a study should show; the job fails where it does not."""

    correlation: float | None = Field(None, description="least rank correlation of the first axis with what is drawn")
    gain: Gain | None = None


# Name -> dotted keys and their values, of the configuration and of Own.
Named = dict[Text, dict[Text, Any]]


class Own(Settings):
    """What settings may say that is no key of the configuration."""

    base: Text | None = Field(None, description="another configuration than the study's")
    month: Month | None = Field(None, description="another month than the study's")
    folds: list[Fold] | None = Field(None, description="other folds than the study's")
    later: Annotated[int, Field(strict=True, ge=0)] = Field(0, description="months after which the model is asked")
    retrained: StrictBool = Field(False, description="whether it is trained anew until then")
    since: Month | None = Field(None, description="the first month that there is data of")
    until: Month | None = Field(None, description="the last; points after it are left out")


# Those that only a study of months has.
OF_MONTHS = ("later", "retrained", "since", "until")


class Study(Settings):
    """One file of conf/studies."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: Text
    question: Text = Field(description="what it asks, and why, in a sentence or two")
    meaning: Text | None = Field(None, description="what its figures mean, in two sentences, once they are there")
    base: Text = Field(description="configuration that trials change")
    task: Literal["pictures", "month", "months"] = Field(
        description="pictures: a folder or zip of <split>/<class>/<picture>; month: a month of the warehouse; "
        "months: that month's model on a later month"
    )
    month: Month | None = None
    axes: dict[Text, list[Any] | Named] = Field(
        min_length=1, description="dotted key of the configuration, or of Own: its values; or a word: settings by name"
    )
    seeds: list[Count] = Field(default=[1], min_length=1, description="values of train.seed; figures are their means")
    folds: list[Fold] = Field(default=[], description="values of text.fold, each with every seed")
    columns: dict[Text, Column] = Field(min_length=1)
    figure: Figure
    expected: Expected = Expected()


@dataclass(frozen=True)
class Trial:
    """One point of the grid with one seed.

    Attributes:
        place: value of each axis.
        seed: train.seed.
        base: file of the configuration that is changed.
        config: base with all of it.
        month: whose offers are learnt from; None for pictures.
        later: months after it, whose offers the model is asked about.
        retrained: whether it is another model by then, of that later month.
        since: the first month that there is data of; None where all months before have some.
    """

    place: dict[str, Any]
    seed: int
    base: str
    config: Config
    month: str | None = None
    later: int = 0
    retrained: bool = False
    since: str | None = None

    def key(self, study: Study) -> str:
        """Hex name of all that its figures depend on, but for the code."""
        settings = self.config.model_dump(mode="json", by_alias=True)
        parts = [REVISION, study.task, self.month, self.later, self.retrained, self.since, settings]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Point:
    """A point of the grid: each figure's value over the seeds.

    Attributes:
        place: value of each axis.
        figures: name -> one value a seed; None where it was not measured.
    """

    place: dict[str, Any]
    figures: dict[str, list[float | None]]

    def mean(self, name: str) -> float | None:
        """Over the seeds that have a value."""
        values = [value for value in self.figures.get(name, []) if value is not None]
        return sum(values) / len(values) if values else None

    def ends(self, name: str) -> tuple[float, float] | None:
        """Lowest and highest over the seeds; None for fewer than two."""
        values = [value for value in self.figures.get(name, []) if value is not None]
        return (min(values), max(values)) if len(values) > 1 else None


def correlation(study: Study, points: Sequence[Point]) -> float | None:
    """Spearman's rank correlation of a numeric first axis with the drawn figure; None for names or two points."""
    axis = next(iter(study.axes))
    pairs = [(point.place[axis], point.mean(study.figure.y)) for point in points]
    known = [(x, y) for x, y in pairs if isinstance(x, int | float) and y is not None]
    if len(known) < 3 or len(known) < len(pairs):
        return None
    return round(float(spearmanr(*zip(*known, strict=True)).statistic), 4)


def unmet(study: Study, points: Sequence[Point]) -> list[str]:
    """Each expectation that the figures do not meet, in words."""
    said = []
    axis, least = next(iter(study.axes)), study.expected.correlation
    found = correlation(study, points)
    if least is not None and (found is None or found < least):
        said.append(f"the rank correlation of {axis} with {study.figure.y} is {found}, expected {least} or more")
    gain = study.expected.gain
    if gain is not None:
        high, low = (_over_all(study, points, value) for value in (gain.of, gain.over))
        if high is None or low is None or high - low < gain.least:
            said.append(
                f"{study.figure.y} is {high} at {axis} {gain.of} and {low} at {gain.over}, expected {gain.least} more"
            )
    return said


def _over_all(study: Study, points: Sequence[Point], value: Any) -> float | None:
    """Mean of the drawn figure over the points with this value of the first axis."""
    axis = next(iter(study.axes))
    means = [point.mean(study.figure.y) for point in points if point.place[axis] == value]
    known = [mean for mean in means if mean is not None]
    return sum(known) / len(known) if known else None


def load(path: Path | str) -> Study:
    """Read a study's file.

    Raises:
        UserError: it is missing, no YAML, or a key or value is not accepted.
    """
    place = Path(path)
    study = read_settings(place, "study", EXAMPLE, Study)
    if study.figure.y not in study.columns:
        raise UserError(f"study {place}: figure.y {study.figure.y!r} is none of its columns")
    gain, axis = study.expected.gain, next(iter(study.axes))
    for value in (gain.of, gain.over) if gain else ():
        if value not in list(study.axes[axis]):
            raise UserError(f"study {place}: expected.gain names {value!r}, which is no value of {axis}")
    for name, values in (("seeds", study.seeds), ("folds", study.folds)):
        if len(set(values)) < len(values):
            raise UserError(f"study {place}: {name} {values} holds one twice, which would count twice; take it out")
    # Of many axes the points alone are more than could be looked at.
    count = math.prod(len(values) for values in study.axes.values()) * len(study.seeds)
    if count <= MOST_TRIALS:
        count = sum(len(_folds(study, place)) for place in _places(study)) * len(study.seeds)
    if not 0 < count <= MOST_TRIALS:
        raise UserError(f"study {place} has {count} trials; give each axis a value, and {MOST_TRIALS} trials at most")
    return study


def trials(study: Study, overrides: Sequence[str] = ()) -> Iterator[Trial]:
    """All of the study's trials, fold by fold and seed by seed of each point.

    Args:
        overrides: further key=value changes, of the command line.
    """
    for place in _places(study):
        own, settings = _settings(study, place)
        base, month = own.base or study.base, own.month or study.month
        if month is not None and own.until is not None and months.shift(month, own.later) > own.until:
            continue
        for fold, seed in itertools.product(_folds(study, place), study.seeds):
            of_fold = {} if fold is None else {"text.fold": fold}
            changes = {**settings, **of_fold, "train.seed": seed}
            if varied := sorted({one.partition("=")[0] for one in overrides} & set(changes)):
                raise UserError(f"--set {varied[0]}: study {study.name} sets that itself; change its file")
            given = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
            config = configuration.load(base, [*overrides, *given])
            yield Trial(place, seed, base, config, month, own.later, own.retrained, own.since)


def _places(study: Study) -> Iterator[dict[str, Any]]:
    """Each combination of the axes' values, the last axis fastest."""
    for values in itertools.product(*study.axes.values()):
        yield dict(zip(study.axes, values, strict=True))


def _folds(study: Study, place: Mapping[str, Any]) -> Sequence[int | None]:
    """Those of a point; one that is none where it is split as usual."""
    own, _ = _settings(study, place)
    return (study.folds if own.folds is None else own.folds) or [None]


def _settings(study: Study, place: Mapping[str, Any]) -> tuple[Own, dict[str, Any]]:
    """What a point says of the study's own, and dotted key -> value of the configuration."""
    made: dict[str, Any] = {}
    for axis, value in place.items():
        values = study.axes[axis]
        made |= values[value] if isinstance(values, dict) else {axis: value}
    where = f"study {study.name}, {', '.join(f'{axis} {value}' for axis, value in place.items())}"
    given = {name: made.pop(name) for name in Own.model_fields if name in made}
    try:
        own = Own.model_validate(given)
        json.dumps(made)
    except ValidationError as error:
        raise UserError(f"{where}: {sentence(error, Own)}") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: a value is no text, number, list or mapping of them ({error}); quote it") from None
    if study.task != "months" and (foreign := [name for name in OF_MONTHS if name in given]):
        raise UserError(f"{where}: {foreign[0]} is for task months, and this study's is {study.task}")
    return own, made


def run(study: Study, work: Callable[[Trial], Figures], folder: Path, overrides: Sequence[str] = ()) -> list[Point]:
    """Run what has not been run, and gather all.

    Args:
        work: measures one trial.
        folder: where each trial's figures are kept.
    """
    listed = list(trials(study, overrides))
    if not listed:
        raise UserError(f"study {study.name} has no trial: all its points lie after their `until`")
    found: dict[int, Figures] = {}
    for count, number in enumerate(sorted(range(len(listed)), key=lambda one: _turn(listed[one])), 1):
        found[number] = _figures(study, listed[number], work, folder, f"{study.name}: {count} of {len(listed)}")
    points: dict[str, Point] = {}
    for number, trial in enumerate(listed):
        figures = found[number]
        point = points.setdefault(json.dumps(trial.place), Point(trial.place, {name: [] for name in study.columns}))
        for name, values in point.figures.items():
            values.append(figures.get(name))
    return list(points.values())


def _turn(trial: Trial) -> tuple[Any, ...]:
    """What trials are sorted by before they are run: one after the other those that have most stages in common."""
    axes = [json.dumps(value) for axis, value in trial.place.items() if axis != "later"]
    return trial.base, trial.config.text.fold or 0, axes, trial.later


def _figures(study: Study, trial: Trial, work: Callable[[Trial], Figures], folder: Path, words: str) -> Figures:
    kept = folder / f"{trial.key(study)}.json"
    said = ", ".join(f"{key} {value}" for key, value in trial.place.items())
    if kept.is_file():
        found: Figures = json.loads(kept.read_text(encoding="utf-8"))["figures"]
        # A column that came later may be of what was not measured then.
        if set(study.columns) <= set(found):
            LOG.info("study %s, %s, seed %d: done before", words, said, trial.seed)
            return found
    LOG.info("study %s, %s, seed %d", words, said, trial.seed)
    started = time.monotonic()
    figures = dict(work(trial))
    if missing := sorted(set(study.columns) - set(figures)):
        raise UserError(
            f"study {study.name}: no trial measures {missing[0]!r}; a column may be one of {', '.join(sorted(figures))}"
        )
    seconds = round(time.monotonic() - started, 1)
    record = {"place": trial.place, "seed": trial.seed, "figures": figures, "seconds": seconds, "code": code_version()}
    write_whole(kept, json.dumps(record, ensure_ascii=False, indent=1))
    shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if value is not None)
    LOG.info("study %s: %s in %.0f s", words, shown, seconds)
    return figures
