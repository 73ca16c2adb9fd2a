"""Which categories the model is least sure of, and how they are told apart (lib/evaluation/uncertain.py)."""

from typing import Annotated

from pydantic import Field

from lib.config.base import Positive, Settings, Share


class UncertainSettings(Settings):
    """The report on categories of high entropy (R13). Shares are compared by one-sided 95 % lower bounds."""

    top: Annotated[int, Field(ge=1, le=200)] = Field(
        10, description="categories of the highest mean entropy, and as many of the most rows answered otherwise"
    )
    min_rows: Positive = Field(30, description="held-out rows below which a category is not judged")
    swapped: Share = Field(0.1, description="of either category's rows, answered with the other: twins")
    sure: Share = Field(0.9, description="confidence from which on an answer contradicts the label")
    polluted: Share = Field(0.03, description="of a category's rows, surely answered with others")
    spread: Annotated[float, Field(ge=1)] = Field(
        3.0, description="as many equally frequent answers or more: a broad category"
    )
