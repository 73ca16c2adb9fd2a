"""Staging: links, unpacking within a bound, lines that are too long, cleaning up."""

import gzip
import io
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lib.errors import UserError
from lib.sources import files, staging
from lib.sources.staging import Delivery, Part, Staging

LONGEST = 300


def staged(folder: Path, name: str, content: bytes, max_bytes: int = 1 << 20) -> tuple[list[Part], list[bytes]]:
    """(parts, their contents) of a file."""
    (folder / name).write_bytes(content)
    with Staging(str(folder / "staging"), max_bytes) as area:
        parts = area.lines(Delivery(0, folder / name, "m", "utf-8"), LONGEST)
        return parts, [part.path.read_bytes() for part in parts]


def test_a_plain_file_is_linked_not_copied(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"id\n1\n")
    with Staging(str(tmp_path / "staging"), 1) as area:
        (part,) = area.lines(Delivery(0, tmp_path / "a.tsv", "m", "utf-8"), LONGEST)
        assert part.path.is_symlink()
        assert part.path.read_bytes() == b"id\n1\n"
    assert (tmp_path / "a.tsv").exists()


def test_the_folder_goes_also_after_an_error(tmp_path: Path) -> None:
    area = Staging(str(tmp_path / "staging"), 1)

    def fail() -> None:
        with area:
            Path(area.place("something")).write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_bomb_ends_at_the_bound(tmp_path: Path) -> None:
    bomb = gzip.compress(b"id\ttitle\n" + b"1\tx\n" * 5_000_000)
    with pytest.raises(UserError, match=r"a\.tsv\.gz unpacks to more than .*ingest\.max_bytes = 1000000"):
        staged(tmp_path, "a.tsv.gz", bomb, max_bytes=1_000_000)
    assert list((tmp_path / "staging").iterdir()) == []


def test_the_bound_is_of_the_run_not_of_a_file(tmp_path: Path) -> None:
    for name in ("a.tsv.gz", "b.tsv.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"x\n" * 500))
    with Staging(str(tmp_path / "staging"), 1500) as area:
        area.lines(Delivery(0, tmp_path / "a.tsv.gz", "m", "utf-8"), LONGEST)
        with pytest.raises(UserError, match=r"b\.tsv\.gz unpacks to more"):
            area.lines(Delivery(1, tmp_path / "b.tsv.gz", "m", "utf-8"), LONGEST)


def expected_lines(content: bytes) -> list[tuple[int, bytes]]:
    """(offset, line cut to LONGEST + 1 bytes) of every line."""
    lines, offset = [], 0
    for line in io.BytesIO(content):
        lines.append((offset, line.removesuffix(b"\n")[: LONGEST + 1]))
        offset += len(line)
    return lines


def lines_of(parts: list[Part], contents: list[bytes]) -> list[tuple[int, bytes]]:
    found = []
    for part, content in zip(parts, contents, strict=True):
        offset = part.origin
        for line in io.BytesIO(content):
            found.append((offset, line.removesuffix(b"\n")))
            offset += len(line)
    return found


pieces = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 2 * LONGEST + 5).map(lambda count: b"x" * count),
    st.just(b"\n"),
)


@examples(deadline=None, max_examples=150)
@given(st.lists(pieces, max_size=12), st.sampled_from([1, 7, 64, 299, 300, 301, 5000]), st.booleans())
def test_every_line_keeps_its_offset_and_long_ones_are_cut(
    tmp_path_factory: pytest.TempPathFactory, content: list[bytes], chunk: int, compressed: bool
) -> None:
    folder = tmp_path_factory.mktemp("staged")
    whole = b"".join(content)
    with patch.object(files, "CHUNK_BYTES", chunk):
        name, given_bytes = ("a.tsv.gz", gzip.compress(whole)) if compressed else ("a.tsv", whole)
        parts, contents = staged(folder, name, given_bytes)
    assert lines_of(parts, contents) == expected_lines(whole)
    numbers = [part.number for part in parts]
    assert numbers == sorted(set(numbers))


@examples(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, LONGEST + 3), max_size=12), st.booleans())
def test_no_long_line_is_missed(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], ends: bool) -> None:
    file = tmp_path_factory.mktemp("long") / "a"
    file.write_bytes(b"\n".join(b"x" * length for length in lengths) + b"\n" * ends)
    with patch.object(staging, "PROBE_BYTES", 5):
        found = staging._has_long_line(file, LONGEST)
    if max(lengths, default=0) > LONGEST:
        assert found
    if max(lengths, default=0) < LONGEST // 2:
        assert not found


def test_a_staging_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"ingest\.staging: no folder can be made in .*Not a directory"),
        Staging(str(tmp_path / "file"), 1),
    ):
        pass
