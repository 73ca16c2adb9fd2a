"""EfficientNet-Lite0, which keras.applications lacks: the backbone whose ImageNet weights an ordinary install brings.

EfficientNet-B0 (Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019) without
squeeze-and-excitation and with ReLU6 for swish, as its authors published it for edge devices. Padding is TensorFlow's
SAME and batch normalisation's epsilon 0.001, which the published weights were trained with; layers have the names that
keras.applications gives those of EfficientNet-B0.
"""

from typing import Any

import keras

from lib.images.blocks import BLOCKS, STEM_FILTERS, Block

FEATURES = 1280
CLASSES = 1000
EPSILON = 1e-3
TOP_DROPOUT = 0.2


def efficientnet_lite0(size: int, *, include_top: bool = False) -> keras.Model:
    """The network with fresh weights.

    Args:
        size: pixels of a picture's side.
        include_top: whether the 1,000 classes of ImageNet follow.

    Returns:
        From pixels of -1..1 ((pixel - 127) / 128) [batch, size, size, 3] to the last map of activations
        [batch, size / 32, size / 32, 1280] (rounded up), or to logits [batch, 1000].
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    stem = keras.layers.Conv2D(STEM_FILTERS, 3, 2, padding="same", use_bias=False, name="stem_conv")(pixels)
    found = _normalised(stem, "stem")
    for block in BLOCKS:
        found = _block(found, block)
    head = keras.layers.Conv2D(FEATURES, 1, padding="same", use_bias=False, name="top_conv")(found)
    found = _normalised(head, "top")
    if include_top:
        pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(found)
        kept = keras.layers.Dropout(TOP_DROPOUT, name="top_dropout")(pooled)
        found = keras.layers.Dense(CLASSES, name="predictions")(kept)
    return keras.Model(pixels, found, name="efficientnet_lite0")


def _block(before: Any, block: Block) -> Any:
    name, found = block.name, before
    if block.expansion > 1:
        wide = block.channels_in * block.expansion
        expand = keras.layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{name}_expand_conv")
        found = _normalised(expand(found), f"{name}_expand")
    depthwise = keras.layers.DepthwiseConv2D(
        block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )
    found = _normalised(depthwise(found), name)
    project = keras.layers.Conv2D(block.channels_out, 1, padding="same", use_bias=False, name=f"{name}_project_conv")
    found = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(project(found))
    return keras.layers.Add(name=f"{name}_add")([found, before]) if block.is_residual else found


def _normalised(found: Any, name: str) -> Any:
    normal = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(found)
    return keras.layers.ReLU(6.0, name=f"{name}_activation")(normal)
