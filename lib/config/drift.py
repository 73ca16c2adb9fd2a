"""How far a month may lie from the months before."""

from typing import Annotated

from pydantic import Field

from lib.config.base import Settings, Share


class DriftSettings(Settings):
    """What a month is compared with, and from where on it is an alarm (lib/scoring/drift.py).

    To each threshold comes what chance alone would reach once in a thousand times, so that few offers do not alarm.
    """

    months_back: Annotated[int, Field(ge=1, le=24)] = Field(3, description="months before that say what is usual")
    offers_lost: Share = Field(0.3, description="of the usual offers in all")
    offers_gained: Annotated[float, Field(gt=0, le=100)] = Field(1.0, description="1 is twice the usual offers in all")
    mall_lost: Share = Field(0.5, description="of a mall's usual offers; a mall that vanishes has lost 1")
    mall_share: Share = Field(0.01, description="of the usual offers; smaller malls come and go")
    shift: Share = Field(
        0.02, description="bits of Jensen-Shannon divergence of the shares of malls, and of categories"
    )
    fill_change: Share = Field(0.1, description="of the share of offers with a brand, and with a category given")
    tokens_change: Share = Field(0.15, description="of the mean number of a name's tokens, relative to what is usual")
    unknown_rise: Share = Field(0.05, description="of the share of words that the vocabulary of the month before lacks")
    confidence_change: Share = Field(0.05, description="of the mean confidence of last month's model")
