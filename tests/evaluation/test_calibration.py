"""Calibration error, reliability bins and coverage, by hand and as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.evaluation import calibration

ROWS = st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=200)


def _arrays(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows], np.float32), np.array([row[1] for row in rows])


def test_error_by_hand_on_two_bins() -> None:
    confidence = np.array([0.6, 0.6, 0.9, 0.9], np.float32)
    correct = np.array([True, False, True, True])
    # |.5 - .6| and |1 - .9|, each over half of the rows
    assert calibration.calibration_error(confidence, correct, bins=2) == pytest.approx(0.1, abs=1e-6)


def test_perfectly_calibrated_rows_have_next_to_no_error() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(200_000).astype(np.float32)
    assert calibration.calibration_error(confidence, generator.random(200_000) < confidence) < 0.01


def test_overconfident_rows_show_it() -> None:
    generator = np.random.default_rng(0)
    confidence = np.full(10_000, 0.95, np.float32)
    error = calibration.calibration_error(confidence, generator.random(10_000) < 0.7)
    assert error == pytest.approx(0.25, abs=0.02)


def test_bins_have_equal_mass_and_equal_confidences_share_one() -> None:
    generator = np.random.default_rng(0)
    spread = calibration.reliability(generator.random(1500).astype(np.float32), np.ones(1500, bool), bins=15)
    assert {one.rows for one in spread} == {100}
    tied = calibration.reliability(np.full(1500, 0.5, np.float32), np.arange(1500) % 2 == 0)
    assert tied == [calibration.Bin(1500, 0.5, 0.5)]


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_bins_hold_every_row_once(rows: list[tuple[float, bool]]) -> None:
    confidence, correct = _arrays(rows)
    bins = calibration.reliability(confidence, correct)
    assert sum(one.rows for one in bins) == len(rows)
    assert sum(one.rows * one.accuracy for one in bins) == pytest.approx(correct.sum())
    assert 0 <= calibration.binned_error(bins) <= 1


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_coverage_never_grows_with_the_threshold(rows: list[tuple[float, bool]]) -> None:
    confidence, correct = _arrays(rows)
    found = calibration.covered(confidence, correct, [0.0, 0.25, 0.5, 0.75, 1.0])
    shares = [one.coverage for one in found]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    for one in found:
        accepted = correct[confidence >= one.threshold]
        assert one.rows == len(accepted)
        assert one.accuracy == pytest.approx(accepted.mean() if len(accepted) else 0)


def test_coverage_curve_ends_with_all_rows() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    curve = calibration.coverage_curve(confidence, np.array([True, True, False, True]), points=4)
    assert [(one.coverage, one.accuracy) for one in curve] == [
        (0.25, 1.0), (0.5, 1.0), (0.75, pytest.approx(2 / 3)), (1.0, 0.75)
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from([0.5, 0.8, 0.95]))
def test_coverage_at_an_accuracy_keeps_it_and_no_threshold_covers_more(
    rows: list[tuple[float, bool]], wanted: float
) -> None:
    confidence, correct = _arrays(rows)
    found = calibration.coverage_at(confidence, correct, wanted)
    accepted = confidence >= np.float32(found.threshold)
    assert found.rows == accepted.sum()
    assert found.rows == 0 or correct[accepted].mean() >= wanted
    for threshold in np.unique(confidence):
        more = confidence >= threshold
        assert more.sum() <= found.rows or correct[more].mean() < wanted


def test_no_rows() -> None:
    nothing, none = np.zeros(0, np.float32), np.zeros(0, bool)
    assert calibration.calibration_error(nothing, none) == 0
    assert calibration.coverage_curve(nothing, none) == []
    assert calibration.coverage_at(nothing, none, 0.9).rows == 0
    assert calibration.covered(nothing, none, [0.5])[0].coverage == 0
