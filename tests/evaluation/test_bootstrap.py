"""Intervals against closed forms, against plain row resampling and as properties of any input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from lib.evaluation import bootstrap

BOOLEANS = st.lists(st.booleans(), min_size=1, max_size=300)


@settings(max_examples=60, deadline=None)
@given(BOOLEANS)
def test_accuracy_lies_in_its_interval(right: list[bool]) -> None:
    found = bootstrap.mean(right, rounds=200)
    assert found.value == pytest.approx(np.mean(right))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_interval_of_an_accuracy_is_the_binomial_one() -> None:
    right = np.arange(10_000) < 8_000
    found = bootstrap.mean(right, rounds=4000)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 10_000)
    assert found.low == pytest.approx(0.8 - half, abs=5e-4)
    assert found.high == pytest.approx(0.8 + half, abs=5e-4)


def test_same_seed_same_interval() -> None:
    right = np.arange(500) % 3 == 0
    assert bootstrap.mean(right) == bootstrap.mean(right)
    assert bootstrap.mean(right, seed=1) != bootstrap.mean(right, seed=2)


def test_ratio_over_rows() -> None:
    found = bootstrap.ratio([1, 2, 0, 3], [2, 2, 1, 5])
    assert found.value == pytest.approx(0.6)
    assert found.low < 0.6 < found.high
    assert bootstrap.ratio([0, 0], [0, 0]).value == 0


def test_paired_difference_is_narrower_than_two_single_intervals() -> None:
    generator = np.random.default_rng(0)
    peer = generator.random(5_000) < 0.8
    flipped = generator.random(5_000) < 0.02
    ours = np.where(flipped, True, peer)
    found = bootstrap.paired_difference(ours, peer)
    assert found.value == pytest.approx(ours.mean() - peer.mean())
    assert 0 < found.low < found.value < found.high
    single = bootstrap.mean(ours)
    assert found.high - found.low < (single.high - single.low) / 2


def test_paired_difference_agrees_with_resampling_rows() -> None:
    generator = np.random.default_rng(1)
    ours, peer = generator.random((2, 400)) < np.array([[0.7], [0.6]])
    rows = generator.integers(0, 400, (4000, 400))
    drawn = ours[rows].mean(axis=1) - peer[rows].mean(axis=1)
    found = bootstrap.paired_difference(ours, peer, rounds=4000)
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.008)


def test_paired_difference_over_seeds_takes_each_rows_mean() -> None:
    ours = [[True, True, False], [True, False, False]]
    found = bootstrap.paired_difference(ours, [[False, False, False]] * 2)
    assert found.value == pytest.approx(0.5)


def test_paired_difference_refuses_other_rows() -> None:
    with pytest.raises(ValueError, match="same rows"):
        bootstrap.paired_difference([True, False], [True])


def test_a_model_against_itself_differs_by_nothing() -> None:
    right = np.arange(100) % 2 == 0
    assert bootstrap.paired_difference(right, right) == bootstrap.Interval(0, 0, 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 5)), min_size=1, max_size=80))
def test_macro_f1_is_sklearns_over_the_categories_given(pairs: list[tuple[int, int]]) -> None:
    label, predicted = np.array(pairs, np.int32).T
    found = bootstrap.macro_f1(label, predicted, 6, rounds=50)
    occurring = sorted(set(label.tolist()) - {-1})
    expected = f1_score(label, predicted, labels=occurring, average="macro", zero_division=0) if occurring else 0
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high


def test_macro_f1_interval_agrees_with_resampling_rows() -> None:
    generator = np.random.default_rng(2)
    label = generator.integers(0, 4, 600).astype(np.int32)
    predicted = np.where(generator.random(600) < 0.7, label, generator.integers(0, 4, 600)).astype(np.int32)
    rows = generator.integers(0, 600, (300, 600))
    drawn = [f1_score(label[row], predicted[row], average="macro") for row in rows]
    found = bootstrap.macro_f1(label, predicted, 4, rounds=1000)
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.012)


def test_no_rows_give_a_figure_of_zero() -> None:
    nothing = np.zeros(0, np.int32)
    assert bootstrap.mean([]) == bootstrap.Interval(0, 0, 0)
    assert bootstrap.macro_f1(nothing, nothing, 3) == bootstrap.Interval(0, 0, 0)
