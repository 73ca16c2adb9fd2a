"""Categories of high entropy told apart on answers made by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config.uncertain import UncertainSettings
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Recorder
from lib.evaluation.uncertain import Answers, Uncertain, UncertainCategory, facts, uncertain

CLASSES = 12
SETTINGS = UncertainSettings()


def answers(*parts: tuple[int, int, int, float, float]) -> Answers:
    """Rows of (how many, given, said, confidence, entropy)."""
    columns = [np.repeat([part[at] for part in parts], [part[0] for part in parts]) for at in range(1, 5)]
    kinds = (np.int32, np.int32, np.float32, np.float32)
    return Answers(*(column.astype(kind) for column, kind in zip(columns, kinds, strict=True)))


def found(made: Answers, **changes: float) -> Uncertain:
    return uncertain(made, CLASSES, UncertainSettings.model_validate(changes))


def kinds(made: Answers, **changes: float) -> dict[int, str]:
    return {one.label: one.kind for one in found(made, **changes).listed}


# A category that is always right, so that what is usual is that.
RIGHT = (2000, 11, 11, 0.99, 0.01)


def test_two_that_swap_rows_are_twins() -> None:
    made = answers(RIGHT, (60, 0, 0, 0.6, 0.7), (40, 0, 1, 0.6, 0.7), (70, 1, 1, 0.6, 0.6), (30, 1, 0, 0.6, 0.6))
    assert kinds(made) == {0: "twins", 1: "twins", 11: "uncertain"}
    first = found(made).listed[0]
    assert (first.label, first.rows, first.mistaken, first.entropy.value) == (0, 100, 40, pytest.approx(0.7))
    assert [(one.label, one.rows, one.back, one.of) for one in first.rivals] == [(1, 40, 30, 100)]
    # As mixed as .6 and .4 are.
    assert first.answers == pytest.approx(np.exp(-0.6 * np.log(0.6) - 0.4 * np.log(0.4)))


def test_one_way_they_are_no_twins() -> None:
    made = answers(RIGHT, (60, 0, 0, 0.6, 0.7), (40, 0, 1, 0.6, 0.7), (97, 1, 1, 0.6, 0.6), (3, 1, 0, 0.6, 0.6))
    assert kinds(made)[0] == "uncertain"
    few = answers(RIGHT, (60, 0, 0, 0.6, 0.7), (40, 0, 1, 0.6, 0.7), (10, 1, 1, 0.6, 0.6), (10, 1, 0, 0.6, 0.6))
    assert kinds(few) == {0: "uncertain", 11: "uncertain"}, "a rival of 20 rows is not judged"


def test_rows_surely_answered_with_others_and_hardly_back_are_misfiled() -> None:
    """Its entropy is low, so that it is found by its mistakes alone."""
    unsure = [(100, label, label, 0.5, 1.0) for label in range(2, 7)]
    misfiled = [(85, 0, 0, 0.99, 0.02), (10, 0, 1, 0.98, 0.05), (5, 0, 2, 0.97, 0.06), (98, 1, 1, 0.99, 0.01)]
    made = answers(RIGHT, *unsure, *misfiled, (2, 1, 0, 0.95, 0.1))
    assert kinds(made, top=5)[0] == "polluted"
    one = next(one for one in found(made, top=5).listed if one.label == 0)
    assert (one.sure, one.sure_back) == (15, 2)
    assert kinds(made, top=5, sure=0.995)[0] != "polluted"
    assert kinds(made, top=5, polluted=0.2)[0] != "polluted"
    both_ways = answers(RIGHT, *unsure, *misfiled, (12, 1, 0, 0.95, 0.1), (200, 1, 1, 0.99, 0.01))
    assert kinds(both_ways, top=5)[0] != "polluted"


def test_what_is_usual_everywhere_is_no_pollution() -> None:
    everywhere = [part for label in range(10) for part in (
        (90, label, label, 0.99, 0.01), (10, label, (label + 1) % 10, 0.95, 0.1))]  # fmt: skip
    assert set(kinds(answers(*everywhere)).values()) == {"uncertain"}


def test_answers_spread_over_many_are_broad() -> None:
    spread = [(8, 0, other, 0.4, 1.8) for other in range(1, 6)]
    made = answers(RIGHT, (60, 0, 0, 0.5, 1.5), *spread, *((100, other, other, 0.9, 0.1) for other in range(1, 6)))
    assert kinds(made)[0] == "broad"
    assert found(made).listed[0].answers > 3
    # One of them has most of it.
    rival = answers(RIGHT, (60, 0, 0, 0.5, 1.5), *spread, (60, 0, 6, 0.5, 1.5), (100, 6, 6, 0.9, 0.1))
    assert kinds(rival)[0] == "uncertain"


def test_few_rows_are_not_judged_and_unknown_leaves_count_for_none() -> None:
    made = answers((29, 0, 1, 0.5, 2.0), (1, 2, 3, 0.5, 2.0), (30, 1, 1, 0.5, 0.5), (50, -1, 1, 0.95, 2.0))
    judged = found(made)
    assert [one.label for one in judged.listed] == [1]
    assert (judged.judged, judged.few, judged.sure_share) == (1, 2, 0.0)


def test_the_least_sure_come_first_and_no_more_than_asked_for() -> None:
    made = answers(*((30 + label, label, label, 0.5, label / 10) for label in range(10)))
    assert [one.label for one in found(made, top=3).listed] == [9, 8, 7]
    interval = found(made, top=1).listed[0].entropy
    assert interval.low == interval.value == interval.high == pytest.approx(0.9)
    mixed = found(answers((50, 0, 0, 0.5, 0.2), (50, 0, 0, 0.5, 1.2))).listed[0].entropy
    assert mixed.high - mixed.value == pytest.approx(1.96 * 0.5 / np.sqrt(99))


def test_no_row_and_one_row() -> None:
    for made in (answers(), answers((1, 0, 1, 0.5, 1.0))):
        assert found(made).listed == []
    assert facts(found(answers()), [], [])["categories"] == []


def test_answers_of_splits_are_joined() -> None:
    recorder = Recorder(Hierarchy([["a"], ["b"]]))
    recorder.add(np.log(np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)), np.array([0, 0], np.int32))
    seen = recorder.finish()
    both = Answers.joined([Answers.of(seen), Answers.of(seen)])
    assert both.predicted.tolist() == [0, 1, 0, 1]
    assert both.entropy[0] == pytest.approx(np.log(2))
    assert both.confidence.tolist() == pytest.approx([0.5, 0.75] * 2)


ROW = st.tuples(
    st.integers(1, 60), st.integers(-1, CLASSES - 1), st.integers(0, CLASSES - 1), st.floats(0, 1), st.floats(0, 3)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, max_size=40))
def test_whatever_the_answers_the_counts_are_theirs(parts: list[tuple[int, int, int, float, float]]) -> None:
    made = answers(*parts)
    names = [f"c{label}" for label in range(CLASSES)]
    judged = found(made, min_rows=20)
    json.dumps(facts(judged, names, [[name] for name in names]), allow_nan=False)
    for one in judged.listed:
        _check(one, made)


def _check(one: UncertainCategory, made: Answers) -> None:
    mine = made.label == one.label
    wrong = mine & (made.predicted != one.label)
    assert (one.rows, one.mistaken) == (mine.sum(), wrong.sum())
    assert one.sure == (wrong & (made.confidence >= np.float32(SETTINGS.sure))).sum() <= one.mistaken
    assert one.entropy.value == pytest.approx(made.entropy[mine].mean(), abs=1e-4)
    assert 1 <= one.answers <= len(set(made.predicted[mine])) + 1e-9
    for rival in one.rivals:
        assert rival.rows == (mine & (made.predicted == rival.label)).sum() > 0
        assert rival.back == ((made.label == rival.label) & (made.predicted == one.label)).sum() <= rival.of
