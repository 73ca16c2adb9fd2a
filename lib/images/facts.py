"""What is known of each backbone without building it: sizes, how it wants pixels, and where its weights lie."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib.config import BackboneSettings
from lib.config.images import BackboneName
from lib.errors import UserError
from lib.images import pretrained

IMAGENET, NONE = "imagenet", "none"
LITE: BackboneName = "efficientnet_lite0"
QUANTISED: BackboneName = "mobilenetv2_quantised"
KERAS_WEIGHTS = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
MOBILENET_V2_WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224_no_top.h5"


@dataclass(frozen=True)
class Facts:
    """A backbone.

    Attributes:
        features: numbers after global average pooling.
        smallest: pixels of the side of the smallest picture that it takes.
        pixels: how it wants them: "-1..1", "lite" (the same but for half a step), "torch" (by ImageNet's mean and
            deviation of each channel) or "caffe" (blue first, minus ImageNet's mean).
        application: its function in keras.applications, or None where it has none.
        options: arguments of that function.
        imagenet: file in Keras' cache that holds its ImageNet weights without the classes. That of pictures of 224
            pixels where there are several, so that features of two sizes come from the same weights.
        endings: of files that its weights are read from.
    """

    features: int
    smallest: int
    pixels: Literal["-1..1", "lite", "torch", "caffe"]
    application: str | None = None
    options: tuple[tuple[str, float], ...] = ()
    imagenet: str = ""
    endings: tuple[str, ...] = (".h5",)


FACTS: dict[BackboneName, Facts] = {
    "xception": Facts(2048, 71, "-1..1", "Xception", imagenet=f"xception{KERAS_WEIGHTS}"),
    "resnet50": Facts(2048, 32, "caffe", "ResNet50", imagenet=f"resnet50{KERAS_WEIGHTS}"),
    "inceptionv3": Facts(2048, 75, "-1..1", "InceptionV3", imagenet=f"inception_v3{KERAS_WEIGHTS}"),
    "inceptionresnetv2": Facts(1536, 75, "-1..1", "InceptionResNetV2", imagenet=f"inception_resnet_v2{KERAS_WEIGHTS}"),
    "mobilenet": Facts(1024, 32, "-1..1", "MobileNet", imagenet="mobilenet_1_0_224_tf_no_top.h5"),
    "mobilenetv2": Facts(1280, 32, "-1..1", "MobileNetV2", imagenet=MOBILENET_V2_WEIGHTS.format("1.0")),
    "mobilenetv2_140": Facts(
        1792, 32, "-1..1", "MobileNetV2", (("alpha", 1.4),), imagenet=MOBILENET_V2_WEIGHTS.format("1.4")
    ),
    "densenet121": Facts(1024, 32, "torch", "DenseNet121", imagenet=f"densenet121{KERAS_WEIGHTS}"),
    "densenet169": Facts(1664, 32, "torch", "DenseNet169", imagenet=f"densenet169{KERAS_WEIGHTS}"),
    "densenet201": Facts(1920, 32, "torch", "DenseNet201", imagenet=f"densenet201{KERAS_WEIGHTS}"),
    "nasnetlarge": Facts(4032, 32, "-1..1", "NASNetLarge", imagenet="nasnet_large_no_top.h5"),
    "nasnetmobile": Facts(1056, 32, "-1..1", "NASNetMobile", imagenet="nasnet_mobile_no_top.h5"),
    "efficientnet_lite0": Facts(1280, 32, "lite", endings=(".npz", ".h5")),
    # Its file takes pictures of one size only, and its pixels as they are.
    "mobilenetv2_quantised": Facts(1280, 224, "-1..1", endings=(".tflite",)),
}


def weights_file(settings: BackboneSettings) -> Path | None:
    """The file that holds the backbone's weights; None for random ones.

    Raises:
        UserError: it is not there; the message says what to put where.
    """
    if settings.weights == IMAGENET and settings.name == LITE:
        return _converted()
    if settings.weights in (IMAGENET, NONE) and settings.name == QUANTISED:
        raise UserError(
            f"backbone.weights {settings.weights} says nothing of {QUANTISED}, whose file is not a part of this "
            "project; give the path of a quantised MobileNetV2 1.0 that ends in .tflite"
        )
    if settings.weights == IMAGENET:
        return _cached(settings.name)
    return None if settings.weights == NONE else _given(settings)


def _converted() -> Path:
    if not pretrained.WEIGHTS.is_file():
        raise UserError(f"{pretrained.WEIGHTS}, the weights of {LITE}, is missing; run `make venv`, which makes it")
    return pretrained.WEIGHTS


def _cached(name: BackboneName) -> Path:
    file = _keras_cache() / FACTS[name].imagenet
    if not file.is_file():
        raise UserError(
            f"the ImageNet weights of {name} are not at {file}; put Keras' file of that name there, or set "
            "backbone.weights to the path of it"
        )
    return file


def _given(settings: BackboneSettings) -> Path:
    path, endings = Path(settings.weights), FACTS[settings.name].endings
    if not path.is_file() or path.suffix not in endings:
        raise UserError(
            f"backbone.weights {path} is no file of {settings.name}, whose weights end in {' or '.join(endings)}; give "
            "the path of one"
        )
    return path


def _keras_cache() -> Path:
    """Where keras.applications keeps what it downloads."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
