"""McNemar's exact test by hand, and Fleiss' kappa on the example of his field's textbooks."""

import numpy as np
import pytest

from lib.evaluation.agreement import Agreement, McNemar, agreement, mcnemar

# Ten rows of fourteen judges and five categories; kappa .210.
COUNTS = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip


def test_the_exact_test_is_binomial_over_the_differing_rows() -> None:
    first = np.array([True] * 10 + [True] + [False] * 5 + [False] * 4)
    second = np.array([True] * 10 + [False] + [True] * 5 + [False] * 4)
    # Twice the seven of the 64 ways in which at most one of six falls to the first.
    assert mcnemar(first, second) == McNemar(1, 5, pytest.approx(0.21875))
    assert mcnemar(first, first) == McNemar(0, 0, 1.0)
    with pytest.raises(ValueError, match="same rows"):
        mcnemar(first, second[1:])


def test_kappa_of_the_textbook() -> None:
    judged = [[name for name, n in zip("abcde", row, strict=True) for _ in range(n)] for row in COUNTS]
    found = agreement([*judged, ["a"], []])
    assert found == Agreement(10, pytest.approx(0.378, abs=5e-4), pytest.approx(0.210, abs=5e-4))


def test_kappa_where_there_is_nothing_to_compare() -> None:
    assert agreement([["a"], []]) is None
    assert agreement([["a", "a"], ["a", "a", "a"]]) == Agreement(2, 1.0, None)
    # Two judges who never agree, on two categories: 1 - 1 / .5.
    assert agreement([["a", None], [None, "a"]]) == Agreement(2, 0.0, pytest.approx(-1.0))
