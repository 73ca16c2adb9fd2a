"""Checkpoints on disk: whole or absent, the last few kept, damaged ones passed over."""

import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lib.errors import UserError
from lib.training import checkpoint
from lib.training.checkpoint import ARRAYS, STATE, Checkpoint, CheckpointFolder


def made(step: int, *, edge: bool = False) -> Checkpoint:
    arrays = {"model/0000": np.arange(2000, dtype=np.float32) + step, "model/0001": np.array(step)}
    return Checkpoint(step, arrays, {"loss": step / 3, "history": []}, edge)


def steps(folder: Path) -> list[str]:
    return sorted(place.name.lstrip("0") for place in folder.iterdir())


def test_the_newest_comes_back_as_it_was_and_older_ones_go(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "a", kept=2)
    assert folder.latest() is None
    for step in (8, 9, 100):
        folder.save(made(step))
    found = folder.latest()
    assert found is not None
    assert (found.step, found.facts) == (100, made(100).facts)
    for name, values in made(100).arrays.items():
        np.testing.assert_array_equal(found.arrays[name], values)
        assert found.arrays[name].dtype == values.dtype
    assert steps(folder.folder) == ["100", "9"]


def test_the_newest_of_an_epochs_edge_is_kept_besides(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, kept=2)
    for step in range(1, 9):
        folder.save(made(step, edge=step in (2, 4)))
    assert steps(tmp_path) == ["4-epoch", "7", "8"]
    edge = folder.latest(edge=True)
    assert edge is not None
    assert (edge.step, edge.edge) == (4, True)
    folder.delete_after(4)
    assert steps(tmp_path) == ["4-epoch"]


DAMAGES = [
    "cut",
    "flipped",
    "empty state",
    "no arrays",
    "no state",
    "state is a list",
    "a digit",
    "deep",
    "pipe",
    "packed",
    "absurd shape",
    "link",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder = CheckpointFolder(tmp_path, kept=2)
    folder.save(made(1))
    folder.save(made(2))
    arrays, state = (tmp_path / f"{2:012d}" / name for name in (ARRAYS, STATE))
    content = arrays.read_bytes()
    middle = len(content) // 2
    {
        "cut": lambda: arrays.write_bytes(content[:middle]),
        "flipped": lambda: arrays.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]),
        "empty state": lambda: state.write_text(""),
        "no arrays": arrays.unlink,
        "no state": state.unlink,
        "state is a list": lambda: state.write_text(json.dumps([1])),
        "a digit": lambda: state.write_text(state.read_text().replace("0.6", "0.7")),
        "deep": lambda: state.write_text("[" * 100_000),
        "pipe": lambda: (state.unlink(), os.mkfifo(state)),
        "packed": lambda: rewritten(tmp_path / f"{2:012d}", lambda file: np.savez_compressed(file, a=np.zeros(10**6))),
        "absurd shape": lambda: rewritten(tmp_path / f"{2:012d}", absurd),
        "link": lambda: (state.unlink(), state.symlink_to("/dev/zero")),
    }[damage]()
    with caplog.at_level(logging.WARNING):
        found = folder.latest()
    assert found is not None
    assert found.step == 1
    assert f"{2:012d} is damaged" in caplog.text


def rewritten(place: Path, write: Callable[[Path], None]) -> None:
    """Other arrays, which the state says are the right ones."""
    write(place / ARRAYS)
    record = json.loads((place / STATE).read_text()) | {"bytes": (place / ARRAYS).stat().st_size}
    del record["sha256"]
    (place / STATE).write_text(json.dumps({**record, "sha256": checkpoint._digest(record)}))


def absurd(file: Path) -> None:
    np.savez(file, a=np.zeros(3))
    file.write_bytes(file.read_bytes().replace(b"(3,), }            ", b"(1000000000000,), }"))


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, kept=1)
    (tmp_path / "²").mkdir()
    (tmp_path / f"{8:012d}").write_text("")
    (tmp_path / f"{9:012d}").symlink_to(tmp_path / "²")
    folder.save(made(1))
    folder.delete_after(0)
    assert folder.latest() is None
    assert steps(tmp_path) == ["8", "9", "²"]


def test_a_full_disk_names_the_place_and_leaves_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, kept=2)
    folder.save(made(1))

    def full(stream: object, **arrays: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with pytest.raises(UserError, match=r"step 2 cannot be written to .*No space left on device.*goes on from"):
        folder.save(made(2))
    found = folder.latest()
    assert found is not None
    assert found.step == 1
    assert steps(tmp_path) == ["1"]


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, kept=2)
    (tmp_path / "000000000005-abc.part").mkdir()
    assert folder.latest() is None
    folder.save(made(1))
    assert steps(tmp_path) == ["1"]


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, kept=2)
    folder.save(made(1))
    place = tmp_path / f"{1:012d}"
    rewritten(place, lambda file: np.savez(file, evil=np.array([{"a": 1}], dtype=object)))
    assert folder.latest() is None
