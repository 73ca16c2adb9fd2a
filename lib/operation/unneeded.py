"""Which artefacts and checkpoints nobody needs any more.

Needed is what an alias of the registry names, what a manifest of a kept month names, what those were made from, and the
month in which an aliased model was trained as if it were kept. The rest goes once it is older than any run that may
still be using it.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lib import artefact as artefacts
from lib import manifest as manifests
from lib.artefact import MANIFEST
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest
from lib.registry import Version, versions

# How a path to another artefact begins, in a manifest or among an artefact's facts.
ARTEFACTS = "artefacts/"
# Facts and inputs of a stage that are versions of the model.
VERSIONS = ("version", "candidate", "champion", "previous", "model_version")


def unneeded(config: Config) -> list[Path]:
    """Folders of artefacts and of checkpoints that may go, finished or not, sorted.

    Raises:
        UserError: a manifest of a kept month cannot be read, or models lie there that no registry knows: then nobody
            can say what is needed.
    """
    warehouse = Path(config.storage.warehouse).resolve()
    known = versions(config.registry_store, config.registry.name)
    if not known and any(warehouse.glob(f"artefacts/model/*/*/{MANIFEST}")):
        raise UserError(
            f"{warehouse} holds models but the registry {config.registry_store} knows none, so nobody can say which "
            "are needed; set storage.state or registry.uri to that of the trainings"
        )
    named = [one for one in known if one.aliases]
    newest = manifests.finished_months(config.storage.warehouse)[-config.maintain.artefact_months :]
    months = {*newest, *(one.month for one in named)}
    kept = list(_manifests(config, months))
    roots = {_here(warehouse, one) for one in named} | _named_by(warehouse, kept, known)
    needed = _reached(warehouse, roots)
    made = (place for place in _folders(warehouse, "artefacts/*/*/*") if place.resolve() not in needed)
    left = (place for place in _folders(warehouse, "checkpoints/*/*") if place.parent.name not in months)
    since = time.time() - config.maintain.vacuum_hours * 3600
    return sorted(place for place in (*made, *left) if _touched(place) < since)


def size(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _folders(warehouse: Path, pattern: str) -> Iterator[Path]:
    """Folders of that pattern; one that is a link is somebody's own doing and stays."""
    return (place for place in warehouse.glob(pattern) if place.is_dir() and not place.is_symlink())


def _manifests(config: Config, months: set[str]) -> Iterator[Manifest]:
    for place in (Path(config.storage.warehouse) / "manifests").glob("*/*.json"):
        if place.stem in months:
            found = manifests.find(config.storage.warehouse, place.parent.name, place.stem)
            if found is not None:
                yield found


def _named_by(warehouse: Path, kept: Iterable[Manifest], known: Iterable[Version]) -> set[Path]:
    """Artefacts that the manifests name, and those of the model versions that they name."""
    folders = {one.number: _here(warehouse, one) for one in known}
    found: set[Path] = set()
    for one in kept:
        found |= {warehouse / place for place in one.artefacts.values()}
        numbers = {str(place.get(name)) for place in (one.inputs, one.facts) for name in VERSIONS}
        found |= {folders[number] for number in numbers if number in folders}
    return found


def _here(warehouse: Path, version: Version) -> Path:
    """The version's folder in this warehouse, also where it was registered when that was mounted somewhere else."""
    return warehouse.joinpath("artefacts", "model", *version.folder.parts[-2:])


def _reached(warehouse: Path, roots: Iterable[Path]) -> set[Path]:
    """The roots and all that they were made from, without links: a folder may be linked in from another disk."""
    waiting, seen = list(roots), set[Path]()
    while waiting:
        place = waiting.pop().resolve()
        if place in seen:
            continue
        seen.add(place)
        if (place / MANIFEST).is_file():
            waiting += [warehouse / one for one in _made_from(artefacts.load(place))]
    return seen


def _made_from(made: artefacts.Artefact) -> list[str]:
    """Paths below the warehouse of what an artefact's facts name."""
    found = [text for text in _texts(made.facts) if text.startswith(ARTEFACTS)]
    shards = made.facts.get("shards")
    if made.kind == "model" and isinstance(shards, str):
        found.append(f"{ARTEFACTS}shards/{made.month}/{shards}")
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _touched(folder: Path) -> float:
    """When anything in the folder was last written, in seconds since 1970; now, where files come and go."""
    try:
        return max(place.stat().st_mtime for place in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return time.time()
