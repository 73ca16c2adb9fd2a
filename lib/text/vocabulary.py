"""Word ids, as training and scoring both use them (R4): 0 pads, 1 is any unknown word."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lib.errors import UserError

PAD = 0
UNKNOWN = 1
RESERVED = 2
WORDS_SCHEMA = pa.schema([pa.field("token", pa.string(), False), pa.field("count", pa.int64(), False)])


@dataclass(frozen=True)
class Vocabulary:
    """The words that have a vector of their own.

    Attributes:
        ids: word -> id, from 2 up in the order of the file.
        counts: occurrences of each word in the train split of the window, in the same order.
    """

    ids: dict[str, int]
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokens: Iterable[str], counts: Iterable[int] = ()) -> "Vocabulary":
        """A vocabulary of these words in this order."""
        return cls({token: number for number, token in enumerate(tokens, RESERVED)}, tuple(counts))

    @classmethod
    def read(cls, path: Path | str) -> "Vocabulary":
        """Read words.parquet (token string, count int64; row i has id i + 2).

        Raises:
            UserError: it is no such file, or a word is there twice.
        """
        table = read_columns(Path(path), WORDS_SCHEMA)
        return cls.of(table.column("token").to_pylist(), table.column("count").to_pylist())

    @property
    def size(self) -> int:
        """Number of ids, the two reserved ones included."""
        return len(self.ids) + RESERVED

    def token_to_vec(self, tokens: Sequence[str], length: int) -> list[int]:
        """Ids of the first `length` tokens, zero padded at the end to exactly `length` (R4)."""
        ids = [self.ids.get(token, UNKNOWN) for token in tokens[:length]]
        return ids + [PAD] * (length - len(ids))

    def matrix(self, lists: pa.ListArray, length: int) -> npt.NDArray[np.int32]:
        """`token_to_vec` of many rows at once, [rows, length].

        Args:
            lists: of each row its tokens, none null.
        """
        made = np.full((len(lists), length), PAD, np.int32)
        # Each distinct token of the rows is looked up once.
        encoded = lists.flatten().dictionary_encode()
        known = np.array([self.ids.get(token, UNKNOWN) for token in encoded.dictionary.to_pylist()], np.int32)
        sizes = lists.value_lengths().to_numpy(zero_copy_only=False)
        row, place = places(sizes)
        kept = place < length
        made[row[kept], place[kept]] = known[encoded.indices.to_numpy(zero_copy_only=False)[kept]]
        return made


def places(sizes: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of lists that lie end to end, the row of each value and its place within the row."""
    row = np.repeat(np.arange(len(sizes)), sizes)
    return row, np.arange(len(row)) - (np.cumsum(sizes) - sizes)[row]


def read_columns(
    path: Path, schema: pa.Schema, key: str = "token", what: str = "vocabulary", job: str = "jobs/vocabulary.py"
) -> pa.Table:
    """The columns of a file that gives texts their ids, checked: names, types, no null, every text once.

    Args:
        key: column of the texts.
        what, job: what such a file is called, and what makes it.

    Raises:
        UserError: the file is something else.
    """
    try:
        table = pq.read_table(path, columns=schema.names)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path} is no {what} ({' '.join(str(error).split())}); run {job}") from None
    found = {field.name: field.type for field in table.schema}
    if found != {field.name: field.type for field in schema}:
        raise UserError(f"{path} has columns {found} where a {what} has {schema.names}; run {job}")
    if any(table.column(name).null_count for name in schema.names):
        raise UserError(f"{path} has empty values; run {job} again")
    if len(table.column(key).unique()) != table.num_rows:
        raise UserError(f"{path} has a {key} twice; run {job} again")
    return table


def write_words(path: Path, tokens: Sequence[str], counts: Sequence[int]) -> None:
    """Write words.parquet: row i has id i + 2."""
    pq.write_table(pa.table({"token": list(tokens), "count": list(counts)}, schema=WORDS_SCHEMA), path)
