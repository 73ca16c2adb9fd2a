"""Character grams of a name and their weights: the same function counts, trains and scores."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lib.text.vocabulary import PAD, places, read_columns

LONGEST = 4
# Words whose grams' ids are kept: some 40 MB, and in a catalogue nine words in ten of the next name.
REMEMBERED_WORDS = 100_000
FIRST_ID = 1
GRAMS_SCHEMA = pa.schema(
    [
        pa.field("token", pa.string(), False),
        pa.field("documents", pa.int64(), False),
        pa.field("idf", pa.float32(), False),
    ]
)


def grams(name: str) -> list[str]:
    """All 1- to 4-grams of each word of a normalised name, words padded by a space on both sides.

    As scikit-learn's `char_wb` gives them (a word shorter than n is counted once), less the lone space.
    """
    found: list[str] = []
    for word in name.split():
        found.extend(word)
        padded = f" {word} "
        for length in range(2, LONGEST + 1):
            if len(padded) <= length:
                found.append(padded)
                break
            found.extend([padded[start : start + length] for start in range(len(padded) - length + 1)])
    return found


@dataclass(frozen=True)
class GramVocabulary:
    """The grams that have a vector of their own; unknown ones are dropped.

    Attributes:
        ids: gram -> id, from 1 up in the order of the file; 0 pads.
        idf: smooth inverse document frequency by id; idf[0] is 0.
    """

    ids: dict[str, int]
    idf: tuple[float, ...]

    @classmethod
    def of(cls, tokens: list[str], idf: list[float]) -> "GramVocabulary":
        """A vocabulary of these grams in this order."""
        return cls({token: number for number, token in enumerate(tokens, FIRST_ID)}, (0.0, *idf))

    @classmethod
    def read(cls, path: Path | str) -> "GramVocabulary":
        """Read grams.parquet (token string, documents int64, idf float32; row i has id i + 1).

        Raises:
            UserError: it is no such file, or a gram is there twice.
        """
        table = read_columns(Path(path), GRAMS_SCHEMA)
        return cls.of(table.column("token").to_pylist(), table.column("idf").to_pylist())

    @property
    def size(self) -> int:
        """Number of ids, the padding included."""
        return len(self.ids) + FIRST_ID

    def gram_vec(self, name: str, length: int) -> tuple[list[int], list[float], bool]:
        """Ids and weights of a normalised name's grams, both exactly `length` long, zero padded at the end.

        Weights are (1 + ln tf) * idf, L2-normalised over the grams kept. Where there are more than `length`,
        those of the highest weight are kept (of equal ones the smaller id), in the order of the name.

        Returns:
            ids, weights, whether grams were cut.
        """
        ids = self.ids
        counted = Counter([number for gram in grams(name) if (number := ids.get(gram))])
        weighted = [(number, (1.0 + math.log(count)) * self.idf[number]) for number, count in counted.items()]
        cut = len(weighted) > length
        if cut:
            kept = {number for number, _ in sorted(weighted, key=lambda pair: (-pair[1], pair[0]))[:length]}
            weighted = [pair for pair in weighted if pair[0] in kept]
        norm = math.sqrt(sum(weight * weight for _, weight in weighted)) or 1.0
        padding = length - len(weighted)
        return (
            [number for number, _ in weighted] + [PAD] * padding,
            [weight / norm for _, weight in weighted] + [0.0] * padding,
            cut,
        )

    def matrices(self, names: Sequence[str], length: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """`gram_vec` of many names at once: ids and weights, both [names, length]; weights to rounding."""
        ids, weights = np.full((len(names), length), PAD, np.int32), np.zeros((len(names), length), np.float32)
        row, found, counts = self._counted(names)
        sizes = np.bincount(row, minlength=len(names))
        _, place = places(sizes)
        weight = (1.0 + np.log(counts)) * self._idf[found]
        norm = np.sqrt(np.bincount(row, weight * weight, len(names)))
        fits = sizes[row] <= length
        ids[row[fits], place[fits]] = found[fits]
        weights[row[fits], place[fits]] = (weight / np.where(norm > 0, norm, 1.0)[row])[fits]
        for cut in np.flatnonzero(sizes > length):
            ids[cut], weights[cut], _ = self.gram_vec(names[cut], length)
        return ids, weights

    def _counted(
        self, names: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The known grams of each name, each once and in the name's order: row, id, how often."""
        split = [name.split() for name in names]
        numbers: dict[str, int] = {}
        words = [numbers.setdefault(word, len(numbers)) for name in split for word in name]
        ids_of_word = [self._ids_of_word(word) for word in numbers]
        if not ids_of_word:
            return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
        word = np.array(words)
        sizes = np.array([len(ids) for ids in ids_of_word])
        starts = np.cumsum(sizes) - sizes
        occurrence, place = places(sizes[word])
        found = np.concatenate(ids_of_word)[starts[word][occurrence] + place]
        row = np.repeat(np.arange(len(names)), [len(name) for name in split])[occurrence]
        # Equal grams of a name lie together in this order, the earliest first.
        order = np.argsort(row * self.size + found, kind="stable")
        ordered = (row * self.size + found)[order]
        begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(order) else order
        counts = np.zeros(len(order), np.int64)
        counts[order[begins]] = np.diff(np.append(begins, len(order)))
        first = counts > 0
        return row[first], found[first], counts[first]

    @cached_property
    def _idf(self) -> npt.NDArray[np.float64]:
        return np.array(self.idf)

    @cached_property
    def _ids_of_word(self) -> Callable[[str], npt.NDArray[np.int32]]:
        ids = self.ids
        return lru_cache(maxsize=REMEMBERED_WORDS)(
            lambda word: np.array([number for gram in grams(word) if (number := ids.get(gram))], np.int32)
        )


def inverse_document_frequency(documents: int, total: int) -> float:
    """Smooth idf as scikit-learn's: ln((1 + total) / (1 + documents)) + 1."""
    return math.log((1 + total) / (1 + documents)) + 1.0
