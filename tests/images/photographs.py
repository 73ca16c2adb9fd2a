"""Photographs that a test may look at: two that scikit-learn brings, and those of the real data."""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

# Their classes of ImageNet.
PALACE, DAISY = 698, 985


def china(size: int) -> NDArray[np.uint8]:
    """A temple in the Summer Palace: [size, size, 3]."""
    return square(Image.fromarray(load_sample_image("china.jpg")), size)


def flower(size: int) -> NDArray[np.uint8]:
    """A dahlia, of which ImageNet knows nothing, and whose nearest there is the daisy: [size, size, 3]."""
    return square(Image.fromarray(load_sample_image("flower.jpg")), size)


def clothing(data: Path, kind: str, count: int, size: int) -> NDArray[np.uint8]:
    """The first pictures of that folder of clothing_images' test split: [count, size, size, 3]."""
    with zipfile.ZipFile(data / "clothing_images" / "images.zip") as archive:
        names = sorted(name for name in archive.namelist() if f"test/{kind}/" in name and name.endswith(".jpg"))
        return np.stack([square(Image.open(io.BytesIO(archive.read(name))), size) for name in names[:count]])


def square(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """Its middle."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    middle = picture.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(middle.resize((size, size), Image.Resampling.BICUBIC))
