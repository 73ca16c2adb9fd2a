"""Immutable folders for what is not a table: vocabularies, word vectors, shards, models.

`<warehouse>/artefacts/<kind>/<month>/<key>/` holds data files that carry their run's id and a `manifest.json` that is
written last and created only if absent. A folder without one is unfinished and never read. Of two runs that make the
same artefact at once the loser deletes its own files and uses the winner's.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import UserError

MANIFEST = "manifest.json"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Artefact:
    """A finished artefact.

    Attributes:
        folder: where it lies.
        kind, month, key: what it is; the key is a hash of everything it was made from.
        files: logical name -> {"file", "bytes", "sha256"}; `file` is relative to the folder.
        facts: what the maker says of it (sizes, counts, coverage, configuration).
    """

    folder: Path
    kind: str
    month: str
    key: str
    files: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]

    def path(self, name: str) -> Path:
        """The listed file, checked to be there with its recorded size.

        Raises:
            UserError: it is not listed, is gone or was cut short.
        """
        if name not in self.files:
            raise UserError(f"artefact {self.folder} lists no file {name!r}; it has {', '.join(sorted(self.files))}")
        entry = self.files[name]
        found = self.folder / str(entry["file"])
        size = found.stat().st_size if found.is_file() else None
        if size != entry["bytes"]:
            raise UserError(
                f"{found} has {size} bytes where its manifest says {entry['bytes']}; "
                f"remove {self.folder} and run the stage that makes it again"
            )
        return found

    def verify(self) -> None:
        """Compare every listed file's hash.

        Raises:
            UserError: a file's content is not what was written.
        """
        for name, entry in self.files.items():
            if sha256(self.path(name)) != entry["sha256"]:
                raise UserError(f"{self.path(name)} was changed after it was written; make {self.folder} again")

    @property
    def content(self) -> str:
        """One hash over all files: two artefacts with equal content are interchangeable."""
        listed = sorted((name, str(entry["sha256"])) for name, entry in self.files.items())
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:32]


class ArtefactWriter:
    """Collects the files of one artefact being made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = uuid.uuid4().hex[:12]
        self.files: dict[str, Path] = {}
        self.facts: dict[str, Any] = {}

    def file(self, name: str) -> Path:
        """A path to write the named file to; the run's id goes before its extension."""
        plain = Path(name)
        target = self.folder / plain.with_name(f"{plain.stem}-{self.run}{plain.suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.files[name] = target
        return target

    def adopt(self, name: str, existing: Path) -> None:
        """List a file inside the folder that something else (Spark) wrote under a name of its own."""
        self.files[name] = existing

    def discard(self) -> None:
        """Delete this run's files."""
        for made in self.files.values():
            made.unlink(missing_ok=True)
        shutil.rmtree(self.folder / f"run-{self.run}", ignore_errors=True)


def folder(warehouse: str, kind: str, month: str, key: str) -> Path:
    """Where an artefact lies, finished or not."""
    return Path(warehouse) / "artefacts" / kind / month / key


def make(
    warehouse: str,
    kind: str,
    month: str,
    key: str,
    build: Callable[[ArtefactWriter], None],
    *,
    force: bool = False,
) -> Artefact:
    """The artefact of that key: the finished one, or a new one made by `build`.

    Args:
        build: writes files through the writer and sets its `facts` (JSON values).
        force: make it anew even if a finished one is there; that one stays as it is, and the new one's key says that
            it is another.
    """
    place = folder(warehouse, kind, month, key)
    if (place / MANIFEST).is_file():
        if not force:
            return load(place)
        key = f"{key}-{uuid.uuid4().hex[:8]}"
        place = folder(warehouse, kind, month, key)
    place.mkdir(parents=True, exist_ok=True)
    writer = ArtefactWriter(place)
    try:
        build(writer)
        if not _publish(place, _manifest(writer, kind, month, key)):
            writer.discard()
    except BaseException:
        writer.discard()
        raise
    return load(place)


def load(place: Path) -> Artefact:
    """Read a finished artefact.

    Raises:
        UserError: the folder has no manifest, or one that cannot be read.
    """
    manifest = place / MANIFEST
    if not manifest.is_file():
        raise UserError(f"{place} has no {MANIFEST}, so it is unfinished; run the stage that makes it again")
    try:
        record = json.loads(manifest.read_text())
        files = {str(name): dict(entry) for name, entry in record["files"].items()}
        _check_inside(place, files)
        return Artefact(place, record["kind"], record["month"], record["key"], files, record["facts"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{manifest} is no artefact manifest ({error}); make the artefact again") from None


def write_whole(place: Path, text: str) -> None:
    """Replace a text file in one step, so that a reader finds the old text or the new and never a part."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(f".{uuid.uuid4().hex}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(place)


def sha256(file: Path) -> str:
    """Hex SHA-256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _manifest(writer: ArtefactWriter, kind: str, month: str, key: str) -> dict[str, Any]:
    files = {
        name: {
            "file": made.relative_to(writer.folder).as_posix(),
            "bytes": made.stat().st_size,
            "sha256": sha256(made),
        }
        for name, made in sorted(writer.files.items())
    }
    return {
        "kind": kind,
        "month": month,
        "key": key,
        "run": writer.run,
        "files": files,
        "facts": writer.facts,
    }


def _publish(place: Path, record: Mapping[str, Any]) -> bool:
    """Create the manifest whole; False if another run was first."""
    part = place / f"{MANIFEST}.{record['run']}.part"
    part.write_text(json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True))
    try:
        os.link(part, place / MANIFEST)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _check_inside(place: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """A manifest may name only files inside its own folder."""
    for entry in files.values():
        if not (place / str(entry["file"])).resolve().is_relative_to(place.resolve()):
            raise ValueError(f"{entry['file']!r} lies outside the folder")
