"""Finds the files of a delivery, opens them whatever their compression, and tells what they contain."""

import glob
import hashlib
import json
import lzma
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import BinaryIO

from lib.config import Source
from lib.errors import UserError

CHUNK_BYTES = 1 << 20
# Hashing and unpacking release the interpreter's lock; more threads than this would only wait for the disk.
THREADS = 4
# xz -9 needs 65 MiB to unpack; a file that asks for more than this was made to exhaust the reader.
XZ_MEMORY = 256 << 20
# Past the end of each xz stream there may be zeros, in fours.
_XZ_PADDING = b"\0"


def delivered(source: Source, month: str) -> list[Path]:
    """The source's files of the month, in name order.

    Raises:
        UserError: there is none, or one's name cannot be used; names the pattern or the file.
    """
    assert source.path is not None, "pages are no files"
    pattern = source.path.replace("{month}", month)
    # Path.glob takes no absolute pattern.
    found = sorted(Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file())  # noqa: PTH207
    if not found:
        raise UserError(
            f"ingest source {source.name}: no file matches {pattern}; "
            f"deliver the files of {month} there or correct ingest.sources path"
        )
    for file in found:
        _check_name(source, file)
    return found


def _check_name(source: Source, file: Path) -> None:
    """Refuse a name that no table can hold, or that names no mall."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"ingest source {source.name}: the file name {os.fsencode(file)!r} is not UTF-8; rename it"
        ) from None
    if file.name.startswith("."):
        raise UserError(f"ingest source {source.name}: {file} has no name before its first dot; rename it")


def fingerprint(files: Sequence[Path]) -> str:
    """One hash over the files' names and contents as delivered."""
    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(_digest, files))
    listed = [[file.as_posix(), digest] for file, digest in zip(files, digests, strict=True)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:32]


def is_compressed(file: Path) -> bool:
    """Whether the name says gz or xz."""
    return file.suffix in (".gz", ".xz")


def chunks(file: Path) -> Iterator[bytes]:
    """The file's content, unpacked, in pieces of at most CHUNK_BYTES.

    Raises:
        UserError: it ends early, is damaged or cannot be read.
    """
    try:
        with file.open("rb") as stream:
            yield from _unpacked(file, stream)
    except (EOFError, BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise UserError(
            f"{file} is truncated or damaged ({str(error) or 'unexpected end'}); ask for it to be delivered again"
        ) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check that it is there and readable") from None


def _unpacked(file: Path, stream: BinaryIO) -> Iterator[bytes]:
    if file.suffix == ".xz":
        return _unpacked_xz(stream)
    if file.suffix == ".gz":
        return _pieces(GzipFile(fileobj=stream))
    return _pieces(stream)


def _pieces(stream: BinaryIO | GzipFile) -> Iterator[bytes]:
    while piece := stream.read(CHUNK_BYTES):
        yield piece


def _unpacked_xz(stream: BinaryIO) -> Iterator[bytes]:
    """Unpack one xz stream after another with bounded memory (lzma.open knows no bound)."""
    packed = stream.read(CHUNK_BYTES)
    while True:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        while not decoder.eof:
            piece = decoder.decompress(packed, CHUNK_BYTES)
            if piece:
                yield piece
            packed = b""
            if decoder.needs_input and not decoder.eof:
                packed = stream.read(CHUNK_BYTES)
                if not packed:
                    raise EOFError("unexpected end of the xz stream")
        packed = decoder.unused_data.lstrip(_XZ_PADDING)
        while not packed:
            following = stream.read(CHUNK_BYTES)
            if not following:
                return
            packed = following.lstrip(_XZ_PADDING)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while piece := stream.read(CHUNK_BYTES):
                digest.update(piece)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check that it is there and readable") from None
    return digest.hexdigest()
