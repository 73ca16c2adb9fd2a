"""The lower bound of a share, by hand."""

import numpy as np

from lib.evaluation.wilson import wilson_lower


def test_wilson_by_hand() -> None:
    # All of n right: n / (n + z^2), z^2 = 2.7055. 90 of 100: (0.91353 - 1.64485 * 0.0311069) / 1.02706.
    found = wilson_lower(np.array([50, 0, 90]), np.array([50, 10, 100]))
    np.testing.assert_allclose(found, [50 / 52.7055, 0, 0.83964], atol=1e-4)
