"""Builds the Keras networks of lib/images/backbones.py: pixels of 0..255 in, features out.

Preprocessing is a part of the network, as layers, so training and scoring cannot differ.
"""

import re
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib.config import BackboneSettings
from lib.errors import UserError
from lib.images import weights
from lib.images.efficientnet_lite import efficientnet_lite0
from lib.images.facts import FACTS, QUANTISED, Facts, weights_file

# Of the random weights: the same in every process, as features of several workers lie in one table.
SEED = 20_170_704
# Of ImageNet's channels, red first, in shares of 255; blue first, in pixels.
MEAN: NDArray[np.float64] = np.array([0.485, 0.456, 0.406])
DEVIATION: NDArray[np.float64] = np.array([0.229, 0.224, 0.225])
MEAN_BLUE_FIRST: NDArray[np.float64] = np.array([103.939, 116.779, 123.68])
# Layers that a message about an unknown one names.
NAMED_LAYERS = 6


def network(settings: BackboneSettings, size: int) -> keras.Model:
    """See `lib.images.backbones.network`."""
    body = _body(settings, size)
    pictures = keras.Input((size, size, 3), name="pictures")
    seen = body(_preprocessed(pictures, FACTS[settings.name]))
    # float32, as preprocessing: bfloat16 keeps pixels apart no more once they are shifted.
    features = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(seen)
    model = keras.Model(pictures, features, name=f"backbone_{settings.name}")
    model.trainable = False
    return model


def trainable_from(model: keras.Model, layer_name: str) -> None:
    """See `lib.images.backbones.trainable_from`."""
    body = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    names = [layer.name for layer in body.layers]
    if layer_name not in names:
        weighed = [layer.name for layer in body.layers if layer.weights]
        some = weighed[:: max(len(weighed) // NAMED_LAYERS, 1)]
        raise UserError(
            f"model.fine_tune_from {layer_name} is no layer of {body.name}; name one of its {len(names)} layers, such "
            f"as {', '.join(some)}"
        )
    model.trainable = True
    first = names.index(layer_name)
    for number, layer in enumerate(body.layers):
        layer.trainable = number >= first and not isinstance(layer, keras.layers.BatchNormalization)


def _body(settings: BackboneSettings, size: int) -> keras.Model:
    """The bare network with its weights: [batch, size, size, 3] to the last map of activations."""
    if settings.name == QUANTISED:
        raise UserError(
            f"backbone.name {settings.name} gives features only (jobs/image_features.py) and no network to train in a "
            "model; choose another backbone"
        )
    facts, path = FACTS[settings.name], weights_file(settings)
    if facts.application is None:
        body = efficientnet_lite0(size)
    else:
        build = getattr(keras.applications, facts.application)
        body = build(include_top=False, weights=None, input_shape=(size, size, 3), **dict(facts.options))
    _number_anew(body)
    if path is None:
        _randomise(body)
    else:
        weights.load(body, path)
    return body


def _preprocessed(pictures: Any, facts: Facts) -> Any:
    """As keras.applications' preprocess_input and, for EfficientNet-Lite0, its authors' mean 127 and deviation 128."""
    if facts.pixels == "-1..1":
        return keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="preprocessing")(pictures)
    if facts.pixels == "lite":
        return keras.layers.Rescaling(1 / 128, -127 / 128, dtype="float32", name="preprocessing")(pictures)
    if facts.pixels == "torch":
        return _by_channel(pictures, 255.0 * MEAN, 255.0 * DEVIATION)
    return _by_channel(keras.ops.flip(pictures, axis=-1), MEAN_BLUE_FIRST, np.ones(3))


def _by_channel(pictures: Any, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Any:
    normalise = keras.layers.Normalization(
        mean=mean.tolist(), variance=np.square(deviation).tolist(), dtype="float32", name="preprocessing"
    )
    return normalise(pictures)


def _number_anew(body: keras.Model) -> None:
    """Give layers that Keras named by numbers the names they have in a fresh process.

    Keras counts on from network to network, so 'conv2d_3' would be another layer, or none, in the second network of a
    process.
    """
    counted: dict[str, list[tuple[int, Any]]] = {}
    for layer in body.layers:
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()
        found = re.fullmatch(r"(\w+?)(?:_(\d+))?", layer.name)
        if found is not None and found[1] == kind:
            counted.setdefault(kind, []).append((int(found[2] or 0), layer))
    for kind, layers in counted.items():
        for rank, (_number, layer) in enumerate(sorted(layers, key=lambda pair: pair[0])):
            layer.name = f"{kind}_{rank}" if rank else kind


def _randomise(body: keras.Model) -> None:
    """Fill kernels so that activations neither vanish nor explode (He et al.: Delving deep into rectifiers, 2015)."""
    generator = np.random.default_rng(SEED)
    for layer in body.layers:
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if len(shape) > 1:
                by_channel = isinstance(layer, keras.layers.DepthwiseConv2D) or weight.name == "depthwise_kernel"
                seen = np.prod(shape[:2] if by_channel else shape[:-1])
                weight.assign(generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / seen)))
