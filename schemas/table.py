"""What a table is: one object that the reader, the writer, the tests and docs/tables.md all use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from pyspark.sql.types import DataType, StringType, StructField, StructType

MONTH_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class WriteMode(Enum):
    """How rows enter a table; each is idempotent, so a stage that died can simply run again."""

    REPLACE = "replace"  # the rows of one slice are replaced in one commit
    APPEND_ONCE = "append_once"  # a (transaction, round) pair is appended at most once
    MERGE = "merge"  # rows are inserted by key, or changed only as `merge_updates` says
    WRITE_ONCE = "write_once"  # a slice is written once; other content later is refused


@dataclass(frozen=True)
class Table:
    """One Delta table.

    Attributes:
        name: folder under the warehouse.
        row: one sentence: what one row is.
        key: columns that tell rows apart.
        struct: columns in order; each comment says what the column holds and its unit.
        write_mode: how rows enter.
        slice: columns of the unit that a write replaces; also the partition columns where `partitioned`.
        checks: constraint name -> SQL condition that every row meets (Delta CHECK constraints).
        merge_updates: column -> SQL over `old` and `new`, for MERGE tables whose rows may change.
        merge_when: SQL over `old` and `new`: which matched rows are changed.
        merge_on: SQL over `old` and `new`: when a new row counts as there already; equality of the key if empty.
        keep_months: how many months of rows jobs/maintain.py keeps, the newest that there are; None: all.
        kept_while: a rule of its own that it has for the table's rows, in words.
    """

    name: str
    row: str
    key: tuple[str, ...]
    struct: StructType
    write_mode: WriteMode
    slice: tuple[str, ...]
    keep_months: int | None = None
    kept_while: str = ""
    checks: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    merge_updates: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    merge_when: str = "true"
    merge_on: str = ""
    partitioned: bool = True

    def __post_init__(self) -> None:
        missing = [name for name in (*self.key, *self.slice) if name not in self.struct.names]
        if missing:
            raise ValueError(f"table {self.name}: {missing} are not columns")

    @property
    def retention(self) -> str:
        """How long rows are kept, in words."""
        months = "" if self.keep_months is None else f"{self.keep_months} months"
        return "; ".join(words for words in (months, self.kept_while) if words) or "for ever"

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return list(self.struct.names)


def column(name: str, kind: DataType, comment: str, *, nullable: bool = True) -> StructField:
    """A column whose comment goes into Delta's metadata and docs/tables.md."""
    return StructField(name, kind, nullable, {"comment": comment})


def month_column() -> StructField:
    """The month a row belongs to, in every monthly table."""
    return column("month", StringType(), "month, YYYY-MM", nullable=False)


MONTH_CHECK = {"month_is_a_month": f"month RLIKE '{MONTH_PATTERN}'"}


def is_month(text: str) -> bool:
    """Whether text is a month of the calendar written YYYY-MM."""
    return re.fullmatch(MONTH_PATTERN.strip("^$"), text) is not None
