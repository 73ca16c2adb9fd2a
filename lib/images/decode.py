"""A delivered picture as one small, square, upright JPEG, or the code of why there is none.

The bytes are strangers': only four formats are tried, the size is read from the header before anything is decoded, and
whatever goes wrong in a decoder is the picture's fault, not the stage's. The same bytes give the same JPEG.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib.config import ImagesSettings
from lib.images.reasons import NoPictureError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
# What files of these formats begin with; WebP's name comes after a length.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")
# Begins each scan of a JPEG. A progressive one has some ten; each more is a pass over all its pixels for a few bytes.
SCAN, MOST_SCANS = b"\xff\xda", 100
# A picture is halved by cheap means as long as it stays so many times as large as it shall be; the last step is exact.
# Pillow's own thumbnails do so, and name 2 as hardly to be told from doing all of it exactly.
GAP = 2
WHITE = (255, 255, 255)
# Levels of 255 by which decoders of one JPEG may differ: a picture no brighter than that may be all zeros to a model,
# which takes zeros for "no picture".
DIFFERENCE = 2
# Darker than this before it is packed, a picture may be as dark as that after it: the coarsest JPEG has steps of 32.
DARK = 64
# Tag of EXIF, and what each of its values asks for.
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def jpeg(body: bytes, settings: ImagesSettings) -> bytes:
    """The picture as a JPEG of images.size pixels a side, RGB, upright, transparency on white; of animations the first.

    Raises:
        NoPictureError: not_a_picture, damaged, too_many_pixels, too_small, too_many_scans or black; nothing else,
            whatever the bytes are.
    """
    try:
        with _bounded(settings.max_pixels):
            return _packed(_square(_opened(body, settings), settings), settings.quality)
    except NoPictureError:
        raise
    except Image.DecompressionBombError:
        raise NoPictureError("too_many_pixels") from None
    except UnidentifiedImageError:
        raise NoPictureError("damaged" if body.startswith(MAGIC) else "not_a_picture") from None
    except Exception:  # noqa: BLE001 decoders raise whatever hostile bytes lead them to, MemoryError included
        raise NoPictureError("damaged") from None


@contextmanager
def _bounded(max_pixels: int) -> Iterator[None]:
    """Have Pillow refuse larger pictures by their header, and keep what it says of odd ones to itself."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # it warns from here on, and refuses twice as many
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _opened(body: bytes, settings: ImagesSettings) -> Image.Image:
    """The picture, decoded; a JPEG at an eighth, a quarter or half of its size where that is large enough."""
    picture = Image.open(io.BytesIO(body), formats=FORMATS)
    width, height = picture.size
    if width * height > settings.max_pixels:
        raise NoPictureError("too_many_pixels")
    if min(width, height) < settings.min_side:
        raise NoPictureError("too_small")
    # Scans of a preview among the metadata are counted too: they are few.
    if body.startswith(MAGIC[0]) and body.count(SCAN) > MOST_SCANS:
        raise NoPictureError("too_many_scans")
    picture.draft(None, (GAP * settings.size, GAP * settings.size))
    picture.load()
    return picture


def _square(picture: Image.Image, settings: ImagesSettings) -> Image.Image:
    """Square, RGB and upright; it is turned last, when it is small."""
    square = _fitted(_rgb(picture), settings)
    turn = TURNS.get(_orientation(picture) or 0)
    return square if turn is None else square.transpose(turn)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # 16 bits of grey, which Pillow would cut at 255 instead of scaling.
        high = np.asarray(picture).astype(np.int64).clip(0, 0xFFFF) >> 8
        return Image.fromarray(high.astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    cut = picture.convert("RGBA")
    page = Image.new("RGB", cut.size, WHITE)
    page.paste(cut, mask=cut.getchannel("A"))
    return page


def _fitted(picture: Image.Image, settings: ImagesSettings) -> Image.Image:
    """As images.fit says: the middle, all of it with white beside it, or all of it out of proportion."""
    width, height = picture.size
    size, side = settings.size, min(width, height)
    match settings.fit:
        case "crop":
            left, top = (width - side) / 2, (height - side) / 2
            return _resized(picture, (size, size), (left, top, left + side, top + side))
        case "stretch":
            return _resized(picture, (size, size), (0, 0, width, height))
        case "pad":
            scale = size / max(width, height)
            inner = (max(1, round(width * scale)), max(1, round(height * scale)))
            page = Image.new("RGB", (size, size), WHITE)
            place = ((size - inner[0]) // 2, (size - inner[1]) // 2)
            page.paste(_resized(picture, inner, (0, 0, width, height)), place)
            return page


def _resized(
    picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
) -> Image.Image:  # fmt: skip
    return picture.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=GAP)


def _orientation(picture: Image.Image) -> int | None:
    """What EXIF says of how it was held; a picture whose EXIF is broken is one all the same."""
    try:
        found = picture.getexif().get(ORIENTATION)
    except Exception:  # noqa: BLE001 as above
        return None
    return found if isinstance(found, int) else None


def _packed(square: Image.Image, quality: int) -> bytes:
    """The JPEG, without what the delivered picture said of itself.

    Raises:
        NoPictureError: black.
    """
    square.info = {}
    stream = io.BytesIO()
    square.save(stream, "JPEG", quality=quality)
    if _may_be_black(square) and _brightest(Image.open(stream)) <= DIFFERENCE:
        raise NoPictureError("black")
    return stream.getvalue()


def _may_be_black(square: Image.Image) -> bool:
    """Whether it is dark all over. Most pictures have a light place among the few that are looked at first."""
    places = [square.width * part // 4 for part in (0, 1, 2, 3)]
    looked_at = (square.getpixel((across, down)) for across in places for down in places)
    if any(max(colour) >= DARK for colour in looked_at if isinstance(colour, tuple)):
        return False
    return _brightest(square) < DARK


def _brightest(picture: Image.Image) -> int:
    """The largest level of any channel."""
    return max(int(high) for _, high in picture.getextrema())  # type: ignore[misc]
