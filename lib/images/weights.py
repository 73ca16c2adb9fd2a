"""Puts a file's weights into a network, after a look at what the file would have us read.

Both formats are plain numbers: .npz by names of ours, and the HDF5 that Keras writes (today's .weights.h5 and the older
.h5 of keras.applications). An HDF5 file can also point into other files of the machine, and both can announce more
numbers than there is memory; such files are refused.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np

from lib.errors import UserError

# Names and other small things beside the numbers of an .npz's member.
HEADER_BYTES = 16 << 10
BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)


def load(network: keras.Model, path: Path) -> None:
    """Read the network's weights from a file ending in .npz or .h5.

    Raises:
        UserError: it cannot be read, or holds something else than this network's weights.
    """
    try:
        if path.suffix == ".npz":
            _load_named(network, path)
        else:
            _check_hdf5(network, path)
            network.load_weights(path)
    except BROKEN as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"the weights in {path} do not fit {network.name} ({reason}); give the file of that network without its "
            "classes in backbone.weights"
        ) from None


def _load_named(network: keras.Model, path: Path) -> None:
    """Arrays named "<layer>/<weight>"; those of layers that this network does without are left alone."""
    with np.load(path, allow_pickle=False) as file:
        for layer in network.layers:
            for weight in layer.weights:
                weight.assign(_array(file, f"{layer.name}/{weight.name}", tuple(weight.shape)))


def _array(file: Any, name: str, shape: tuple[int, ...]) -> Any:
    if file.zip.getinfo(f"{name}.npy").file_size > 4 * math.prod(shape) + HEADER_BYTES:
        raise ValueError(f"{name} is larger than {shape}")
    array = file[name]
    if array.dtype != np.float32 or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} of {array.shape}, expected float32 of {shape}")
    return array


def _check_hdf5(network: keras.Model, path: Path) -> None:
    numbers = 0

    def fault(name: str, link: Any) -> str | None:
        # Whatever is not None ends the visit; h5py does not survive an exception here.
        nonlocal numbers
        if not isinstance(link, h5py.HardLink):
            return f"{name} lies elsewhere, and nothing outside the file is read"
        item = file[name]
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual or item.dtype.kind != "f":
                return f"{name} is no plain array of numbers"
            numbers += item.size
        return None

    with h5py.File(path, "r") as file:
        found = file.visititems_links(fault)
    if found is not None:
        raise ValueError(found)
    if numbers != network.count_params():
        raise ValueError(f"it holds {numbers} numbers, the network {network.count_params()}")
