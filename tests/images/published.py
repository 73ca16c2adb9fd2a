"""The published file of EfficientNet-Lite0's weights, and files of the same format that say what a test wants."""

import pickle
import pickletools
from importlib import metadata
from pathlib import Path

import numpy as np

from lib.images.pretrained import FILE, PACKAGE
from lib.images.torch_file import FORMAT, MAGIC

CHECKPOINT = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
NAMES = b"ccollections\nOrderedDict\n)R"


def instructions(value: object) -> bytes:
    """Those that put a plain value on the stack."""
    return pickletools.optimize(pickle.dumps(value, 2))[2:-1]


def tensor(
    shape: object = (2, 3),
    strides: object = (3, 1),
    offset: object = 0,
    count: object = 6,
    kind: bytes = b"FloatStorage",
    key: str = "7",
) -> bytes:
    """Instructions that put a tensor on the stack, as PyTorch writes them."""
    storage = instructions("storage") + b"ctorch\n" + kind + b"\n" + instructions(key)
    announced = b"(" + storage + instructions("cpu") + instructions(count) + b"NtQ"
    view = instructions(offset) + instructions(shape) + instructions(strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + announced + view + b"\x89" + NAMES + b"tR"


def state(*named: tuple[str, bytes]) -> bytes:
    """A whole pickle of a dict of tensors."""
    return b"\x80\x02" + NAMES + b"".join(instructions(name) + value + b"s" for name, value in named) + b"."


def checkpoint(
    program: bytes, keys: object = ("7",), numbers: object = range(6), system: object = None, magic: int = MAGIC
) -> bytes:
    """A whole file around that pickle, with one storage of the numbers."""
    head = b"".join(pickle.dumps(part, 2) for part in (magic, FORMAT, system or {"little_endian": True}))
    values = np.array(numbers, "<f4")
    body = len(values).to_bytes(8, "little") + values.tobytes()
    return head + program + pickle.dumps(list(keys), 2) + body  # type: ignore[call-overload]
