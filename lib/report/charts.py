"""Small charts as inline SVG: no script, no network, colours from the page's style sheet, so light and dark
work.

Every text goes through `escape`: labels may be product or category names, which are untrusted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 72, 26, 12, 44
COLOURS = 4
# More points than pixels draw nothing new.
MAX_POINTS = 400
# Points that differ by less than this share of their size lie on one line: ticks would all read the same.
NO_SPREAD = 1e-6
# Named ticks, such as months, that fit side by side.
MAX_NAMES = 7
# A figure that stands alone has no page around it whose style sheet it could use.
ALONE = Markup(
    "text{fill:#5c6675;font:12px system-ui,sans-serif}text.end{text-anchor:end}text.middle{text-anchor:middle}"
    ".grid{stroke:#e3e1dc}.tick{stroke:#5c6675}.series{fill:none;stroke-width:2}.dashed{stroke-dasharray:5 4}"
    ".c0{stroke:#2f6fdb}.c1{stroke:#d9772b}.c2{stroke:#2a9d75}.c3{stroke:#9a5fc0}"
    ".dot.c0{fill:#2f6fdb}.dot.c1{fill:#d9772b}.dot.c2{fill:#2a9d75}.dot.c3{fill:#9a5fc0}"
)
# Height of a line of its legend.
LEGEND_LINE = 18
Point = tuple[float, float]
GRID_LINE = Markup(
    '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text class="end" x="{}" y="{:.1f}">{}</text>'
)
TICK_MARK = Markup(
    '<line class="tick" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/><text class="middle" x="{:.1f}" y="{}">{}</text>'
)


@dataclass(frozen=True)
class Series:
    """One line: its name in the legend and its points, x ascending; without `line` its dots alone."""

    name: str
    points: Sequence[Point]
    dots: bool = False
    dashed: bool = False
    line: bool = True


@dataclass(frozen=True)
class Axis:
    """One axis; ends follow the points where they are not given.

    Attributes:
        percent: values are shares and shown as %.
        log: logarithmic, for positive values.
        names: what stands at 0, 1, 2, … in place of the number.
    """

    label: str
    low: float | None = None
    high: float | None = None
    percent: bool = False
    log: bool = False
    names: Sequence[str] = ()


def line_chart(series: Sequence[Series], x: Axis, y: Axis, description: str) -> Markup:
    """A line chart with legend, for a page; the empty string when there is no point to draw."""
    drawn = _to_draw(series, x, y)
    if not drawn:
        return Markup("")
    chart = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, description, _plot(drawn, x, y)
    )
    return Markup('<figure class="chart">{}{}</figure>').format(chart, _legend(drawn))


def lone_chart(series: Sequence[Series], x: Axis, y: Axis, description: str) -> Markup:
    """A line chart as an SVG file of its own, its legend and its style inside."""
    drawn = _to_draw(series, x, y)
    legend = _drawn_legend(drawn) if len(drawn) > 1 else Markup("")
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" xmlns="http://www.w3.org/2000/svg"><style>{}</style>{}{}</svg>'
    ).format(
        WIDTH,
        HEIGHT + (LEGEND_LINE * len(drawn) if legend else 0),
        description,
        ALONE,
        _plot(drawn, x, y) if drawn else "",
        legend,
    )


def interval_mark(value: float, low: float | None, high: float | None, start: float, end: float) -> Markup:
    """A dot with its interval as a whisker on a scale from `start` to `end`; no whisker where there is
    none."""
    if end <= start:
        return Markup("")

    def place(figure: float) -> str:
        return f"{4 + 152 * min(1.0, max(0.0, (figure - start) / (end - start))):.1f}"

    whisker = Markup("")
    if low is not None and high is not None:
        whisker = Markup('<line class="whisker" x1="{}" x2="{}" y1="8" y2="8"/>').format(place(low), place(high))
    return Markup(
        '<svg class="interval" viewBox="0 0 160 16" aria-hidden="true">'
        '<line class="rail" x1="4" x2="156" y1="8" y2="8"/>{}<circle cx="{}" cy="8" r="3.6"/></svg>'
    ).format(whisker, place(value))


def sparkline(points: Sequence[Point], description: str) -> Markup:
    """A line without axes, as high as a row of text, from 0 to its highest point; for one look down a table."""
    drawn = _thinned([point for point in points if math.isfinite(point[1])])
    if not drawn:
        return Markup("")
    first, last, top = drawn[0][0], drawn[-1][0], max(max(y for _, y in drawn), NO_SPREAD)
    across = max(last - first, NO_SPREAD)
    places = " ".join(f"{2 + 156 * (x - first) / across:.1f},{14 - 12 * max(y, 0) / top:.1f}" for x, y in drawn)
    return Markup(
        '<svg class="interval" viewBox="0 0 160 16" role="img" aria-label="{}">'
        '<polyline class="series c0" points="{}"/></svg>'
    ).format(description, places)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether `number` is for it: true and false are words."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float | int) -> str:
    """A number as a person reads it: 12,345 or 0.0123."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


class _Scale:
    """Values to pixels, with ticks."""

    def __init__(self, axis: Axis, values: Sequence[float], start: float, end: float) -> None:
        self.axis, self.start, self.end = axis, start, end
        low = min(values) if axis.low is None else axis.low
        high = max(values) if axis.high is None else axis.high
        if axis.log:
            low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        size = max(abs(low), abs(high))
        if high - low <= size * NO_SPREAD:
            margin = max(0.5, size / 100)
            low, high = (low / 10, high * 10) if axis.log else (low - margin, high + margin)
        if axis.names:
            self.ticks = [float(place) for place in range(0, len(axis.names), 1 + len(axis.names) // MAX_NAMES)]
        else:
            self.ticks = _powers(low, high) if axis.log else _round_numbers(low, high)
        if not axis.log:
            low = low if axis.low is not None else min(low, self.ticks[0])
            high = high if axis.high is not None else max(high, self.ticks[-1])
        self._measure: Callable[[float], float] = math.log10 if axis.log else float
        self._low, self._high = self._measure(low), self._measure(high)

    def __call__(self, value: float) -> float:
        share = (self._measure(value) - self._low) / (self._high - self._low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def text(self, tick: float) -> str:
        if self.axis.names:
            return self.axis.names[round(tick)]
        return f"{tick * 100:.3g} %" if self.axis.percent else number(round(tick, 10))


def _to_draw(series: Sequence[Series], x: Axis, y: Axis) -> list[Series]:
    """The series with the points that can be drawn, without those that have none."""
    drawn = [replace(one, points=_thinned(_drawable(one.points, x, y))) for one in series]
    return [one for one in drawn if one.points]


def _plot(drawn: Sequence[Series], x: Axis, y: Axis) -> Markup:
    across = _Scale(x, [p[0] for one in drawn for p in one.points], LEFT, WIDTH - RIGHT)
    up = _Scale(y, [p[1] for one in drawn for p in one.points], HEIGHT - BOTTOM, TOP)
    return Markup("").join([_grid(across, up), *(_line(i, one, across, up) for i, one in enumerate(drawn))])


def _drawable(points: Sequence[Point], x: Axis, y: Axis) -> list[Point]:
    """Points with finite values, positive where the axis is logarithmic."""
    return [
        (a, b)
        for a, b in points
        if math.isfinite(a) and math.isfinite(b) and (a > 0 or not x.log) and (b > 0 or not y.log)
    ]


def _thinned(points: list[Point]) -> list[Point]:
    if len(points) <= MAX_POINTS:
        return points
    step = (len(points) - 1) / (MAX_POINTS - 1)
    return [points[round(index * step)] for index in range(MAX_POINTS)]


def _round_numbers(low: float, high: float, about: int = 5) -> list[float]:
    """Ticks at 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1)]


def _grid(across: _Scale, up: _Scale) -> Markup:
    lines = [
        GRID_LINE.format(LEFT, WIDTH - RIGHT, up(tick), up(tick), LEFT - 8, up(tick) + 4, up.text(tick))
        for tick in _inside(up)
    ]
    marks = [
        TICK_MARK.format(
            across(tick),
            across(tick),
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 4,
            across(tick),
            HEIGHT - BOTTOM + 18,
            across.text(tick),
        )
        for tick in _inside(across)
    ]
    names = Markup(
        '<text class="middle label" x="{}" y="{}">{}</text>'
        '<text class="middle label" transform="translate(14 {}) rotate(-90)">{}</text>'
    ).format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across.axis.label, (TOP + HEIGHT - BOTTOM) / 2, up.axis.label)
    return Markup("").join([*lines, *marks, names])


def _inside(scale: _Scale) -> list[float]:
    """Ticks that are not clipped by given ends."""
    axis = scale.axis
    low = -math.inf if axis.low is None else axis.low - 1e-9
    high = math.inf if axis.high is None else axis.high + 1e-9
    return [tick for tick in scale.ticks if low <= tick <= high or axis.log]


def _line(index: int, one: Series, across: _Scale, up: _Scale) -> Markup:
    places = [(across(a), up(b)) for a, b in one.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    kind = f"series {_look(index, one)}"
    line = Markup('<polyline class="{}" points="{}"/>').format(kind, path) if one.line else Markup("")
    if not (one.dots or len(places) == 1):
        return line
    dots = [
        Markup('<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="3.4"><title>{}: {}, {}</title></circle>').format(
            index % COLOURS, a, b, one.name, across.text(x), up.text(y)
        )
        for (a, b), (x, y) in zip(places, one.points, strict=True)
    ]
    return Markup("").join([line, *dots])


def _look(index: int, one: Series) -> str:
    """Classes of a line's colour and stroke."""
    return f"c{index % COLOURS}{' dashed' if one.dashed else ''}"


def _legend(drawn: Sequence[Series]) -> Markup:
    items = [
        Markup('<span><i class="{}"></i>{}</span>').format(_look(index, one), escape(one.name))
        for index, one in enumerate(drawn)
    ]
    return Markup('<figcaption class="legend">{}</figcaption>').format(Markup("").join(items))


def _drawn_legend(drawn: Sequence[Series]) -> Markup:
    """A line a series, below the plot."""
    items = []
    for index, one in enumerate(drawn):
        middle = HEIGHT + LEGEND_LINE * index + LEGEND_LINE // 2
        kind = f"series {_look(index, one)}"
        mark = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            kind, LEFT, LEFT + 24, middle, middle
        )
        items += [mark, Markup('<text x="{}" y="{}">{}</text>').format(LEFT + 32, middle + 4, one.name)]
    return Markup("").join(items)
