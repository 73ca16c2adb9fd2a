"""Bounds of paired differences: by hand, against their definition, as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.promotion.bounds import Pairs, holm, loses_more, loss_score, lower_bound, weighted

COUNTS = st.tuples(st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 5000)).map(
    lambda some: (max(some[0], some[1] + some[2]), some[1], some[2])
)


def pairs(*counts: tuple[float, float, float]) -> Pairs:
    return Pairs(*(np.array(column, np.float64) for column in zip(*counts, strict=True)))


def test_bound_of_many_rows_is_the_textbooks() -> None:
    # 150,000 rows, .025 gained and .025 lost: 1.645 * sqrt(.05 / 150,000).
    assert lower_bound(pairs((150_000, 3750, 3750)), 0.95)[0] == pytest.approx(-0.00095, abs=2e-6)


def test_rows_without_a_difference_still_leave_doubt() -> None:
    # The exact binomial bound of 0 losses in n rows is 1 - .05 ** (1 / n), about 3 / n; the score bound is 2.7 / n.
    few, many = lower_bound(pairs((7, 0, 0), (1000, 0, 0)), 0.95)
    assert few == pytest.approx(-2.7055 / (7 + 2.7055), abs=1e-4)
    assert many == pytest.approx(-2.7055 / (1000 + 2.7055), abs=1e-6)


def test_no_rows_show_nothing() -> None:
    assert lower_bound(pairs((0, 0, 0)), 0.95)[0] == -1
    assert loses_more(pairs((0, 0, 0)), 0.05)[0] == 1


@given(COUNTS)
def test_bound_is_where_the_test_says_so_and_below_the_difference(counts: tuple[int, int, int]) -> None:
    given_pairs = pairs(counts)
    bound = lower_bound(given_pairs, 0.95)
    assert -1 <= bound[0] <= given_pairs.difference[0] + 1e-9
    if -1 + 1e-6 < bound[0] < 1 - 1e-6:
        assert loss_score(given_pairs, -bound + 1e-7)[0] <= -1.6448
        assert loss_score(given_pairs, -bound - 1e-7)[0] >= -1.6450


@given(COUNTS)
def test_more_losses_never_raise_the_bound(counts: tuple[int, int, int]) -> None:
    rows, gains, losses = counts
    less, more = lower_bound(pairs((rows + 1, gains, losses), (rows + 1, gains, losses + 1)), 0.95)
    assert more <= less + 1e-9


def test_a_loss_at_the_margin_is_told_in_five_of_a_hundred() -> None:
    chance = np.random.default_rng(1)
    counts = chance.multinomial(300, [0.02, 0.07, 0.91], size=20_000).astype(np.float64)
    found = loses_more(Pairs(np.full(20_000, 300.0), counts[:, 0], counts[:, 1]), 0.05)
    assert np.mean(found < 0.05) == pytest.approx(0.05, abs=0.012)


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.6, 0.9])) == pytest.approx([1, 1])
    assert len(holm(np.zeros(0))) == 0


def test_equal_weights_change_nothing_and_unequal_ones_cost_rows() -> None:
    signs = [1, -1, -1, 0]
    even = weighted(signs, [3, 3, 3, 3])
    assert (even.rows[0], even.gains[0], even.losses[0]) == pytest.approx((4, 1, 2))
    heavy = weighted(signs, [6, 1, 1, 1])
    assert heavy.rows[0] == pytest.approx(81 / 39)
    assert heavy.difference[0] == pytest.approx((6 - 2) / 9)
    assert weighted([], []).rows[0] == 0
