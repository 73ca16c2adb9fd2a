"""Reads what cannot be split at newlines (quoted CSV, JSON, Parquet) record by record into staged Parquet.

Each record becomes one row: position, raw (its first 64 KiB), problem (why it cannot be read, or null) and cells, the
texts of the wanted columns in the order asked for. What happens to them afterwards is the same as for plain lines.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow_hotfix  # noqa: F401  closes pyarrow 14's hole for Parquet from outside

from lib.config import Encoding, Source
from lib.crawl.parsers.api_json import unmarked
from lib.errors import UserError
from lib.sources import files
from lib.sources.columns import CONTROL, Columns, check_header
from lib.sources.staging import Delivery, Part, Staging

RAW_BYTES = 64 << 10
ROWS_A_GROUP = 10_000
# An API response has at most 100 items, some 60 kB; a whole catalogue as one JSON document some MB.
DOCUMENT_BYTES = 256 << 20
SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("raw", pa.binary()),
        ("problem", pa.string()),
        ("cells", pa.list_(pa.string())),
    ]
)
BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(CONTROL)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Record:
    """One record as read."""

    position: int
    raw: bytes
    cells: list[str | None]
    problem: str | None = None


def convert(staging: Staging, source: Source, delivery: Delivery, columns: Columns, longest: int) -> Part:
    """Stage one delivered file as Parquet.

    Args:
        columns: what the source's columns mean; `cells` are its `wanted` ones.
        longest: records of more bytes are rejected.

    Raises:
        UserError: the file is damaged, is not of the declared format or lacks a column.
    """
    part = staging.part(delivery, suffix="parquet")
    records = _reader(source)(delivery, source, columns, longest)
    with pq.ParquetWriter(part.path, SCHEMA, compression="snappy") as writer:
        while rows := list(islice(records, ROWS_A_GROUP)):
            batch = _batch(rows, len(columns.wanted))
            staging.spend(batch.nbytes, delivery.file)
            writer.write_batch(batch)
    return part


def clean(cell: str | None) -> str | None:
    """A cell with blanks for control characters."""
    return cell and _CONTROL.sub(" ", cell)


Reader = Callable[[Delivery, Source, Columns, int], Iterator[Record]]


def _reader(source: Source) -> Reader:
    readers: dict[str, Reader] = {
        "csv": _csv_records,
        "json": _json_records,
        "jsonl": _jsonl_records,
        "parquet": _parquet_records,
    }
    return readers[source.format]


def _batch(rows: Sequence[Record], width: int) -> pa.RecordBatch:
    nothing: list[str | None] = [None] * width
    return pa.RecordBatch.from_arrays(
        [
            pa.array([row.position for row in rows], pa.int64()),
            pa.array([row.raw[:RAW_BYTES] for row in rows], pa.binary()),
            pa.array([row.problem for row in rows], pa.string()),
            pa.array([nothing if row.problem else list(map(clean, row.cells)) for row in rows], pa.list_(pa.string())),
        ],
        schema=SCHEMA,
    )


# --- quoted CSV ------------------------------------------------------------------------------------------------------


class _Lines:
    """Feeds csv.reader with decoded lines and remembers the bytes behind the record being read."""

    def __init__(self, file: Path, encoding: Encoding, longest: int) -> None:
        self.source = _byte_lines(file, longest)
        self.encoding, self.longest = encoding, longest
        self.position = 0
        self.start_record()

    def start_record(self) -> None:
        """Forget the last record; the next line read begins a new one."""
        self.seen: list[bytes] = []
        self.size = 0
        self.begin = self.position
        self.undecodable = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self.size > self.longest:
            raise StopIteration
        line, length = next(self.source)
        if self.position == 0 and line.startswith(BOM):
            line = line[len(BOM) :]
        self.position += length
        self.size += length
        self.seen.append(line)
        try:
            return line.decode(self.encoding)
        except UnicodeDecodeError:
            self.undecodable = True
            return line.decode(self.encoding, "replace")

    @property
    def raw(self) -> bytes:
        """The record's bytes without its last newline."""
        return b"".join(self.seen).rstrip(b"\r\n")


def _byte_lines(file: Path, longest: int) -> Iterator[tuple[bytes, int]]:
    """(line with its newline, bytes it takes in the file); of a longer line only the first `longest` + 1 bytes."""
    carry, dropped = b"", 0
    for piece in files.chunks(file):
        *whole, carry = (carry + piece).split(b"\n")
        for line in whole:
            yield line[: longest + 1] + b"\n", len(line) + 1 + dropped
            dropped = 0
        if len(carry) > longest + 1:
            dropped += len(carry) - longest - 1
            carry = carry[: longest + 1]
    if carry:
        yield carry, len(carry) + dropped


def _csv_records(delivery: Delivery, source: Source, columns: Columns, longest: int) -> Iterator[Record]:
    csv.field_size_limit(max(longest * 2, 1 << 17))
    lines = _Lines(delivery.file, delivery.encoding, longest)
    header = _csv_header(lines, delivery.file, source, columns)
    wanted = [header.index(name) if name in header else None for name in columns.wanted]
    while True:
        lines.start_record()
        cells, problem = _csv_record(lines, source)
        if cells is None and problem is None:
            return
        problem = problem or _shape_problem(cells or [], len(header), lines, longest)
        taken = [] if problem else [None if place is None else (cells or [])[place] for place in wanted]
        yield Record(lines.begin, lines.raw, taken, problem)


def _csv_record(lines: _Lines, source: Source) -> tuple[list[str] | None, str | None]:
    """One record's cells, or what is wrong with its quoting; (None, None) at the end."""
    try:
        cells = next(csv.reader(lines, delimiter=source.separator or ",", strict=True), None)
    except csv.Error:
        return None, "overlong_line" if lines.size > lines.longest else "bad_quoting"
    if cells is None and lines.seen:
        return None, "overlong_line" if lines.size > lines.longest else "bad_quoting"
    return cells, None


def _csv_header(lines: _Lines, file: Path, source: Source, columns: Columns) -> list[str]:
    cells, problem = _csv_record(lines, source)
    if problem or not cells or lines.undecodable:
        raise UserError(f"{file} does not begin with a header line in {lines.encoding}; deliver it with one")
    return check_header([cell.strip() for cell in cells], columns, file)


def _shape_problem(cells: Sequence[str], width: int, lines: _Lines, longest: int) -> str | None:
    if lines.size > longest + 2:
        return "overlong_line"
    if lines.undecodable:
        return "undecodable"
    if len(cells) != width:
        return "too_few_fields" if len(cells) < width else "too_many_fields"
    return "nul_byte" if any("\0" in cell for cell in cells) else None


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json_records(delivery: Delivery, source: Source, columns: Columns, longest: int) -> Iterator[Record]:
    """Items of one JSON document: an array, or an object (or an array of objects) with an array 'items'."""
    parts: list[bytes] = []
    size = 0
    for piece in files.chunks(delivery.file):
        parts.append(piece)
        size += len(piece)
        if size > DOCUMENT_BYTES:
            raise UserError(
                f"{delivery.file} is one JSON document of more than {DOCUMENT_BYTES >> 20} MiB; deliver JSON lines"
            )
    text = b"".join(parts).removeprefix(BOM).decode(delivery.encoding, "surrogateescape")
    del parts
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{delivery.file} is no JSON document ({error}); deliver it again or correct `format`"
        ) from None
    for index, item in enumerate(_items(document, delivery.file)):
        raw = as_bytes(item, delivery.encoding)
        yield _json_record(index, raw, item, source, columns, longest)


def _items(document: Any, file: Path) -> list[Any]:
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        return list(document["items"])
    if isinstance(document, list):
        if document and all(isinstance(item, dict) and isinstance(item.get("items"), list) for item in document):
            return list(chain.from_iterable(item["items"] for item in document))
        return document
    raise UserError(
        f"{file} holds neither a JSON array nor an object with an array 'items'; deliver one of the two, or JSON lines"
    )


def _jsonl_records(delivery: Delivery, source: Source, columns: Columns, longest: int) -> Iterator[Record]:
    position = 0
    for line, length in _byte_lines(delivery.file, longest):
        start, position = position, position + length
        raw = (line.removeprefix(BOM) if start == 0 else line).rstrip(b"\r\n")
        try:
            if len(raw) > longest:
                yield Record(start, raw, [], "overlong_line")
                continue
            item = json.loads(raw.decode(delivery.encoding))
        except UnicodeDecodeError:
            yield Record(start, raw, [], "undecodable")
        except (ValueError, RecursionError):
            yield Record(start, raw, [], "not_json")
        else:
            yield _json_record(start, raw, item, source, columns, longest)


def _json_record(position: int, raw: bytes, item: Any, source: Source, columns: Columns, longest: int) -> Record:
    if not isinstance(item, dict):
        return Record(position, raw, [], "not_an_object")
    if len(raw) > longest:
        return Record(position, raw, [], "overlong_line")
    cells = [_text(item.get(name)) for name in columns.wanted]
    if source.kind == "api":
        cells = [cell and unmarked(cell) for cell in cells]
    return Record(position, raw, cells, text_problem(cells))


def as_bytes(item: Any, encoding: Encoding = "utf-8") -> bytes:
    """The item as JSON in the encoding it came in; bytes that could not be decoded come out as they were."""
    try:
        return json.dumps(item, ensure_ascii=False).encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return json.dumps(item).encode()


def _text(value: Any) -> str | None:
    """A JSON value as one text; the first of an array (malls list several pictures)."""
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, bool | dict | list):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def text_problem(cells: Iterable[str | None]) -> str | None:
    """Undecodable bytes came through as lone surrogates, and JSON can spell them too: neither is text."""
    for cell in cells:
        if cell and _SURROGATE.search(cell):
            return "undecodable"
        if cell and "\0" in cell:
            return "nul_byte"
    return None


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _parquet_records(delivery: Delivery, _source: Source, columns: Columns, longest: int) -> Iterator[Record]:
    try:
        with pq.ParquetFile(delivery.file) as file:
            names = check_header(file.schema_arrow.names, columns, delivery.file)
            present = [name for name in columns.wanted if name in names]
            start = 0
            for batch in file.iter_batches(ROWS_A_GROUP, columns=present):
                yield from _parquet_batch(batch, start, columns, longest)
                start += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{delivery.file} cannot be read as Parquet ({reason}); deliver it again") from None


def _parquet_batch(batch: pa.RecordBatch, start: int, columns: Columns, longest: int) -> Iterator[Record]:
    texts = {name: _column_texts(batch.column(name)) for name in batch.schema.names}
    for row in range(batch.num_rows):
        item = {name: values[row] for name, values in texts.items()}
        raw = as_bytes(item)
        cells = [item.get(name) for name in columns.wanted]
        problem = "overlong_line" if len(raw) > longest else text_problem(cells)
        yield Record(start + row, raw, cells, problem)


def _column_texts(column: pa.Array) -> list[str | None]:
    """The column's values as text; a Parquet file may call any bytes a string."""
    values = column.cast(pa.string()).cast(pa.binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]
