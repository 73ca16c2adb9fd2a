"""Draws a product's picture: a body whose shape tells the thing, with a pattern for its kind, in the product's colour.

A picture shall help to tell the category and not decide it: things share shapes and kinds share patterns, some pictures
show another shape or colour altogether, and everything lies at another place, size and turn, among other things, on
another background, under the grain of a camera.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

from lib.marketplace.chance import Chance, Floats
from lib.marketplace.ep import GENERATIONS
from lib.marketplace.offers import LONGEST_LIFE, SHORTEST_LIFE, Market
from lib.marketplace.taxonomy import Leaf
from lib.marketplace.words import THINGS, VARIETIES

Colour = tuple[int, int, int]
# Fewer shapes than a department has things and fewer patterns than a thing has kinds, so that some share a look.
SHAPES = ("circle", "square", "triangle", "pentagon", "star", "bar", "ring", "cross")
PATTERNS = ("plain", "stripes", "dots", "checks")
# Pictures of something else, as of the box or a model: with a quarter, no model can tell all things by their pictures.
MISLEADING = 0.25
# Pictures that do not show of which kind the thing is, as those taken from behind.
PATTERN_HIDDEN = 0.3
# Pictures in any colour, as where a seller shows one colour and sells all: enough that colour alone proves nothing.
OWN_COLOUR = 0.3
# Other things in the picture; they are at most half as large as the product, which stays the largest.
DISTRACTORS = 4
# Standard deviation of the grain, of 255 levels: seen when looked at closely, as in a telephone's picture.
GRAIN = 18.0
# What shops save pictures at: shows the format's own traces at edges, at 20 to 30 KB a picture.
QUALITY = 80
# Hues of things differ as much as they can for any number of things, and within a thing by a fifth of the circle: they
# tell some five groups apart and not each thing.
GOLDEN_SECTION, HUE_RANGE = 0.618, 0.2
# Words of variety that are colours.
COLOURS: dict[str, Colour] = {
    **dict.fromkeys(("화이트", "white"), (245, 245, 245)), **dict.fromkeys(("블랙", "black"), (25, 25, 28)),
    **dict.fromkeys(("그레이", "gray"), (128, 128, 130)), **dict.fromkeys(("실버", "silver"), (190, 194, 198)),
    **dict.fromkeys(("아이보리", "ivory"), (240, 232, 208)), **dict.fromkeys(("블루", "blue"), (40, 90, 200)),
    **dict.fromkeys(("레드", "red"), (205, 35, 45)), "베이지": (216, 196, 160), "민트": (140, 215, 190),
    "핑크": (240, 150, 180), "네이비": (28, 38, 90), "우드톤": (160, 110, 65), "카키": (110, 110, 65),
    "카멜": (190, 140, 85), "버건디": (110, 20, 45), "차콜": (58, 60, 66), "그린": (45, 150, 75),
    "옐로우": (245, 210, 50), "오렌지": (240, 130, 35), "골드": (205, 165, 75),
}  # fmt: skip
_CORNERS = {"triangle": 3, "square": 4, "pentagon": 5}
# Draws of one picture: for the background, each distractor and the body, one each for what is listed in `_body`.
_BODY = 1 + 4 * DISTRACTORS
_DRAWS = _BODY + 10


class Pictures:
    """The pictures of one market, each a pure function of the market's seed and the picture's number."""

    def __init__(self, market: Market, size: int) -> None:
        self._market, self._size = market, size
        self._chance: Chance = market.chance

    def jpeg(self, number: int) -> bytes:
        """The picture of that number (lib/marketplace/ep.picture_numbers): [size, size] pixels, RGB."""
        item, generation = divmod(number, GENERATIONS)
        leaf, brand, variety = self._what(item, generation)
        draws = self._chance.uniform("picture", item, generation, np.arange(_DRAWS))
        image = Image.new("RGB", (self._size, self._size), _colour(draws[0], 0.15, 0.9))
        canvas = ImageDraw.Draw(image)
        for first in range(1, _BODY, 4):
            self._distractor(canvas, draws[first : first + 4])
        self._body(canvas, leaf, variety, draws[_BODY:])
        self._mark(canvas, brand)
        return self._finished(image, number)

    def _what(self, item: int, generation: int) -> tuple[Leaf, int, str]:
        """True leaf, brand and word of variety of the product, as its name has them (lib/marketplace/names.py)."""
        items, generations = np.array([item]), np.array([generation])
        life = SHORTEST_LIFE + self._chance.below("life", LONGEST_LIFE - SHORTEST_LIFE + 1, items)
        birth = generations * life - self._chance.below("phase", life, items)
        index = self._market.leaf_of(birth, items, generations)
        brand = self._market.brands.of(self._market.taxonomy.department[index], birth, items, generations)
        leaf = self._market.taxonomy.leaves[int(index[0])]
        varieties = VARIETIES[leaf.thing.kind]
        variety = varieties[int(self._chance.uniform("variety", items, generations)[0] * len(varieties))]
        return leaf, int(brand[0]), variety

    def _distractor(self, canvas: ImageDraw.ImageDraw, draws: Floats) -> None:
        shape = SHAPES[int(draws[3] * len(SHAPES))]
        colour = _colour(draws[1], 0.3, 0.7)
        self._shape(canvas, shape, draws[0], draws[1], 0.05 + 0.05 * draws[2], draws[3], colour)

    def _body(self, canvas: ImageDraw.ImageDraw, leaf: Leaf, variety: str, draws: Floats) -> None:
        any_thing, misleading, any_hue, own_colour, across, down, large, turn, tint, hidden = draws.tolist()
        thing = int(any_thing * len(THINGS)) if misleading < MISLEADING else leaf.thing.number
        shape = SHAPES[thing % len(SHAPES)]
        accent = _colour(thing * GOLDEN_SECTION + HUE_RANGE * (tint - 0.5), 0.75, 0.7)
        named = COLOURS.get(variety, accent)
        colour = _colour(any_hue, 0.75, 0.85) if own_colour < OWN_COLOUR else named
        x, y, radius = 0.35 + 0.3 * across, 0.35 + 0.3 * down, 0.2 + 0.15 * large
        # A rim of the thing's own colour, as a logo or a label has one in every colour that the thing comes in.
        self._shape(canvas, shape, x, y, radius, turn, accent)
        self._shape(canvas, shape, x, y, radius * 0.85, turn, colour)
        if hidden >= PATTERN_HIDDEN:
            self._pattern(canvas, PATTERNS[leaf.modifier % len(PATTERNS)], x, y, radius * 0.5, accent)

    def _shape(
        self, canvas: ImageDraw.ImageDraw, shape: str, x: float, y: float, radius: float, turn: float, colour: Colour
    ) -> None:
        at, r = (x * self._size, y * self._size), radius * self._size
        box = [at[0] - r, at[1] - r, at[0] + r, at[1] + r]
        if shape == "circle":
            canvas.ellipse(box, fill=colour)
        elif shape == "ring":
            canvas.ellipse(box, outline=colour, width=max(2, int(r / 3)))
        elif shape in _CORNERS:
            canvas.regular_polygon((*at, r), _CORNERS[shape], rotation=360 * turn, fill=colour)
        elif shape == "star":
            for half in (0, 180):
                canvas.regular_polygon((*at, r), 3, rotation=360 * turn + half, fill=colour)
        else:
            for part in range(1 if shape == "bar" else 2):
                angle = np.pi * (turn + part / 2)
                dx, dy = r * np.cos(angle), r * np.sin(angle)
                canvas.line([at[0] - dx, at[1] - dy, at[0] + dx, at[1] + dy], fill=colour, width=max(3, int(r / 2)))

    def _pattern(
        self, canvas: ImageDraw.ImageDraw, pattern: str, x: float, y: float, radius: float, colour: Colour
    ) -> None:
        left, top, side = (x - radius) * self._size, (y - radius) * self._size, 2 * radius * self._size
        step = side / 6
        places = np.arange(step / 2, side, step).tolist()
        width = max(1, int(step / 4))
        if pattern in ("stripes", "checks"):
            for place in places:
                canvas.line([left, top + place, left + side, top + place], fill=colour, width=width)
        if pattern == "checks":
            for place in places:
                canvas.line([left + place, top, left + place, top + side], fill=colour, width=width)
        if pattern == "dots":
            for across, down in ((across, down) for across in places for down in places):
                at = (left + across, top + down)
                canvas.ellipse([at[0] - width, at[1] - width, at[0] + width, at[1] + width], fill=colour)

    def _mark(self, canvas: ImageDraw.ImageDraw, brand: int) -> None:
        """The brand: two bars in a corner, in its colours."""
        side = self._size / 8
        for part in (0, 1):
            hue = float(self._chance.uniform("brand colour", brand, part)[0])
            canvas.rectangle([4, 4 + part * side / 2, 4 + side, 4 + (part + 1) * side / 2], fill=_colour(hue, 0.9, 0.9))

    def _finished(self, image: Image.Image, number: int) -> bytes:
        """With grain two pixels wide, which survives JPEG, and packed."""
        random = np.random.default_rng([self._chance.seed, number])
        half = -(-self._size // 2)
        grain = random.standard_normal((half, half, 1), np.float32) * GRAIN
        pixels = np.array(image, dtype=np.float32)
        pixels += grain.repeat(2, axis=0).repeat(2, axis=1)[: self._size, : self._size]
        stream = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=QUALITY)
        return stream.getvalue()


def _colour(hue: float, saturation: float, value: float) -> Colour:
    """RGB of a hue, of which 1 is a whole turn."""
    place = (hue % 1.0) * 6
    low, rest = value * (1 - saturation), place % 1
    falling, rising = value * (1 - saturation * rest), value * (1 - saturation * (1 - rest))
    red, green, blue = [(value, rising, low), (falling, value, low), (low, value, rising), (low, falling, value),
                        (rising, low, value), (value, low, falling)][int(place) % 6]  # fmt: skip
    return (int(255 * red), int(255 * green), int(255 * blue))
