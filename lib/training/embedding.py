"""Word vectors made for one vocabulary, put in the order of another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.text.vocabulary import RESERVED, Vocabulary


def aligned(words: Vocabulary, source: Vocabulary, vectors: NDArray[Any], seed: int) -> NDArray[Any]:
    """A row for each id of `words`: its vector, or a random one of the same spread where `source` lacks the word.

    Args:
        words: the vocabulary wanted; rows 0 (padding) and 1 (unknown) are taken over as they are.
        source: the vocabulary of `vectors`.
        vectors: float32 [source.size, width].
        seed: of the random rows.

    Returns:
        float32 [words.size, width].
    """
    spread = float(vectors[RESERVED:].std()) if len(vectors) > RESERVED else 0.05
    made = np.random.default_rng(seed).normal(0.0, spread, (words.size, vectors.shape[1])).astype(np.float32)
    made[:RESERVED] = vectors[:RESERVED]
    for word, number in words.ids.items():
        known = source.ids.get(word)
        if known is not None:
            made[number] = vectors[known]
    return made
