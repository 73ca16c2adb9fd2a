"""The reader of PyTorch's files runs nothing and reads nothing that the file does not hold; the conversion is exact."""

import hashlib
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.errors import UserError
from lib.images import pretrained
from lib.images.efficientnet_lite import efficientnet_lite0
from lib.images.torch_file import read_tensors
from tests.images.published import CHECKPOINT, checkpoint, instructions, state, tensor


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {self.mark}",)


def refusal(data: bytes) -> str:
    """What the reader says of it: one sentence that names the file."""
    with pytest.raises(UserError) as raised:
        read_tensors(data, "some.pth")
    message = str(raised.value)
    assert message.startswith("some.pth is not read: ")
    assert "\n" not in message
    return message


def test_tensors_are_views_of_the_storage() -> None:
    program = state(("plain", tensor()), ("turned", tensor((3, 2), (1, 3))), ("part", tensor((2,), (2,), 1)))
    found = read_tensors(checkpoint(program), "some.pth")
    assert found["plain"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["part"].tolist() == [1, 3]
    assert not found["plain"].flags.writeable


def test_a_command_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for protocol in range(6):
        evil = pickle.dumps(Command(mark), protocol)
        refusal(evil)
        refusal(checkpoint(evil))
        refusal(checkpoint(state(("weight", evil.removeprefix(b"\x80" + bytes([protocol]))[:-1]))))
    assert not mark.exists()
    # The same pickle does run where everything is let through.
    pickle.loads(pickle.dumps(Command(mark), 2))
    assert mark.exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (b"cbuiltins\neval\n" + instructions(("1",)) + b"R", "builtins.eval"),
        (b"c__builtin__\nexec\n" + instructions(("1",)) + b"R", "exec"),
        (b"ctorch\nload\n" + instructions(("x",)) + b"R", "torch.load"),
        (b"ctorch._utils\n_rebuild_tensor\n)R", "_rebuild_tensor"),
        (b"ctorch\nFloatStorage.newbyteorder\n)R", "FloatStorage.newbyteorder"),
        (instructions("builtins") + instructions("eval") + b"\x93" + instructions(("1",)) + b"R", "STACK_GLOBAL"),
        (b"(ios\nsystem\n", "INST"),
        (b"(cos\nsystem\n" + instructions("true") + b"o", "OBJ"),
        (b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
        (b"\x82\x01", "EXT1"),
    ],
)
def test_every_other_name_and_instruction_is_refused(call: bytes, said: str) -> None:
    assert said in refusal(checkpoint(state(("weight", call))))


@pytest.mark.parametrize(
    "wrong",
    [
        tensor((2, 4), (4, 1)),
        tensor((2, 3), (4, 1)),
        tensor((2, 3), (3, 1), 1),
        tensor((2,), (1,), 10**6),
        tensor((2,), (1,), -1),
        tensor((-2, -3), (3, 1)),
        tensor((2,), (-1,), 1),
        tensor((2,), (10**30,)),
        tensor((10**9, 10**9), (0, 0)),
        tensor((1,) * 9, (1,) * 9),
        tensor((2,), (1, 1)),
        tensor((2.0,), (1,)),
        tensor((True,), (1,)),
        tensor("23", "31"),
        tensor(count=10**15),
        tensor(count=-1),
        tensor(count=7),
        tensor(kind=b"LongStorage"),
        tensor(key="8"),
        instructions(5),
        instructions("weight"),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(wrong: bytes) -> None:
    refusal(checkpoint(state(("weight", wrong))))
    refusal(checkpoint(state(("right", tensor()), ("weight", wrong))))


def test_records_cannot_be_altered_after_they_were_made() -> None:
    """BUILD sets attributes, of a record and of the class behind it."""
    attributes = instructions({"shape": (9, 9)}) + b"b"
    found = read_tensors(checkpoint(state(("weight", tensor() + attributes))), "some.pth")
    assert found["weight"].shape == (2, 3)
    of_class = b"ctorch._utils\n_rebuild_tensor_v2\n" + instructions((None, {"shape": 5})) + b"b"
    refusal(checkpoint(state(("weight", of_class))))
    assert read_tensors(checkpoint(state(("weight", tensor()))), "some.pth")["weight"].shape == (2, 3)


def test_a_number_of_kept_values_makes_no_room() -> None:
    assert "out of order" in refusal(checkpoint(state(("weight", tensor() + b"r\xff\xff\xff\x7f"))))


def test_another_format_is_refused() -> None:
    good = state(("weight", tensor()))
    refusal(b"PK\x03\x04" + bytes(100))
    refusal(b"")
    refusal(checkpoint(good, magic=1))
    refusal(checkpoint(good, system={"little_endian": False}))
    refusal(checkpoint(good, system="little_endian"))
    refusal(checkpoint(good, keys=("7", "7")))
    refusal(checkpoint(good, keys=()))
    refusal(checkpoint(b"\x80\x02" + instructions({"weight": 1}) + b"."))


def test_a_truncated_or_damaged_file_is_refused_or_read_and_nothing_else() -> None:
    good, chance = checkpoint(state(("weight", tensor()))), random.Random(5)
    for end in range(len(good)):
        refusal(good[:end])
    refused = 0
    for _ in range(3000):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(good))] = chance.randrange(256)
        try:
            read_tensors(bytes(damaged), "some.pth")
        except UserError:
            refused += 1
    assert refused > 1000


def test_only_the_file_of_the_pinned_hash_is_read(tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(CHECKPOINT.read_bytes()[:-1] + b"\x01")
    with pytest.raises(UserError, match="SHA-256"):
        pretrained.read_checkpoint(other)
    with pytest.raises(UserError, match="is no file"):
        pretrained.read_checkpoint(tmp_path / "absent.pth")
    with other.open("wb") as file:
        file.truncate(pretrained.MOST_BYTES + 1)
    with pytest.raises(UserError, match="larger than"):
        pretrained.read_checkpoint(other)


def test_its_name_is_the_beginning_of_its_hash() -> None:
    """So says PyTorch's way to name such files."""
    assert CHECKPOINT.stem.split("-")[-1] == pretrained.SHA256[:8]


def test_every_number_of_the_checkpoint_has_its_place() -> None:
    tensors = pretrained.read_checkpoint(CHECKPOINT)
    converted = pretrained.keras_weights(tensors)
    network = efficientnet_lite0(32, include_top=True)
    shapes = {
        f"{layer.name}/{weight.name}": tuple(weight.shape) for layer in network.layers for weight in layer.weights
    }
    assert {name: array.shape for name, array in converted.items()} == shapes
    floats = sum(array.size for array in tensors.values() if array.dtype == np.float32)
    assert sum(array.size for array in converted.values()) == floats


def test_the_environment_holds_what_set_up_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = hashlib.sha256(pretrained.WEIGHTS.read_bytes()).hexdigest()
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "folder" / "weights.npz")
    pretrained.main()
    assert hashlib.sha256(pretrained.WEIGHTS.read_bytes()).hexdigest() == installed
    assert [file.name for file in pretrained.WEIGHTS.parent.iterdir()] == ["weights.npz"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "PACKAGE", "no-such-package")
    with pytest.raises(UserError, match="no-such-package is not installed; run `make venv`"):
        pretrained.main()
