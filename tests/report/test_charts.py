"""Charts: values land where they belong, whatever comes in, and nothing in them is markup of others."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.report.charts import HEIGHT, WIDTH, Axis, Series, interval_mark, line_chart, lone_chart, number

NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


def _places(chart: str) -> list[tuple[float, float]]:
    points = re.search(r'<polyline [^>]*points="([^"]*)"', chart)
    assert points
    return [(float(a), float(b)) for a, b in (pair.split(",") for pair in points[1].split())]


def test_larger_values_are_drawn_further_right_and_higher_up() -> None:
    chart = line_chart([Series("a", [(0, 0), (1, 5), (2, 10)])], Axis("x"), Axis("y"), "a chart")
    places = _places(chart)
    assert [a for a, _ in places] == sorted(a for a, _ in places)
    assert [b for _, b in places] == sorted((b for _, b in places), reverse=True)


def test_logarithmic_axis_spaces_powers_evenly_and_leaves_out_zero() -> None:
    chart = line_chart([Series("a", [(1, 0), (2, 1), (3, 10), (4, 100)])], Axis("x"), Axis("y", log=True), "")
    ups = [b for _, b in _places(chart)]
    assert len(ups) == 3
    assert ups[0] - ups[1] == pytest.approx(ups[1] - ups[2], abs=0.2)


def test_names_and_labels_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    chart = line_chart([Series(hostile, [(0, 1)], dots=True)], Axis(hostile, names=[hostile]), Axis("y"), hostile)
    assert "<script" not in chart
    assert chart.count("&lt;script&gt;") >= 4


def test_nothing_to_draw_gives_no_chart() -> None:
    assert line_chart([Series("a", [(0, math.nan)])], Axis("x"), Axis("y"), "") == ""


def test_percent_ticks() -> None:
    chart = line_chart([Series("a", [(0, 0.8), (1, 0.95)])], Axis("x"), Axis("y", 0.5, 1, percent=True), "")
    assert "100 %" in chart
    assert "80 %" in chart


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30), st.booleans())
def test_any_numbers_give_well_formed_svg_inside_its_box(points: list[tuple[float, float]], log: bool) -> None:
    chart = line_chart([Series("a", sorted(points, key=str), dots=True)], Axis("x"), Axis("y", log=log), "any")
    if chart:
        ElementTree.fromstring(chart)
        assert all(0 <= a <= WIDTH and 0 <= b <= HEIGHT for a, b in _places(chart))


def test_long_lines_are_thinned_and_keep_their_ends() -> None:
    chart = line_chart([Series("a", [(float(i), float(i)) for i in range(5000)])], Axis("x"), Axis("y"), "")
    assert len(_places(chart)) == 400
    assert _places(chart)[-1][0] > WIDTH * 0.9


def test_interval_mark_has_a_whisker_only_with_an_interval() -> None:
    assert 'class="whisker"' in interval_mark(0.5, 0.4, 0.6, 0, 1)
    assert 'class="whisker"' not in interval_mark(0.5, None, None, 0, 1)
    assert interval_mark(0.5, 0.4, 0.6, 1, 1) == ""


def test_numbers_as_a_person_reads_them() -> None:
    assert [number(n) for n in (12345, 12345.0, 0.01234, 123.456)] == ["12,345", "12,345", "0.0123", "123.5"]


def test_a_lone_chart_names_its_lines_inside() -> None:
    lines = [Series("<one>", [(0, 1), (1, 2)]), Series("two", [(0, 2)]), Series("nothing", [])]
    drawn = ElementTree.fromstring(lone_chart(lines, Axis("x"), Axis("y"), "both"))
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-2:] == ["<one>", "two"]
    assert int(drawn.attrib["viewBox"].split()[3]) > HEIGHT


def test_a_lone_chart_without_points_is_a_drawing_still() -> None:
    assert ElementTree.fromstring(lone_chart([], Axis("x"), Axis("y"), "none")).attrib["aria-label"] == "none"
