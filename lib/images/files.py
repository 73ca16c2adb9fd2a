"""Pictures that lie in a folder or a zip, one file an offer, named by the mall's own id.

Ids are the malls' and may be anything: a name that leads out of the folder is refused, and nothing of a zip is ever
unpacked to a disk; its entries are looked up by name and read within bounds.
"""

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pyspark.sql import Column
from pyspark.sql import functions as F

from lib.config import ImagesSettings
from lib.errors import UserError
from lib.images.reasons import NoPictureError

ID = "{id}"
# What zip programs use; the others of the format unpack whole blocks at once, however large they are.
UNPACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
ENCRYPTED = 0x1


class Read(Protocol):
    """Reads what was delivered under a name."""

    def __call__(self, name: str) -> bytes:
        """The bytes.

        Raises:
            NoPictureError: unsafe_name, missing_file, unreadable_file or too_large.
        """
        ...


def name_of(product_id: Column, settings: ImagesSettings) -> Column:
    """File of the product within images.path: images.file with what follows the mall's ':' for {id}."""
    own_id = F.substring(product_id, F.instr(product_id, ":") + 1, F.length(product_id))
    return F.replace(F.lit(settings.file), F.lit(ID), own_id)


def check(settings: ImagesSettings) -> None:
    """Look at images.path before any task does.

    Raises:
        UserError: it is not there, or is no folder or no zip as images.source says.
    """
    place = _place(settings)
    if settings.source == "folder":
        if not place.is_dir():
            raise UserError(f"images.path {place} is no folder; name the folder of the pictures, or set images.source")
        return
    try:
        with zipfile.ZipFile(place):
            pass
    except FileNotFoundError:
        raise UserError(f"images.path {place} does not exist; name the zip of the pictures") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"images.path {place} is no zip that can be read ({error}); have it delivered again") from None


def with_whole_path(settings: ImagesSettings) -> ImagesSettings:
    """The same with a path that means the same to every task."""
    return settings.model_copy(update={"path": str(_place(settings).resolve())})


def fingerprint(settings: ImagesSettings) -> str:
    """One hash over what images.path holds: of a folder the names, sizes and times of its files, of a zip the names,
    sizes and checksums of its entries.

    Raises:
        UserError: as `check`, or a folder within may not be read.
    """
    check(settings)
    digest = hashlib.sha256()
    try:
        for entry in _zip_listing(settings) if settings.source == "zip" else _folder_listing(_place(settings)):
            digest.update(f"{entry}\n".encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise UserError(f"images.path: {error.filename} cannot be read ({error.strerror}); let it be read") from None
    return digest.hexdigest()[:32]


@contextmanager
def reading(settings: ImagesSettings) -> Iterator[Read]:
    """A reader of images.path; a zip is open as long as the context."""
    if settings.source == "folder":
        yield _Folder(_place(settings), settings.max_bytes)
        return
    with zipfile.ZipFile(_place(settings)) as opened:
        yield _Zip(opened, settings.max_bytes)


class _Folder:
    """Files of a folder, wherever within it."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder.resolve(), max_bytes

    def __call__(self, name: str) -> bytes:
        _check_name(name)
        try:
            place = (self._folder / name).resolve()
            if not place.is_relative_to(self._folder):  # a symbolic link
                raise NoPictureError("unsafe_name")
            if not stat.S_ISREG(place.stat().st_mode):  # a pipe would be waited for, for ever
                raise NoPictureError("missing_file")
            with place.open("rb") as stream:
                return _bounded(stream, self._max_bytes)
        except PermissionError:
            raise NoPictureError("unreadable_file") from None
        except (OSError, ValueError, RuntimeError):  # too long a name, a loop of links, no text of a file system
            raise NoPictureError("missing_file") from None


class _Zip:
    """Entries of an open zip."""

    def __init__(self, opened: zipfile.ZipFile, max_bytes: int) -> None:
        self._zip, self._max_bytes = opened, max_bytes

    def __call__(self, name: str) -> bytes:
        _check_name(name)
        try:
            entry = self._zip.getinfo(name)
        except KeyError:
            raise NoPictureError("missing_file") from None
        if entry.is_dir():
            raise NoPictureError("missing_file")
        if entry.compress_type not in UNPACKED or entry.flag_bits & ENCRYPTED:
            raise NoPictureError("unreadable_file")
        try:
            with self._zip.open(entry) as stream:
                return _bounded(stream, self._max_bytes)
        except NoPictureError:
            raise
        except Exception:  # noqa: BLE001 zipfile meets a damaged entry with errors of many kinds
            raise NoPictureError("unreadable_file") from None


def _check_name(name: str) -> None:
    if "\0" in name or name.startswith("/") or ".." in name.split("/"):
        raise NoPictureError("unsafe_name")


def _bounded(stream: IO[bytes], max_bytes: int) -> bytes:
    """All of the stream, whose length may be another than was said.

    Raises:
        NoPictureError: too_large.
    """
    body = stream.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise NoPictureError("too_large")
    return body


def _place(settings: ImagesSettings) -> Path:
    assert settings.path is not None, "checked by the configuration"
    return Path(settings.path)


def _zip_listing(settings: ImagesSettings) -> Iterator[str]:
    with zipfile.ZipFile(_place(settings)) as opened:
        for entry in opened.infolist():
            yield f"{entry.filename!r} {entry.file_size} {entry.CRC}"


def _folder_listing(folder: Path, within: str = "") -> Iterator[str]:
    """Names in order, sizes and times of change; links to folders are followed no more than a name may."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _folder_listing(Path(entry.path), f"{within}{entry.name}/")
        elif (known := _of_file(entry)) is not None:
            yield f"{within + entry.name!r} {known.st_size} {known.st_mtime_ns}"


def _of_file(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What is known of a file; None for anything else, such as a link that leads nowhere or to itself."""
    try:
        return entry.stat() if entry.is_file() else None
    except OSError:
        return None
