"""Makes features of pictures with a network that is not trained any more, as quickly as TensorFlow can.

A Keras network becomes a graph of constants, in which TensorFlow folds preprocessing and batch normalisation into the
convolutions before them; a quantised one runs in TensorFlow Lite, whose tensor before the classes is taken.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from lib.config import BackboneSettings
from lib.errors import UserError
from lib.images.backbones import Extractor
from lib.images.facts import FACTS, weights_file
from lib.images.networks import network


def extractor(settings: BackboneSettings, size: int, threads: int) -> Extractor:
    """See `lib.images.backbones.extractor`."""
    _use_threads(threads)
    path, features = weights_file(settings), FACTS[settings.name].features
    if path is not None and path.suffix == ".tflite":
        return QuantisedNetwork(path, size, features, threads)
    return FrozenNetwork(network(settings, size), size, features)


def _use_threads(threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow has started in this process: its threads stay as they are.
        return


def _check(pictures: Any, size: int) -> None:
    """A caller's defect, not a user's mistake."""
    if pictures.dtype != np.uint8 or tuple(pictures.shape[1:]) != (size, size, 3):
        raise ValueError(f"pictures are {pictures.dtype} of {pictures.shape}, expected uint8 of [n, {size}, {size}, 3]")


class FrozenNetwork:
    """A Keras network as constants, compiled once for any number of pictures."""

    def __init__(self, model: Any, size: int, features: int) -> None:
        self._size, self._features = size, features
        signature = [tf.TensorSpec([None, size, size, 3], tf.uint8)]
        traced = tf.function(lambda pictures: model(pictures, training=False), input_signature=signature)
        self._look = convert_variables_to_constants_v2(traced.get_concrete_function())

    def __call__(self, pictures: Any) -> NDArray[np.float32]:
        """uint8 [n, size, size, 3] to float32 [n, features]."""
        _check(pictures, self._size)
        if not len(pictures):
            return np.zeros((0, self._features), np.float32)
        found: NDArray[np.float32] = self._look(tf.convert_to_tensor(pictures))[0].numpy()
        return found


class QuantisedNetwork:
    """A TensorFlow Lite file of 8-bit numbers: its features are what its classes are computed of."""

    def __init__(self, path: Path, size: int, features: int, threads: int) -> None:
        self._size, self._features = size, features
        self._interpreter = _interpreter(path, threads)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._check_input(path)
        embedding = self._embedding(path)
        self._output = embedding["index"]
        self._scale, self._zero = embedding["quantization"]

    def __call__(self, pictures: Any) -> NDArray[np.float32]:
        """uint8 [n, size, size, 3] to float32 [n, features]."""
        _check(pictures, self._size)
        found = np.zeros((len(pictures), self._features), np.float32)
        # One by one: such files are made for one picture, and do not take several.
        for row, picture in enumerate(np.asarray(pictures)):
            self._interpreter.set_tensor(self._input, picture[None])
            self._interpreter.invoke()
            codes = self._interpreter.get_tensor(self._output).reshape(-1)
            found[row] = self._scale * (codes.astype(np.float32) - self._zero)
        return found

    def _check_input(self, path: Path) -> None:
        expected = self._interpreter.get_input_details()[0]
        shape, dtype = tuple(int(side) for side in expected["shape"]), expected["dtype"]
        if shape != (1, self._size, self._size, 3) or dtype is not np.uint8:
            raise UserError(
                f"the network in {path} takes {dtype.__name__} of {shape}, not pictures of images.size {self._size}; "
                "take pictures of its size, or another backbone"
            )

    def _embedding(self, path: Path) -> dict[str, Any]:
        """The last tensor of one number for each feature."""
        found = [
            tensor
            for tensor in self._interpreter.get_tensor_details()
            if tensor["dtype"] in (np.uint8, np.int8) and math.prod(tensor["shape"]) == self._features
        ]
        if not found:
            raise UserError(
                f"{path} has no 8-bit tensor of {self._features} numbers before its classes; give the file of a "
                "quantised MobileNetV2 1.0 in backbone.weights"
            )
        last: dict[str, Any] = found[-1]
        return last


def _interpreter(path: Path, threads: int) -> Any:
    try:
        with warnings.catch_warnings():
            # TensorFlow announces that its interpreter will be a package of its own.
            warnings.simplefilter("ignore")
            # Tensors between input and output are overwritten otherwise.
            interpreter = tf.lite.Interpreter(str(path), num_threads=threads, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"backbone.weights {path} is no TensorFlow Lite file ({reason}); give another") from None
    return interpreter
