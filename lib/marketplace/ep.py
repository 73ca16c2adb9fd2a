"""A month's offers as the columns of an EP feed, which files and the site show alike.

Free of Spark and pandas, so that the site's process starts quickly and stays small.
"""

from typing import Any

import numpy as np

from lib.marketplace.chance import Integers
from lib.marketplace.names import Names
from lib.marketplace.offers import Listings, Market

COLUMNS = (
    "id", "title", "price_pc", "link", "image_link", "category_name1", "category_name2", "category_name3",
    "category_name4", "naver_category", "brand", "maker",
)  # fmt: skip
# A product's picture is numbered by its item and generation, which go up by one in some months.
GENERATIONS = 1000
_PRICE_MIDDLE = {
    "thing": 15_000,
    "wear": 35_000,
    "care": 18_000,
    "food": 14_000,
    "life": 28_000,
    "device": 90_000,
}
_PRICE_SPREAD = 0.7  # standard deviation of the logarithm over products


def columns(market: Market, month: str, at: Listings) -> dict[str, Any]:
    """COLUMNS as texts, each of length [n]; links and pictures are on the malls' own hosts."""
    names = Names(market, month, at)
    own = market.malls.own_ids(at.slot, at.generation)
    prefix = [f"https://{mall}.example" for mall in market.malls.ids[at.mall].tolist()]
    numbers = picture_numbers(at).tolist()
    made: dict[str, Any] = {
        "id": own,
        "title": names.titles(),
        "price_pc": prices(market, month, at).astype(str),
        "link": [f"{site}/goods/{number}" for site, number in zip(prefix, own, strict=True)],
        "image_link": [f"{site}/pictures/{number}.jpg" for site, number in zip(prefix, numbers, strict=True)],
    }
    levels = market.malls.categories(at.mall, at.leaf, at.slot, at.generation)
    made |= {f"category_name{number}": level for number, level in enumerate(levels, start=1)}
    made |= {"naver_category": market.taxonomy.cat_ids[at.given], "brand": names.brand_column()}
    return made | {"maker": names.maker_column()}


def picture_numbers(at: Listings) -> Integers:
    """The number of each listing's picture: one for all listings of a product."""
    return at.item * GENERATIONS + at.generation % GENERATIONS


def prices(market: Market, month: str, at: Listings) -> Integers:
    """Won, in tens: log-normal over products, a few per cent up and down between malls and months."""
    chance = market.chance
    middle = np.array([_PRICE_MIDDLE[leaf.thing.kind] for leaf in market.taxonomy.leaves])[at.leaf]
    # The sum of 12 uniform draws less 6 is near enough a normal draw.
    normal = sum(chance.uniform("price", at.item, at.generation, draw) for draw in range(12)) - 6.0
    here = 0.95 + 0.1 * chance.uniform("mall price", at.slot, at.generation, market.month_number(month))
    tens = np.round(middle * np.exp(_PRICE_SPREAD * normal) * here / 10)
    won: Integers = np.maximum(tens * 10, 100).astype(np.int64)
    return won
