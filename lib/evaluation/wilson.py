"""How small a share may be, by the rows it was counted on: what decides where a few rows must not."""

import numpy as np
from numpy.typing import NDArray

# One-sided 95 %.
Z = 1.6448536269514722


def wilson_lower(right: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lower ends of Wilson's one-sided 95 % intervals (Wilson 1927; Brown, Cai and DasGupta 2001).

    Args:
        right, rows: counts of the same shape, rows above 0.
    """
    share, z2 = right / rows, Z * Z
    middle = share + z2 / (2 * rows)
    half = Z * np.sqrt(share * (1 - share) / rows + z2 / (4 * rows * rows))
    lower: NDArray[np.float64] = (middle - half) / (1 + z2 / rows)
    return lower
