"""Pictures: the same at every look, of the size asked for, and a help that does not decide."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from lib.config import MarketSettings
from lib.marketplace.ep import picture_numbers
from lib.marketplace.offers import Market
from lib.marketplace.site.pictures import Pictures
from tests.marketplace.served import MONTH, OFFERS


@pytest.mark.parametrize("size", [224, 301])
def test_pictures_are_the_same_at_every_look(market_settings: MarketSettings, size: int) -> None:
    pictures = Pictures(Market(market_settings), size)
    assert pictures.jpeg(3000) == Pictures(Market(market_settings), size).jpeg(3000)
    assert pictures.jpeg(3000) != pictures.jpeg(4000)
    image = Image.open(io.BytesIO(pictures.jpeg(3000)))
    assert (image.format, image.size, image.mode) == ("JPEG", (size, size), "RGB")


def coarse(jpeg: bytes) -> npt.NDArray[np.float64]:
    """How much of the picture has each of 64 colours, its corner left out."""
    image = Image.open(io.BytesIO(jpeg)).resize((64, 64))
    colours = np.asarray(image, dtype=np.int64)[10:].reshape(-1, 3) // 64
    return np.bincount(colours @ np.array([16, 4, 1]), minlength=64).astype(np.float64)


def test_a_picture_helps_and_does_not_decide(market_settings: MarketSettings) -> None:
    """Nearest neighbour by colours: better than chance, far from right."""
    market = Market(market_settings)
    at = market.listings(MONTH, np.arange(OFFERS))
    _, first = np.unique(at.item, return_index=True)
    pictures = Pictures(market, 224)
    looks = np.array([coarse(pictures.jpeg(number)) for number in picture_numbers(at)[first].tolist()])
    thing = market.taxonomy.thing[at.leaf[first]]
    distances = np.abs(looks[:, None] - looks[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    right = float((thing[distances.argmin(axis=1)] == thing).mean())
    chance = float(((np.bincount(thing) / len(thing)) ** 2).sum())
    assert chance * 1.3 < right < 0.8
