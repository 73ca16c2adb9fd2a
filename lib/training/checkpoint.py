"""Checkpoints on disk: written whole or not at all, the last few kept, a damaged one passed over.

A checkpoint is a folder `<step>`, or `<step>-epoch` at an epoch's edge, with `arrays.npz`, each array with its CRC, and
`state.json`, which names the size of the former and its own hash. It is written under another name and renamed when all
of it is on the disk, so a kill at any moment leaves the ones before. Nothing in it is a pickle.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from lib.errors import UserError

LOG = logging.getLogger(__name__)
ARRAYS, STATE = "arrays.npz", "state.json"
PART = ".part"
# Ends the name of a checkpoint at an epoch's edge.
EPOCH = "-epoch"
NAME = re.compile(f"[0-9]{{12,15}}({EPOCH})?")
# Bytes of state.json; an epoch's record takes a few hundred.
LARGEST_STATE = 1 << 24


@dataclass(frozen=True)
class Checkpoint:
    """What a training is made of at one moment.

    Attributes:
        step: steps taken.
        arrays: name -> values of every variable.
        facts: everything else, as JSON values.
        edge: whether it lies between two epochs, where any number of workers can go on from.
    """

    step: int
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]
    edge: bool

    @property
    def name(self) -> str:
        """Of its folder; they sort by step."""
        return f"{self.step:012d}{EPOCH if self.edge else ''}"


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one fit.

    Attributes:
        folder: where they lie; nothing else does.
        kept: how many are kept; the newest of an epoch's edge is kept besides.
    """

    folder: Path
    kept: int

    def save(self, checkpoint: Checkpoint) -> None:
        """Write it, then delete those that are not to be kept.

        Raises:
            UserError: it cannot be written (a full disk, say); those there are stay as they are.
        """
        part = self.folder / f"{checkpoint.name}-{uuid.uuid4().hex}{PART}"
        try:
            part.mkdir(parents=True)
            _write(part, checkpoint)
            place = self.folder / checkpoint.name
            # One of the same step is there when the last steps of an epoch were done anew: it is the same, or damaged.
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)
            _to_disk(self.folder)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise UserError(
                f"the checkpoint of step {checkpoint.step} cannot be written to {self.folder} ({error}); make room "
                "there and run this stage again, which goes on from the checkpoint before"
            ) from None
        self._delete_old()

    def latest(self, *, edge: bool = False) -> Checkpoint | None:
        """The newest one that is whole, or the newest of an epoch's edge; None if there is none."""
        for place in reversed(self._places()):
            if edge and not place.name.endswith(EPOCH):
                continue
            try:
                return _read(place)
            except Exception as error:  # noqa: BLE001 (whatever else a damaged file leads to)
                LOG.warning("checkpoint %s is damaged (%s) and is passed over", place, str(error) or repr(error))
        return None

    def delete_after(self, step: int) -> None:
        """Delete those of later steps, damaged or not: the training goes on from this one.

        Were they left, what it writes next would be older, and be deleted.
        """
        for place in self._places():
            if _step(place) > step:
                shutil.rmtree(place, ignore_errors=True)

    def _places(self) -> list[Path]:
        """Finished checkpoints, oldest first."""
        found = (place for place in self.folder.glob("*") if NAME.fullmatch(place.name))
        return sorted((place for place in found if place.is_dir() and not place.is_symlink()), key=_step)

    def _delete_old(self) -> None:
        places = self._places()
        edges = [place for place in places if place.name.endswith(EPOCH)]
        kept = {*places[-self.kept :], *edges[-1:]}
        # What a killed run was writing is of no use; only one run writes here (lib/lock.py).
        for place in [*(place for place in places if place not in kept), *self.folder.glob(f"*{PART}")]:
            shutil.rmtree(place, ignore_errors=True)


def _step(place: Path) -> int:
    return int(place.name.removesuffix(EPOCH))


def _write(place: Path, checkpoint: Checkpoint) -> None:
    arrays = place / ARRAYS
    with arrays.open("wb") as stream:
        np.savez(stream, **checkpoint.arrays)
    record = {"step": checkpoint.step, "bytes": arrays.stat().st_size, "facts": checkpoint.facts}
    (place / STATE).write_text(json.dumps({**record, "sha256": _digest(record)}, indent=1), encoding="utf-8")
    for written in (arrays, place / STATE, place):
        _to_disk(written)


def _read(place: Path) -> Checkpoint:
    state, arrays = place / STATE, place / ARRAYS
    for file in (state, arrays):
        # A pipe would be waited for, and a link may lead to what never ends.
        if file.is_symlink() or not file.is_file():
            raise ValueError(f"{file.name} is no file")
    if state.stat().st_size > LARGEST_STATE:
        raise ValueError(f"{STATE} has {state.stat().st_size} bytes, more than any")
    record = json.loads(state.read_text(encoding="utf-8"))
    if record.pop("sha256") != _digest(record) or record["step"] != _step(place):
        raise ValueError(f"{STATE} is not as it was written")
    if arrays.stat().st_size != record["bytes"]:
        raise ValueError(f"{ARRAYS} has {arrays.stat().st_size} bytes of {record['bytes']}")
    with ZipFile(arrays) as packed:
        if sum(member.file_size for member in packed.infolist()) > record["bytes"]:
            raise ValueError(f"{ARRAYS} is compressed, which no checkpoint is")
    with np.load(arrays, allow_pickle=False) as stored:
        arrays_by_name = {name: stored[name] for name in stored.files}
    return Checkpoint(record["step"], arrays_by_name, record["facts"], place.name.endswith(EPOCH))


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _to_disk(place: Path) -> None:
    """Wait until a file's or a folder's content is on the disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
