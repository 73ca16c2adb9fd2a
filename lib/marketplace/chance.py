"""Random draws that are pure functions of (seed, what is drawn, for whom).

A generator with a state would tie an offer to the partition it is made in. Here every draw hashes its keys instead, so
any row can be made alone, anywhere, and comes out the same.
"""

import hashlib
from functools import cache

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_FLOAT_BITS = np.uint64(11)  # 64 bits less the 53 of a float64's mantissa


class Chance:
    """All draws of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def bits(self, stream: str, *keys: Integers | int) -> Bits:
        """64 random bits for each broadcast combination of keys; other streams are independent."""
        state = np.full(np.broadcast_shapes(*(np.shape(key) for key in keys), (1,)), _start(self.seed, stream))
        for key in keys:
            state = _mix(state + np.asarray(key, dtype=np.int64).astype(np.uint64) * _GOLDEN + _GOLDEN)
        return state

    def uniform(self, stream: str, *keys: Integers | int) -> Floats:
        """Numbers in [0, 1)."""
        return (self.bits(stream, *keys) >> _FLOAT_BITS).astype(np.float64) * 2.0**-53

    def below(self, stream: str, bound: Integers | int, *keys: Integers | int) -> Integers:
        """Integers in [0, bound); bound > 0, one for all or one each."""
        return np.minimum(np.floor(self.uniform(stream, *keys) * bound), np.asarray(bound) - 1).astype(np.int64)

    def happens(self, stream: str, share: Floats | float, *keys: Integers | int) -> npt.NDArray[np.bool_]:
        """True with the given probability."""
        return self.uniform(stream, *keys) < share


def _mix(state: Bits) -> Bits:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


@cache
def _start(seed: int, stream: str) -> np.uint64:
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))
