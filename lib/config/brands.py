"""How the dictionary of brands is made (lib/categories/brands.py)."""

from pydantic import Field

from lib.config.base import Positive, Settings, Share


class BrandsSettings(Settings):
    """Which brands are known, and which of their written forms are looked for in names."""

    history_months: Positive = Field(12, description="months, this one included, whose brand fields are counted")
    min_count: Positive = Field(3, description="train rows that must name a brand, or write one of its forms")
    most: Positive = Field(200_000, description="brands kept, the most frequent; each takes a worker some 300 bytes")
    alias_share: Share = Field(
        0.8,
        description="of the rows in which a mall writes a form, those in which the platform's brand is the same one",
    )
    mall_share: Share = Field(0.2, description="of a mall's names, those that hold its own name, for it to be a brand")
    precision: Share = Field(
        0.8, description="of the branded train names that hold a form, those of its brand, for it to be looked for"
    )
