"""Reads the tensors of a PyTorch checkpoint without PyTorch, and runs nothing that the file says.

A .pth file is a pickle, a program that may call any function of Python. Of that language only what a dict of tensors
needs is let through: a list of allowed instructions, three kinds of names, and records of ours in the place of tensors,
which nothing in the file can alter. Numbers are looked at where they lie in the file, so a small file cannot ask for
much memory. This is the older of PyTorch's two formats (before 1.6), which the file that we read has.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lib.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C
FORMAT = 1001
DTYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
MOST_DIMENSIONS = 8
# fmt: off
INSTRUCTIONS = frozenset((
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM",
    "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "BINPERSID", "GLOBAL", "REDUCE", "BUILD",
))
# fmt: on
# What a pickle, a list or a number that is not what it should be can raise.
BROKEN = (
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
)  # fmt: skip


class _Storage(NamedTuple):
    """A run of numbers that the file announces and holds further on."""

    kind: str
    key: str
    size: int

    def __setstate__(self, state: object) -> None:
        """Stays as it is: this is what the instruction BUILD calls."""


class _Tensor(NamedTuple):
    """A view of a storage, with the arguments of torch._utils._rebuild_tensor_v2; counted in numbers, not bytes."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any
    requires_grad: Any
    hooks: Any

    def __setstate__(self, state: object) -> None:
        """Stays as it is."""


class _Names(dict[Any, Any]):
    """What the file takes for an OrderedDict."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Stays as it is: PyTorch keeps the versions of layers there."""


class _Unpickler(pickle.Unpickler):
    """Knows tensors, storages and dicts of them, and no other name."""

    def __init__(self, program: bytes, storages: dict[str, _Storage]) -> None:
        super().__init__(io.BytesIO(program))
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Ours in the place of what the file names."""
        if (module, name) == ("collections", "OrderedDict"):
            return _Names
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage that the file announces; its numbers follow after the pickles."""
        word, kind, key, _location, count, _view = pid
        if word != "storage" or kind not in DTYPES or type(key) is not str or type(count) is not int or count < 0:
            raise pickle.UnpicklingError("it announces no storage of ours")
        storage = _Storage(kind, key, count)
        if self.storages.setdefault(key, storage) != storage:
            raise pickle.UnpicklingError(f"it announces storage {key} twice")
        return storage


def read_tensors(data: bytes, source: str) -> dict[str, NDArray[Any]]:
    """The tensors of a checkpoint that is a plain dict of them, such as a model's state_dict.

    Args:
        data: the file's content.
        source: what messages call it.

    Returns:
        Name -> read-only view of `data`, float32 or int64.

    Raises:
        UserError: it is damaged, of another format, or says anything beyond tensors.
    """
    try:
        return _read(data)
    except BROKEN as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source} is not read: it is no plain PyTorch checkpoint of tensors ({reason})") from None


def _read(data: bytes) -> dict[str, NDArray[Any]]:
    stream, announced = io.BytesIO(data), dict[str, _Storage]()
    magic, version, system, names, keys = (_Unpickler(_program(stream), announced).load() for _ in range(5))
    if (magic, version) != (MAGIC, FORMAT) or system.get("little_endian") is not True:
        raise ValueError("another format")
    if not isinstance(names, _Names) or sorted(keys) != sorted(announced):
        raise ValueError("it does not hold what it announces")
    storages: dict[str, NDArray[Any]] = {}
    position = stream.tell()
    for key in keys:
        storages[key] = _numbers(data, position, announced[key])
        position += 8 + storages[key].nbytes
    return {str(name): _array(str(name), tensor, storages) for name, tensor in names.items()}


def _program(stream: io.BytesIO) -> bytes:
    """The next pickle, of which every instruction has been looked at and none has run."""
    start, kept = stream.tell(), 0
    for instruction, argument, _position in pickletools.genops(stream):
        if instruction.name not in INSTRUCTIONS:
            raise ValueError(f"instruction {instruction.name}")
        if instruction.name.endswith("BINPUT"):
            # The unpickler makes room for as many as the largest number says.
            if not isinstance(argument, int) or argument > kept:
                raise ValueError("it keeps values out of order")
            kept += 1
    return stream.getvalue()[start : stream.tell()]


def _numbers(data: bytes, position: int, storage: _Storage) -> NDArray[Any]:
    """A storage lies in the file as the count of its numbers (8 bytes) and the numbers."""
    if int.from_bytes(data[position : position + 8], "little") != storage.size:
        raise ValueError(f"storage {storage.key} is not where or what it should be")
    # Raises ValueError where the file ends before them.
    return np.frombuffer(data, DTYPES[storage.kind], storage.size, position + 8)


def _array(name: str, tensor: Any, storages: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
        raise ValueError(f"{name} is no tensor")
    numbers, shape, strides = storages[tensor.storage.key], tensor.shape, tensor.strides
    counts = [tensor.offset, *shape, *strides]
    if len(shape) > MOST_DIMENSIONS or any(type(count) is not int or count < 0 for count in counts):
        raise ValueError(f"{name} has an impossible shape")
    if math.prod(shape) > numbers.size:
        raise ValueError(f"{name} has more numbers than its storage")
    width = numbers.itemsize
    # Raises ValueError where a number would lie outside the buffer.
    return np.ndarray(shape, numbers.dtype, numbers, tensor.offset * width, [stride * width for stride in strides])
