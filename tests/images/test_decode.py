"""Whatever bytes are delivered, they become a small upright JPEG or the code of why there is none."""

import io
import random
import struct
import time
import warnings
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from lib.images.decode import MOST_SCANS, jpeg
from lib.images.reasons import NoPictureError
from tests.images.samples import BLUE, GREEN, RED, WHITE, body, halves, noise, pixels, png, settings

FORMATS = ("JPEG", "PNG", "GIF", "WEBP")


def refusal(given: bytes, **more: Any) -> str:
    with pytest.raises(NoPictureError) as caught:
        jpeg(given, settings(**more))
    return caught.value.code


def is_near(found: Any, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.asarray(found) - colour).max() < 12)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [16, 224])
def test_every_format_becomes_a_jpeg_of_the_size(kind: str, size: int) -> None:
    made = jpeg(body(halves(90, 70), kind), settings(size=size))
    picture = Image.open(io.BytesIO(made))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (size, size))
    assert is_near(pixels(made)[size // 2, 1], RED)
    assert is_near(pixels(made)[size // 2, -2], BLUE)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO", "PDF", "TGA"])
def test_other_formats_are_not_even_tried(kind: str) -> None:
    assert refusal(body(halves(), kind)) == "not_a_picture"


@pytest.mark.parametrize("given", [b"", b"<html>no picture here</html>", b"%!PS-Adobe-3.0", b"\0" * 5000, b"BM" * 99])
def test_what_is_no_picture_is_refused(given: bytes) -> None:
    assert refusal(given) == "not_a_picture"


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_picture_is_damaged(kind: str) -> None:
    whole = body(noise(1), kind)
    assert refusal(whole[: len(whole) // 2]) == "damaged"
    assert refusal(whole[:20]) == "damaged"


def test_the_same_bytes_give_the_same_jpeg_whatever_they_say_of_themselves() -> None:
    plain = body(noise(1), "PNG")
    assert jpeg(plain, settings()) == jpeg(plain, settings())
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    told = body(noise(1), "PNG", exif=exif, dpi=(300, 300), icc_profile=b"profile")
    assert jpeg(told, settings()) == jpeg(plain, settings())
    commented = body(noise(1), comment=b"a secret", quality=90)
    assert jpeg(commented, settings()) == jpeg(body(noise(1), quality=90), settings())


# Of a tall picture whose upper half is red and whose lower is green: what is to be seen along its left side.
@pytest.mark.parametrize(
    ("fit", "above", "below"), [("crop", RED, GREEN), ("stretch", RED, GREEN), ("pad", WHITE, WHITE)]
)
def test_a_picture_becomes_square_as_conf_says(fit: str, above: Any, below: Any) -> None:
    tall = Image.new("RGB", (40, 80), GREEN)
    tall.paste(RED, (0, 0, 40, 40))
    tall.paste(BLUE, (0, 0, 40, 8))  # a tenth, which the middle does not have
    found = pixels(jpeg(body(tall, "PNG"), settings(size=64, fit=fit)))
    assert found.shape == (64, 64, 3)
    assert is_near(found[20, 4], above)
    assert is_near(found[44, 4], below)
    assert is_near(found[20, 32], RED)
    assert is_near(found[1, 32], RED if fit == "crop" else BLUE)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(8, 4000), (4000, 8), (8, 8), (33, 31)])
def test_odd_shapes_become_square(fit: str, shape: tuple[int, int]) -> None:
    assert pixels(jpeg(body(Image.new("RGB", shape, RED), "PNG"), settings(fit=fit))).shape == (32, 32, 3)


# EXIF's orientations of a picture that is red on the left and blue on the right: where its red side is in the end.
@pytest.mark.parametrize(
    ("orientation", "red"),
    [(1, "left"), (2, "right"), (3, "right"), (4, "left"), (5, "top"), (6, "top"), (7, "bottom"), (8, "bottom"),
     (0, "left"), (9, "left")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_upright(kind: str, orientation: int, red: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = pixels(jpeg(body(halves(80, 60), kind, exif=exif), settings(size=16)))
    places = {"left": found[8, 1], "right": found[8, -2], "top": found[1, 8], "bottom": found[-2, 8]}
    assert is_near(places[red], RED)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\1\2"])
def test_broken_exif_is_no_reason_to_lose_a_picture(exif: bytes) -> None:
    assert is_near(pixels(jpeg(body(halves(), exif=exif), settings()))[16, 1], RED)


def test_cmyk_palettes_and_grey_become_rgb() -> None:
    cmyk = pixels(jpeg(body(Image.new("CMYK", (64, 64), (0, 255, 255, 0))), settings()))
    assert is_near(cmyk[16, 16], RED)
    palette = pixels(jpeg(body(halves().convert("P"), "PNG"), settings()))
    assert is_near(palette[16, 1], RED)
    for mode in ("L", "1"):
        grey = pixels(jpeg(body(halves(left=0, right=255, mode=mode), "PNG"), settings()))
        assert is_near(grey[16, 1], (0, 0, 0))
        assert is_near(grey[16, -2], WHITE)


def test_sixteen_bits_of_grey_are_scaled() -> None:
    deep = np.full((64, 64), 0x8000, np.uint16)
    assert is_near(pixels(jpeg(body(Image.fromarray(deep), "PNG"), settings()))[16, 16], (128, 128, 128))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_what_is_transparent_is_white(kind: str) -> None:
    clear = halves(left=(*BLUE, 0), right=(*BLUE, 255), mode="RGBA")
    found = pixels(jpeg(body(clear, kind), settings()))
    assert is_near(found[16, 1], WHITE)
    assert is_near(found[16, -2], BLUE)


def test_transparent_palettes_and_greys_are_white_too() -> None:
    palette = halves(left=0, right=1, mode="P")
    palette.putpalette([*RED, *BLUE])
    assert is_near(pixels(jpeg(body(palette, "PNG", transparency=0), settings()))[16, 1], WHITE)
    grey = halves(left=(0, 0), right=(0, 255), mode="LA")
    assert is_near(pixels(jpeg(body(grey, "PNG"), settings()))[16, 1], WHITE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_picture_counts(kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, GREEN, BLUE)]
    animated = body(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert is_near(pixels(jpeg(animated, settings()))[16, 16], RED)


@pytest.mark.parametrize("shade", [0, 1, 2])
@pytest.mark.parametrize("quality", [1, 50, 90, 100])
def test_a_black_picture_is_none(shade: int, quality: int) -> None:
    """Zeros say "no picture" to the model, and decoders of one JPEG differ by a level or two."""
    dark = body(Image.new("RGB", (64, 64), (shade,) * 3), "PNG")
    assert refusal(dark, quality=quality) == "black"


def test_a_dark_picture_is_one() -> None:
    assert pixels(jpeg(body(Image.new("RGB", (64, 64), (9, 9, 9)), "PNG"), settings())).min() > 2
    light = Image.new("RGB", (64, 64))
    light.paste(WHITE, (0, 0, 8, 8))
    assert pixels(jpeg(body(light, "PNG"), settings())).max() > 200


def test_a_picture_that_a_coarse_jpeg_makes_black_is_none() -> None:
    assert refusal(body(Image.new("RGB", (64, 64), (12, 12, 12)), "PNG"), quality=1) == "black"


def webp(width: int, height: int) -> bytes:
    """A WebP of hardly any bytes that says it is so large."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides
    frame = b"VP8 " + struct.pack("<I", 10) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 9, 9)
    return b"RIFF" + struct.pack("<I", len(canvas + frame) + 4) + b"WEBP" + canvas + frame


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + body(halves(), "GIF")[10:]


def large_jpeg(width: int, height: int) -> bytes:
    small = body(halves())
    place = small.index(b"\xff\xc0") + 5
    return small[:place] + struct.pack(">HH", height, width) + small[place + 4 :]


@pytest.mark.parametrize("made", [png, webp, gif, large_jpeg])
@pytest.mark.parametrize("side", [20_000, 65_535])
def test_too_large_pictures_are_refused_by_their_header(made: Any, side: int) -> None:
    if made is webp:
        side = min(side, 16_383)
    started = time.monotonic()
    assert refusal(made(side, side)) == "too_many_pixels"
    assert refusal(made(side, 9), max_pixels=9 * side - 1) == "too_many_pixels"
    assert time.monotonic() - started < 1


def test_the_limits_hold_to_the_pixel() -> None:
    square = body(noise(1, 40), "PNG")
    jpeg(square, settings(max_pixels=1600, min_side=40))
    assert refusal(square, max_pixels=1599) == "too_many_pixels"
    assert refusal(square, min_side=41) == "too_small"
    assert refusal(body(Image.new("RGB", (1, 1), RED), "GIF")) == "too_small"
    assert Image.MAX_IMAGE_PIXELS == 89_478_485  # Pillow's own is left as it was


def test_a_header_that_promises_more_than_there_is_is_damaged() -> None:
    assert refusal(png(5000, 5000)) == "damaged"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_chunks_that_unpack_to_very_much_cost_nothing(kind: bytes) -> None:
    packed = zlib.compress(bytes(100 << 20))
    content = b"k\0\1\0\0\0" + packed if kind == b"iTXt" else b"k\0\0" + packed
    started = time.monotonic()
    assert refusal(png(64, 64, (kind, content), pixels=b"\0" + b"\7" * 64)) == "damaged"
    assert time.monotonic() - started < 1


def test_exif_that_names_the_same_bytes_over_and_over_costs_nothing() -> None:
    entries = b"".join(struct.pack("<HHII", 1000 + number, 1, 60_000, 8) for number in range(5000))
    exif = (b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entries)[:65_000]
    started = time.monotonic()
    assert is_near(pixels(jpeg(body(halves(), exif=exif), settings()))[16, 1], RED)
    assert time.monotonic() - started < 1


def test_a_progressive_jpeg_has_few_passes() -> None:
    progressive = body(halves(), progressive=True)
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    assert is_near(pixels(jpeg(progressive, settings()))[16, 1], RED)
    assert refusal(progressive[:-2] + last * MOST_SCANS + b"\xff\xd9") == "too_many_scans"


def test_nothing_of_what_pillow_thinks_is_said(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    jpeg(body(halves(), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\1\2"), settings())
    refusal(png(9000, 9000), max_pixels=90_000_000)
    assert not recwarn.list


WHOLE = [body(noise(2, 24), kind) for kind in FORMATS] + [body(noise(3, 24), progressive=True)]
# Every 16-byte piece of a file may be the one that counts, most of all the first.
PLACES = st.one_of(st.integers(0, 64), st.integers(0, 4000))


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(PLACES, st.sampled_from("cid"), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
)
def test_mutated_pictures_are_pictures_or_refused(whole: bytes, changes: list[tuple[int, str, bytes]]) -> None:
    """Bytes are changed, inserted and deleted; nothing but a refusal is ever raised."""
    made = bytearray(whole)
    for place, change, content in changes:
        at = place % max(1, len(made))
        if change == "c":
            made[at : at + len(content)] = content
        elif change == "i":
            made[at:at] = content
        else:
            del made[at : at + len(content)]
    with suppress(NoPictureError):
        assert jpeg(bytes(made), settings()).startswith(b"\xff\xd8")


def test_noise_behind_a_magic_number_is_damaged() -> None:
    noisy = random.Random(1).randbytes(5000)
    for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\1\0WEBPVP8 "):
        assert refusal(magic + noisy) in ("damaged", "too_small", "too_many_pixels")
