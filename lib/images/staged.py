"""Reads bodies from a fetch's staged rounds, where they lie in Parquet, a row group at a time."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

BODY = "body"


class ReadStaged(Protocol):
    """Reads the body in a row of a file."""

    def __call__(self, file: str, row: int) -> bytes:
        """The body, unpacked; rows asked for in their order are read at the cost of one scan.

        Args:
            file: its address as Spark tells it (`_metadata.file_path`).
            row: its place within the file (`_metadata.row_index`).
        """
        ...


@contextmanager
def reading_staged() -> Iterator[ReadStaged]:
    """A reader, which holds one file and one row group of it at a time."""
    reader = _Staged()
    try:
        yield reader
    finally:
        reader.close()


class _Staged:
    """The file and row group that were asked for last."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._file: pq.ParquetFile | None = None
        self._first, self._rows = 0, pa.chunked_array([], pa.binary())

    def __call__(self, file: str, row: int) -> bytes:
        if file != self._name:
            self.close()
            self._file, self._name = pq.ParquetFile(unquote(file.removeprefix("file:"))), file
        if not self._first <= row < self._first + len(self._rows):
            self._read_group_of(row)
        packed: pa.BinaryScalar = self._rows[row - self._first]
        return gzip.decompress(packed.as_buffer())

    def close(self) -> None:
        """Let go of file and rows."""
        if self._file is not None:
            self._file.close()
        self._file, self._name, self._first, self._rows = None, None, 0, pa.chunked_array([], pa.binary())

    def _read_group_of(self, row: int) -> None:
        assert self._file is not None
        known = self._file.metadata
        self._first = 0
        for group in range(known.num_row_groups):
            rows = known.row_group(group).num_rows
            if row < self._first + rows:
                self._rows = self._file.read_row_group(group, columns=[BODY], use_threads=False).column(BODY)
                return
            self._first += rows
        raise IndexError(f"{self._name} has no row {row}")
