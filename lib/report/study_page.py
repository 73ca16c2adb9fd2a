"""A study's outcome as its own page, as a record for docs/results, and as a figure that stands alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.artefact import write_whole
from lib.report.charts import COLOURS, Axis, Series, is_number, line_chart, lone_chart, number
from lib.report.page import fill
from lib.studies.study import Column, Point, Study, correlation, unmet

Drawn = tuple[list[Series], Axis, Axis, str]


@dataclass(frozen=True)
class Table:
    """A study's figures as texts.

    Attributes:
        heads: of all columns.
        axes: how many of them, from the first, say which point a row is.
        rows: one a point.
    """

    heads: list[str]
    axes: int
    rows: list[list[str]]


def table(study: Study, points: Sequence[Point]) -> Table:
    """Means over the seeds, with the lowest and the highest where there are several that differ."""
    heads = [*study.axes, *(column.words for column in study.columns.values())]
    rows = [
        [*map(label, point.place.values()),
         *(_cell(point, name, column) for name, column in study.columns.items())]
        for point in points
    ]  # fmt: skip
    return Table(heads, len(study.axes), rows)


def label(value: Any) -> str:
    """An axis' value in a word: of a whole section its first setting, such as a backbone's name."""
    return str(next(iter(value.values()))) if isinstance(value, dict) and value else str(value)


def drawn(study: Study, points: Sequence[Point]) -> Drawn:
    """What is drawn over the first axis, a line for each point of the others; its axes; what it shows in words."""
    axis, *others = study.axes
    values = list(study.axes[axis])
    numeric = all(is_number(value) for value in values)
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        mean = point.mean(study.figure.y)
        if mean is not None:
            name = (
                ", ".join(f"{key} {label(point.place[key])}" for key in others) or study.columns[study.figure.y].words
            )
            place = float(point.place[axis]) if numeric else float(values.index(point.place[axis]))
            lines.setdefault(name, []).append((place, mean))
    series = [
        # Dashed where the colours begin again.
        Series(name, sorted(line), dots=True, dashed=index >= COLOURS)
        for index, (name, line) in enumerate(lines.items())
    ]
    column = study.columns[study.figure.y]
    across = Axis(axis) if numeric else Axis(axis, names=[label(value) for value in values])
    up = Axis(column.words, percent=column.percent, log=study.figure.log)
    return series, across, up, f"{column.words} by {axis}"


def page(study: Study, points: Sequence[Point], code: str) -> str:
    """The study's HTML page.

    Args:
        code: the commit that made it.
    """
    return fill(
        "study.html",
        study=study,
        chart=line_chart(*drawn(study, points)),
        table=table(study, points),
        words=_words(study, points),
        code=code,
    )


def store(study: Study, points: Sequence[Point], reports: str, code: str) -> Path:
    """Write the page to <reports>/study_<name>.html and return where it is."""
    place = Path(reports) / f"study_{study.name}.html"
    write_whole(place, page(study, points, code))
    return place


def record(study: Study, points: Sequence[Point], folder: Path, facts: dict[str, Any]) -> None:
    """Write the figures to <folder>/study_<name>.json and the chart to study_<name>.svg, for docs/results.

    Args:
        facts: code, data and machine.
    """
    made = table(study, points)
    kept = {
        "study": study.name, "title": study.title, "question": study.question, "words": _words(study, points),
        "heads": made.heads, "table": made.rows, "seeds": study.seeds, "spearman": correlation(study, points),
        "unmet": unmet(study, points),
        "points": [{"place": point.place, "figures": point.figures} for point in points], **facts,
    }  # fmt: skip
    write_whole(folder / f"study_{study.name}.json", json.dumps(kept, ensure_ascii=False, indent=1) + "\n")
    write_whole(folder / f"study_{study.name}.svg", f"{lone_chart(*drawn(study, points))}\n")


def _words(study: Study, points: Sequence[Point]) -> str:
    seeds = f"Means over seeds {', '.join(map(str, study.seeds))}" if len(study.seeds) > 1 else "One seed"
    ranked = correlation(study, points)
    along = f"; Spearman's rank correlation with {next(iter(study.axes))}: {ranked:.2f}" if ranked is not None else ""
    return f"{seeds}{along}."


def _cell(point: Point, name: str, column: Column) -> str:
    mean, ends = point.mean(name), point.ends(name)
    if mean is None:
        return "–"
    shown = _shown(mean, column)
    if ends is None or _shown(ends[0], column) == _shown(ends[1], column):
        return shown
    return f"{shown} ({_shown(ends[0], column)} to {_shown(ends[1], column)})"


def _shown(value: float, column: Column) -> str:
    return f"{100 * value:.1f} %" if column.percent else number(round(value, 2) if abs(value) >= 1 else value)
