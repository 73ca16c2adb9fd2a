"""A folder of a run's own that holds the deliveries as Spark can split them: plain, under names without surprises.

Plain files are linked, not copied; gz and xz are unpacked as a stream, within one bound for the whole run, so a
compressed bomb ends in one sentence. A line longer than the bound is cut there, and a new part begins after it so that
byte offsets in the delivered (unpacked) file stay known. The folder goes away when the run ends, also after an error.
"""

import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from lib.config import Encoding
from lib.errors import UserError
from lib.sources import files

# Lines are mostly shorter than this, so that one small read a window finds a newline.
PROBE_BYTES = 2048


@dataclass(frozen=True)
class Delivery:
    """One delivered file.

    Attributes:
        rank: order among all files of the run, by source and name.
        file: where it lies.
        mall: id of the mall it is of; None where a column tells.
        encoding: what its text is in.
    """

    rank: int
    file: Path
    mall: str | None
    encoding: Encoding


@dataclass(frozen=True)
class Part:
    """One staged piece of a delivered file.

    Attributes:
        number: order among all parts of the run: the file's rank, then (low 32 bits) the piece of the file.
        path: the staged file.
        delivery: the delivered file it is of.
        origin: byte offset in the delivered file (unpacked) of the part's first byte.
    """

    number: int
    path: Path
    delivery: Delivery
    origin: int


class Staging:
    """The folder and its budget; use as a context manager."""

    def __init__(self, folder: str, max_bytes: int) -> None:
        self.folder = Path(folder).resolve() / f"run-{uuid.uuid4().hex[:12]}"
        self.max_bytes = max_bytes
        self._spent = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Staging":
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise UserError(
                f"ingest.staging: no folder can be made in {self.folder.parent} ({error.strerror}); name another"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, name: str) -> str:
        """A path inside the folder for something Spark writes."""
        return str(self.folder / name)

    def spend(self, count: int, file: Path) -> None:
        """Take bytes from the budget.

        Raises:
            UserError: the run unpacks to more than ingest.max_bytes.
        """
        with self._lock:
            self._spent += count
            if self._spent > self.max_bytes:
                raise UserError(
                    f"{file} unpacks to more than the run may stage (ingest.max_bytes = {self.max_bytes}); "
                    "if the file is sound, raise ingest.max_bytes"
                )

    def part(self, delivery: Delivery, piece: int = 0, origin: int = 0, suffix: str = "txt") -> Part:
        """A part of a delivered file, not written yet."""
        number = delivery.rank << 32 | piece
        return Part(number, self.folder / f"p{number:019d}.{suffix}", delivery, origin)

    def lines(self, delivery: Delivery, longest: int) -> list[Part]:
        """Stage a file of lines; a line over `longest` bytes is cut to one byte more than that.

        Raises:
            UserError: the file is damaged, or the budget is spent.
        """
        if files.is_compressed(delivery.file) or _has_long_line(delivery.file, longest):
            return _LineWriter(self, delivery, longest).write()
        part = self.part(delivery)
        part.path.symlink_to(delivery.file.resolve())
        return [part]


class _LineWriter:
    """Writes one file's lines into parts."""

    def __init__(self, staging: Staging, delivery: Delivery, longest: int) -> None:
        self.staging, self.delivery, self.longest = staging, delivery, longest
        self.parts: list[Part] = []
        self.out: BinaryIO | None = None
        self.position = 0

    def write(self) -> list[Part]:
        """Stage everything; returns the parts in order."""
        try:
            carry = b""
            skipping = False
            for piece in files.chunks(self.delivery.file):
                data = piece if not carry else carry + piece
                if skipping:
                    data, skipping = self._skip(data)
                cut = data.rfind(b"\n") + 1
                self._whole_lines(data[:cut])
                carry = data[cut:]
                if len(carry) > self.longest:
                    self._cut_line(carry)
                    carry, skipping = b"", True
            self._put(carry)
            if not self.parts:
                self._begin()
        finally:
            self._close()
        return self.parts

    def _skip(self, data: bytes) -> tuple[bytes, bool]:
        """Drop the rest of a line that was cut."""
        end = data.find(b"\n")
        passed = len(data) if end < 0 else end + 1
        self.position += passed
        return data[passed:], end < 0

    def _whole_lines(self, data: bytes) -> None:
        start = 0
        for end in _long_line_ends(data, self.longest):
            begin = data.rfind(b"\n", 0, end) + 1
            self._put(data[start:begin])
            self._cut_line(data[begin : end + 1])
            start = end + 1
        self._put(data[start:])

    def _cut_line(self, line: bytes) -> None:
        """Keep what shows that the line is too long; the next part begins where the line's seen bytes end."""
        position = self.position
        self._put(line[: self.longest + 1] + b"\n")
        self._close()
        self.position = position + len(line)

    def _put(self, data: bytes) -> None:
        if not data:
            return
        if self.out is None:
            self._begin()
        assert self.out is not None
        self.staging.spend(len(data), self.delivery.file)
        self.out.write(data)
        self.position += len(data)

    def _begin(self) -> None:
        part = self.staging.part(self.delivery, len(self.parts), self.position)
        self.parts.append(part)
        self.out = part.path.open("wb")

    def _close(self) -> None:
        if self.out is not None:
            self.out.close()
            self.out = None


def _long_line_ends(data: bytes, longest: int) -> Iterator[int]:
    """Indexes of the newlines that end a line of more than `longest` bytes; looks only where one could be."""
    start = 0
    while start + longest < len(data):
        near = data.rfind(b"\n", start, start + longest + 1)
        if near >= 0:
            start = near + 1
            continue
        end = data.find(b"\n", start)
        if end < 0:
            return
        yield end
        start = end + 1


def _has_long_line(file: Path, longest: int) -> bool:
    """Whether a line may exceed `longest` bytes; reads a little of each window of half that length.

    A window without a newline makes the answer yes; so it may be yes for a longest line of half the bound.
    """
    window = max(longest // 2, 1)
    size = file.stat().st_size
    with file.open("rb") as stream:
        for start in range(0, size - window, window):
            stream.seek(start)
            if b"\n" in stream.read(min(PROBE_BYTES, window)):
                continue
            stream.seek(start)
            if b"\n" not in stream.read(window):
                return True
    return False
