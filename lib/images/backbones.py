"""The pretrained networks that see pictures, by name: what they take, what they give, and which weights they have.

Nothing is downloaded: ImageNet weights are those of this environment (EfficientNet-Lite0) or of Keras' cache, and a
message says which file goes where. TensorFlow is loaded only for those who ask for a network; a Spark driver that names
features has no use for it.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lib.config import BackboneSettings
from lib.config.images import BackboneName
from lib.errors import UserError
from lib.images.facts import FACTS, weights_file

if TYPE_CHECKING:
    import keras

# uint8 pictures [n, size, size, 3] (an array or a tensor), any n -> float32 features [n, feature_size].
Extractor = Callable[[Any], NDArray[np.float32]]
RANDOM = "random"


def feature_size(name: BackboneName) -> int:
    """Numbers that the backbone makes of a picture, after global average pooling."""
    return FACTS[name].features


def smallest_size(name: BackboneName) -> int:
    """Pixels of the side of the smallest picture that it takes."""
    return FACTS[name].smallest


def weights_key(settings: BackboneSettings) -> str:
    """16 hexadecimal digits of the hash of the weights' file, or 'random'.

    Raises:
        UserError: there is no such file.
    """
    path = weights_file(settings)
    if path is None:
        return RANDOM
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def backbone_key(settings: BackboneSettings, size: int) -> str:
    """Which features these are: two with one key are the same numbers for the same picture.

    Raises:
        UserError: pictures of that size are too small for it, or there is no file of weights.
    """
    check_size(settings.name, size)
    return f"{settings.name}-{size}-{weights_key(settings)[:8]}"


def check_size(name: BackboneName, size: int) -> None:
    """Raise UserError when its pictures must be larger."""
    if size < smallest_size(name):
        raise UserError(
            f"images.size {size} is too small for backbone.name {name}, which takes {smallest_size(name)} pixels and "
            "more; take larger pictures or another backbone"
        )


def network(settings: BackboneSettings, size: int) -> "keras.Model":
    """The network with its weights, frozen.

    Returns:
        From pictures of 0..255, uint8 or float [batch, size, size, 3], to float32 features [batch, feature_size].

    Raises:
        UserError: the backbone is no Keras network, pictures of that size are too small for it, or its weights are
            missing or do not fit.
    """
    from lib.images import networks

    check_size(settings.name, size)
    return networks.network(settings, size)


def trainable_from(model: "keras.Model", layer_name: str) -> None:
    """Make the layer of that name in a `network`, and all after it, trainable; batch normalisation stays frozen.

    Its means and variances are those of ImageNet's millions of pictures, which small batches of ours would spoil.

    Raises:
        UserError: there is no such layer.
    """
    from lib.images import networks

    networks.trainable_from(model, layer_name)


def extractor(settings: BackboneSettings, size: int, threads: int) -> Extractor:
    """What makes features of pictures, loaded once and quick for any number of pictures.

    Args:
        threads: of TensorFlow in this process; they hold where nothing of TensorFlow has run in it before.

    Raises:
        UserError: as `network`; or a quantised file takes pictures of another size.
    """
    from lib.images import extraction

    check_size(settings.name, size)
    return extraction.extractor(settings, size, threads)
