"""EfficientNet-Lite0 against a plain computation from the published file, and on photographs of known classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lib.config import BackboneSettings
from lib.images import weights
from lib.images.backbones import network
from lib.images.blocks import BLOCKS
from lib.images.efficientnet_lite import efficientnet_lite0
from lib.images.pretrained import WEIGHTS, read_checkpoint
from tests.images.photographs import DAISY, PALACE, china, clothing, flower
from tests.images.published import CHECKPOINT

Numbers = NDArray[Any]
# Of ImageNet.
JERSEY, SWIMMING_TRUNKS = 610, 842
FOOTWEAR = {502, 514, 630, 770, 774}  # clog, cowboy boot, loafer, running shoe, sandal


def reference(tensors: Mapping[str, Numbers], picture: Numbers) -> Numbers:
    """Features of one picture, channels first, straight from the published tensors."""

    def convolved(found: Numbers, name: str, stride: int = 1) -> Numbers:
        kernel = tensors[f"{name}.weight"].astype(np.float64)
        side, size = kernel.shape[-1], found.shape[-1]
        padding = max((-(-size // stride) - 1) * stride + side - size, 0)
        around = (padding // 2, padding - padding // 2)
        windows = sliding_window_view(np.pad(found, ((0, 0), around, around)), (side, side), axis=(1, 2))
        windows = windows[:, ::stride, ::stride]
        if kernel.shape[1] == 1 < len(found):
            return np.einsum("chwij,cij->chw", windows, kernel[:, 0])
        return np.einsum("chwij,ocij->ohw", windows, kernel, optimize=True)

    def normalised(found: Numbers, name: str) -> Numbers:
        of = {part: tensors[f"{name}.{part}"].astype(np.float64)[:, None, None] for part in PARTS}
        return (found - of["running_mean"]) / np.sqrt(of["running_var"] + 1e-3) * of["weight"] + of["bias"]

    def active(found: Numbers) -> Numbers:
        return np.clip(found, 0, 6)

    found = active(normalised(convolved((picture - 127.0).transpose(2, 0, 1) / 128, "_conv_stem", 2), "_bn0"))
    for number, block in enumerate(BLOCKS):
        before, name = found, f"_blocks.{number}"
        if block.expansion > 1:
            found = active(normalised(convolved(found, f"{name}._expand_conv"), f"{name}._bn0"))
        found = active(normalised(convolved(found, f"{name}._depthwise_conv", block.stride), f"{name}._bn1"))
        found = normalised(convolved(found, f"{name}._project_conv"), f"{name}._bn2")
        found = found + before if block.is_residual else found
    return active(normalised(convolved(found, "_conv_head"), "_bn1")).mean(axis=(1, 2))


PARTS = ("weight", "bias", "running_mean", "running_var")


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    model = efficientnet_lite0(224, include_top=True)
    weights.load(model, WEIGHTS)
    return model


def classes(classifier: keras.Model, pictures: NDArray[np.uint8]) -> list[int]:
    logits = classifier((pictures.astype(np.float32) - 127) / 128, training=False)
    return [int(best) for best in np.argmax(logits, axis=1)]


@pytest.mark.parametrize("size", [64, 67])
def test_features_are_those_of_the_published_tensors(size: int) -> None:
    picture = china(size)
    expected = reference(read_checkpoint(CHECKPOINT), picture)
    found = network(BackboneSettings(), size)(picture[None]).numpy()[0]
    assert expected.max() > 1
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_it_has_the_parameters_of_the_paper() -> None:
    """4.7 million with the classes; and a map a 32nd of the picture, rounded up."""
    assert efficientnet_lite0(64, include_top=True).count_params() == 4_694_024
    assert efficientnet_lite0(100).output_shape == (None, 4, 4, 1280)


def test_photographs_get_their_classes(classifier: keras.Model) -> None:
    assert classes(classifier, np.stack([china(224), flower(224)])) == [PALACE, DAISY]


def test_clothes_get_their_classes(classifier: keras.Model, real_data: Path) -> None:
    shirts = classes(classifier, clothing(real_data, "t-shirt", 12, 224))
    shorts = classes(classifier, clothing(real_data, "shorts", 12, 224))
    shoes = classes(classifier, clothing(real_data, "shoes", 12, 224))
    assert shirts.count(JERSEY) >= 8
    assert shorts.count(SWIMMING_TRUNKS) >= 7
    assert sum(shoe in FOOTWEAR for shoe in shoes) >= 11
