"""Pictures of a search: how it went, which values went with which accuracy, and what accuracy costs."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from markupsafe import Markup
from optuna.trial import FrozenTrial, TrialState

from lib.config.tune import Parameter
from lib.report.charts import Axis, Point, Series, is_number, line_chart, number
from lib.studies.search import best_trials, scored

SCORE = "validation accuracy"
WIDTH, HEIGHT, SIDE, TOP, BOTTOM = 1000, 300, 60, 46, 34
# Lines of so many best trials stand out.
BEST = 5


def history(trials: Sequence[FrozenTrial]) -> Markup:
    """Accuracy of each trial in their order, and the best so far."""
    complete = scored(trials, TrialState.COMPLETE)
    best = list(accumulate((float(one.value or 0.0) for one in complete), max))
    series = [
        Series("trained to the end", _over_numbers(complete), dots=True, line=False),
        Series("ended early", _over_numbers(scored(trials, TrialState.PRUNED)), dots=True, line=False),
        Series("best so far", [(float(one.number), value) for one, value in zip(complete, best, strict=True)]),
    ]
    return line_chart(series, Axis("trial"), Axis(SCORE, percent=True), f"{SCORE} by trial")


def slices(trials: Sequence[FrozenTrial], space: Mapping[str, Parameter]) -> list[Markup]:
    """Accuracy over the values of each key."""
    return [_slice(trials, key, parameter) for key, parameter in space.items()]


def fronts(trials: Sequence[FrozenTrial]) -> list[Markup]:
    """Accuracy against size and against speed, with those that no other beats in both."""
    complete = [one for one in scored(trials, TrialState.COMPLETE) if one.user_attrs.get("parameters")]
    costs = (("parameters", "parameters", 1), ("rows_per_second", "rows a second in training", -1))
    charts = []
    for name, words, sign in costs:
        points = [(float(one.user_attrs[name]), float(one.value or 0.0)) for one in complete]
        front = sorted(_unbeaten(points, sign))
        series = [Series("trials", points, dots=True, line=False), Series("nobody is better in both", front)]
        charts.append(line_chart(series, Axis(words, log=True), Axis(SCORE, percent=True), f"{SCORE} by {words}"))
    return charts


def parallel(trials: Sequence[FrozenTrial], space: Mapping[str, Parameter]) -> Markup:
    """A line for each trial across an axis for each key, to its accuracy; the best ones stand out.

    A key that a trial did without is left out of its line.
    """
    complete = best_trials(trials, len(trials))
    if len(complete) < 2:
        return Markup("")
    axes = [
        _Upright(key, [one.params[key] for one in complete if key in one.params], of.log) for key, of in space.items()
    ]
    axes.append(_Upright(SCORE, [one.value for one in complete], log=False))
    step = (WIDTH - 2 * SIDE) / (len(axes) - 1)
    lines = []
    for rank, one in enumerate(complete):
        values = {**one.params, SCORE: one.value}
        places = [
            f"{SIDE + place * step:.1f},{axis(values[axis.key]):.1f}"
            for place, axis in enumerate(axes)
            if axis.key in values
        ]
        kind = "series c1" if rank < BEST else "series c0 faint"
        title = f"trial {one.number}: {100 * (one.value or 0.0):.2f} %"
        lines.append(
            Markup('<polyline class="{}" points="{}"><title>{}</title></polyline>').format(
                kind, " ".join(places), title
            )
        )
    marks = [axis.mark(SIDE + place * step, place % 2) for place, axis in enumerate(axes)]
    # Best last, so that they lie above the others.
    return Markup(
        '<figure class="chart wide"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg></figure>'
    ).format(WIDTH, HEIGHT, "values of each trial", Markup("").join(reversed(lines)), Markup("").join(marks))


class _Upright:
    """An upright axis: numbers by size, or by their logarithm; words evenly."""

    def __init__(self, key: str, values: Sequence[Any], log: bool) -> None:
        self.key, self.log = key, log
        self.words = [] if all(is_number(value) for value in values) else sorted(set(map(str, values)))
        numbers = [] if self.words else [float(value) for value in values]
        self.low, self.high = (min(numbers), max(numbers)) if numbers else (0.0, max(len(self.words) - 1.0, 1.0))

    def __call__(self, value: Any) -> float:
        measure: Callable[[float], float] = math.log if self.log else float
        low, high = measure(self.low), measure(self.high)
        place = float(self.words.index(str(value))) if self.words else measure(float(value))
        share = (place - low) / (high - low) if high > low else 0.5
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def mark(self, across: float, lower: int) -> Markup:
        """The axis with its name, every other one on a line of its own, and its ends or words."""
        ticks = [(word, self(word)) for word in self.words] or [
            (number(end), self(end)) for end in (self.low, self.high)
        ]
        line = Markup('<line class="tick" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
            across, across, TOP, HEIGHT - BOTTOM
        )
        name = Markup('<text class="middle label" x="{:.1f}" y="{}">{}</text>').format(
            across, 16 + 16 * lower, self.key.split(".")[-1]
        )
        texts = [
            Markup('<text x="{:.1f}" y="{:.1f}">{}</text>').format(across + 4, up + 12, word) for word, up in ticks
        ]
        return Markup("").join([line, name, *texts])


def _slice(trials: Sequence[FrozenTrial], key: str, parameter: Parameter) -> Markup:
    names = [str(value) for value in parameter.choice]
    series = [
        Series(words, sorted(_over_values(scored(trials, state), key, names)), dots=True, line=False)
        for words, state in (("trained to the end", TrialState.COMPLETE), ("ended early", TrialState.PRUNED))
    ]
    across = Axis(key, names=names) if names else Axis(key, log=parameter.log)
    return line_chart(series, across, Axis(SCORE, percent=True), f"{SCORE} by {key}")


def _over_values(trials: Sequence[FrozenTrial], key: str, names: Sequence[str]) -> list[Point]:
    having = [one for one in trials if key in one.params]
    places = [names.index(str(one.params[key])) if names else one.params[key] for one in having]
    return [(float(place), float(one.value or 0.0)) for place, one in zip(places, having, strict=True)]


def _over_numbers(trials: Sequence[FrozenTrial]) -> list[Point]:
    return [(float(one.number), float(one.value or 0.0)) for one in trials]


def _unbeaten(points: Sequence[Point], sign: int) -> list[Point]:
    """Points that no other is as good as in both, and better in one; cost grows with sign * x."""
    return [one for one in points if not any(_beats(other, one, sign) for other in points)]


def _beats(other: Point, one: Point, sign: int) -> bool:
    return other != one and sign * other[0] <= sign * one[0] and other[1] >= one[1]
