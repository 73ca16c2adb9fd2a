"""Draws a product's picture: its category shows in shape and pattern, its brand in a mark, its colour is its own.

A picture shall help to tell the category and not decide it: what a thing looks like is shared by several things, some
pictures show something else altogether, and everything lies at another place, size and turn on another background.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

from lib.marketplace.chance import Chance, Integers
from lib.marketplace.offers import LONGEST_LIFE, SHORTEST_LIFE, Market
from lib.marketplace.site.catalogue import GENERATIONS

# Fewer than there are things, so that things share them.
SHAPES = ("circle", "square", "triangle", "pentagon", "star", "bar", "ring", "cross")
PATTERNS = ("plain", "stripes", "dots", "checks")
# Pictures that show another shape (the box, a model, an advertisement): about what a third of real ones do.
MISLEADING = 0.25
# Pictures in a colour of their own instead of one of their thing's.
OWN_COLOUR = 0.4
DISTRACTORS = 4
NOISE = 18.0
QUALITY = 80
_CORNERS = {"triangle": 3, "square": 4, "pentagon": 5, "circle": 40}


class Pictures:
    """The pictures of one market, each a pure function of the market's seed and the picture's number."""

    def __init__(self, market: Market, size: int) -> None:
        self._market, self._size = market, size
        self._chance: Chance = market.chance

    def jpeg(self, number: int) -> bytes:
        """The picture of a product, as the EP feed's image_link numbers it: [size, size] pixels, RGB."""
        item, generation = np.array([number // GENERATIONS]), np.array([number % GENERATIONS])
        leaf, brand = self._what(item, generation)
        draws = self._chance.uniform("picture", item, generation, np.arange(40))
        image = Image.new("RGB", (self._size, self._size), _colour(draws[0], 0.15, 0.9))
        draw = ImageDraw.Draw(image)
        for index in range(DISTRACTORS):
            at = draws[1 + 4 * index : 5 + 4 * index]
            self._shape(draw, SHAPES[int(at[3] * len(SHAPES))], at[0], at[1], 0.05 + 0.08 * at[2], at[3],
                        _colour(at[1], 0.3, 0.7))  # fmt: skip
        thing = int(self._market.taxonomy.thing[leaf])
        modifier = self._market.taxonomy.leaves[leaf].modifier
        shape = int(draws[20] * len(SHAPES)) if draws[21] < MISLEADING else thing % len(SHAPES)
        hue = draws[22] if draws[23] < OWN_COLOUR else (thing * 0.618 + 0.08 * (draws[22] - 0.5)) % 1.0
        x, y, radius = 0.35 + 0.3 * draws[24], 0.35 + 0.3 * draws[25], 0.2 + 0.15 * draws[26]
        self._shape(draw, SHAPES[shape], x, y, radius, draws[27], _colour(hue, 0.75, 0.85))
        self._pattern(draw, PATTERNS[modifier % len(PATTERNS)], x, y, radius * 0.6, _colour(hue, 0.4, 0.45))
        self._mark(draw, brand)
        return self._finished(image, number)

    def _what(self, item: Integers, generation: Integers) -> tuple[int, int]:
        """True leaf and brand of the product."""
        life = SHORTEST_LIFE + self._chance.below("life", LONGEST_LIFE - SHORTEST_LIFE + 1, item)
        birth = generation * life - self._chance.below("phase", life, item)
        leaf = self._market.leaf_of(birth, item, generation)
        brand = self._market.brands.of(self._market.taxonomy.department[leaf], birth, item, generation)
        return int(leaf[0]), int(brand[0])

    def _shape(
        self, draw: ImageDraw.ImageDraw, shape: str, x: float, y: float, radius: float, turn: float,
        colour: tuple[int, int, int],
    ) -> None:  # fmt: skip
        size = self._size
        at, r = (x * size, y * size), radius * size
        if shape == "ring":
            draw.ellipse([at[0] - r, at[1] - r, at[0] + r, at[1] + r], outline=colour, width=max(2, int(r / 3)))
        elif shape in _CORNERS:
            draw.regular_polygon((*at, r), _CORNERS[shape], rotation=360 * turn, fill=colour)
        elif shape == "star":
            for half in (0, 180):
                draw.regular_polygon((*at, r), 3, rotation=360 * turn + half, fill=colour)
        else:
            angle = np.pi * turn
            for part in range(1 if shape == "bar" else 2):
                dx, dy = r * np.cos(angle + part * np.pi / 2), r * np.sin(angle + part * np.pi / 2)
                draw.line([at[0] - dx, at[1] - dy, at[0] + dx, at[1] + dy], fill=colour, width=max(3, int(r / 2)))

    def _pattern(
        self, draw: ImageDraw.ImageDraw, pattern: str, x: float, y: float, radius: float, colour: tuple[int, int, int]
    ) -> None:
        size, r = self._size, radius * self._size
        left, top = x * size - r, y * size - r
        step = max(4.0, r / 3)
        places = np.arange(step / 2, 2 * r, step)
        if pattern in ("stripes", "checks"):
            for place in places:
                draw.line([left, top + place, left + 2 * r, top + place], fill=colour, width=max(1, int(step / 4)))
        if pattern == "checks":
            for place in places:
                draw.line([left + place, top, left + place, top + 2 * r], fill=colour, width=max(1, int(step / 4)))
        if pattern == "dots":
            for across in places:
                for down in places:
                    draw.ellipse([left + across - 2, top + down - 2, left + across + 2, top + down + 2], fill=colour)

    def _mark(self, draw: ImageDraw.ImageDraw, brand: int) -> None:
        """Two bars in a corner, in the brand's colours."""
        side = self._size / 8
        for part in (0, 1):
            hue = float(self._chance.uniform("brand colour", np.array([brand]), part)[0])
            draw.rectangle([4, 4 + part * side / 2, 4 + side, 4 + (part + 1) * side / 2], fill=_colour(hue, 0.9, 0.9))

    def _finished(self, image: Image.Image, number: int) -> bytes:
        """With the grain of a camera, as JPEG."""
        random = np.random.default_rng([self._chance.seed, number])
        grain = random.normal(0.0, NOISE, (self._size // 2, self._size // 2, 1)).repeat(2, axis=0).repeat(2, axis=1)
        pixels = np.array(image, dtype=np.float32)
        pixels[: grain.shape[0], : grain.shape[1]] += grain
        stream = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=QUALITY)
        return stream.getvalue()


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """RGB of a hue in [0, 1)."""
    place = (hue % 1.0) * 6
    low, rest = value * (1 - saturation), place % 1
    falling, rising = value * (1 - saturation * rest), value * (1 - saturation * (1 - rest))
    parts = [(value, rising, low), (falling, value, low), (low, value, rising), (low, falling, value),
             (rising, low, value), (value, low, falling)][int(place) % 6]  # fmt: skip
    return (int(255 * parts[0]), int(255 * parts[1]), int(255 * parts[2]))
