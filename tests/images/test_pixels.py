"""Kept JPEGs as pixels: where pictures are missing, damaged or of another size."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lib.errors import UserError
from lib.images.pixels import pixels

SIZE = 16


def jpeg(tint: tuple[int, int, int], size: int = SIZE) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (size, size), tint).save(stream, "JPEG")
    return stream.getvalue()


def test_a_batch_of_pictures_and_of_none_keeps_its_order() -> None:
    found = pixels(tf.constant([jpeg((250, 10, 10)), b"", jpeg((10, 10, 250))]), SIZE).numpy()
    assert (found.shape, found.dtype) == ((3, SIZE, SIZE, 3), np.uint8)
    assert found[0, :, :, 0].mean() > 200 > 60 > found[0, :, :, 2].mean()
    assert not found[1].any()
    assert found[2, :, :, 2].mean() > 200
    np.testing.assert_array_equal(found[:1], pixels(tf.constant([jpeg((250, 10, 10))]), SIZE))


def test_no_row_gives_no_picture() -> None:
    assert pixels(tf.constant([], tf.string), SIZE).shape == (0, SIZE, SIZE, 3)


@pytest.mark.parametrize("bad", [b"no picture", jpeg((1, 2, 3))[:-200], jpeg((1, 2, 3), 2 * SIZE)])
def test_what_is_no_kept_picture_is_refused_with_the_fix(bad: bytes) -> None:
    with pytest.raises(UserError, match=r"no JPEG of 16x16 pixels; run jobs/images\.py --force"):
        pixels(tf.constant([jpeg((9, 9, 9)), bad]), SIZE)
