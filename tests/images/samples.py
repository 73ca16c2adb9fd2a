"""Small pictures of all formats, and settings for them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.config import ImagesSettings

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def settings(path: Path | str | None = "/pictures", **more: Any) -> ImagesSettings:
    """images of files, at 32 pixels unless said otherwise."""
    place = None if path is None else str(path)
    return ImagesSettings.model_validate({"source": "folder", "path": place, "size": 32, **more})


def halves(width: int = 64, height: int = 64, left: Any = RED, right: Any = BLUE, mode: str = "RGB") -> Image.Image:
    """A picture of two colours side by side."""
    picture = Image.new(mode, (width, height), left)
    picture.paste(right, (width // 2, 0, width, height))
    return picture


def body(picture: Image.Image, kind: str = "JPEG", **more: Any) -> bytes:
    """The picture as a file."""
    stream = io.BytesIO()
    picture.save(stream, kind, **more)
    return stream.getvalue()


def noise(seed: int, size: int = 64) -> Image.Image:
    """A picture like no other."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size, 3), np.uint8))


def png(width: int, height: int, *chunks: tuple[bytes, bytes], pixels: bytes = b"\0" * 100) -> bytes:
    """A grey PNG that says it is so large, whatever its pixels are; `chunks` before them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    others = b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + others + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def pixels(image: bytes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """[side, side, 3] of a JPEG."""
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(np.int64)
