"""Opening deliveries: compression, damage, missing files."""

import gzip
import lzma
import os
import zlib
from pathlib import Path

import pytest

from lib.config import Source
from lib.errors import UserError
from lib.sources import files

CONTENT = "이름\t가격\n".encode() * 200_000


def read(file: Path) -> bytes:
    return b"".join(files.chunks(file))


def test_plain_gz_and_xz_give_the_same_bytes_in_bounded_pieces(tmp_path: Path) -> None:
    for name, packed in (("a", CONTENT), ("a.gz", gzip.compress(CONTENT)), ("a.xz", lzma.compress(CONTENT))):
        (tmp_path / name).write_bytes(packed)
        pieces = list(files.chunks(tmp_path / name))
        assert b"".join(pieces) == CONTENT
        assert max(map(len, pieces)) <= files.CHUNK_BYTES


def test_files_of_several_streams_are_read_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"one\n") + b"\0" * 8 + lzma.compress(b"two\n"))
    assert read(tmp_path / "a.gz") == read(tmp_path / "a.xz") == b"one\ntwo\n"


@pytest.mark.parametrize("name", ["a.gz", "a.xz"])
@pytest.mark.parametrize("damage", ["half", "last byte", "empty", "no archive", "trailing garbage"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str, damage: str) -> None:
    packed = gzip.compress(CONTENT) if name.endswith("gz") else lzma.compress(CONTENT)
    spoiled = {
        "half": packed[: len(packed) // 2],
        "last byte": packed[:-1],
        "empty": b"",
        "no archive": b"id\ttitle\n1\tx\n",
        "trailing garbage": packed + b"garbage that is no stream",
    }[damage]
    (tmp_path / name).write_bytes(spoiled)
    if damage == "empty" and name.endswith("gz"):
        assert read(tmp_path / name) == b""  # gzip reads no member as no content; the missing header is then reported
        return
    with pytest.raises(UserError, match=rf"{name} is truncated or damaged"):
        read(tmp_path / name)


def test_an_xz_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    packed = bytearray(lzma.compress(b"x"))
    assert packed[12:20] == b"\x02\x00\x21\x01\x16\x00\x00\x00"  # block header: LZMA2, 8 MiB of dictionary
    packed[16] = 38  # 2 GiB
    packed[20:24] = zlib.crc32(packed[12:20]).to_bytes(4, "little")
    (tmp_path / "a.xz").write_bytes(packed)
    with pytest.raises(UserError, match=r"damaged \(Memory usage limit"):
        read(tmp_path / "a.xz")


def test_a_pattern_without_files_is_named(tmp_path: Path) -> None:
    source = Source(name="malls", kind="ep", path=f"{tmp_path}/{{month}}/*.tsv")
    with pytest.raises(UserError, match=rf"malls: no file matches {tmp_path}/2026-01/\*.tsv"):
        files.delivered(source, "2026-01")


def test_files_come_in_name_order_and_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("b.tsv", "a.tsv"):
        (tmp_path / name).touch()
    (tmp_path / "c.tsv").mkdir()
    source = Source(name="malls", kind="ep", path=f"{tmp_path}/*.tsv")
    assert [file.name for file in files.delivered(source, "2026-01")] == ["a.tsv", "b.tsv"]


def test_the_fingerprint_follows_names_and_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    before = files.fingerprint([first, second])
    assert files.fingerprint([first, second]) == before
    second.write_bytes(b"3")
    assert files.fingerprint([first, second]) != before
    assert files.fingerprint([first]) != before


@pytest.mark.parametrize(
    ("name", "said"),
    [("한.tsv".encode("cp949"), "is not UTF-8; rename it"), (b".tsv", "has no name before its first dot")],
)
def test_a_name_that_cannot_be_used_is_said(tmp_path: Path, name: bytes, said: str) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("id\ttitle\n")
    pattern = f"{tmp_path}/.tsv" if name.startswith(b".") else f"{tmp_path}/*.tsv"
    with pytest.raises(UserError, match=said) as refused:
        files.delivered(Source(name="malls", kind="ep", path=pattern), "2026-01")
    str(refused.value).encode()
