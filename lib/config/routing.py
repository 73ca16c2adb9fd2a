"""How sure the model has to be of an offer that nobody looks at."""

from typing import Annotated

from pydantic import Field

from lib.config.base import Positive, Settings, Text

# At 1 no number of right answers would be enough.
Precision = Annotated[float, Field(gt=0, lt=1)]


class RoutingSettings(Settings):
    """Precision that each category's automatic answers have to reach (lib/scoring/thresholds.py)."""

    precision: Precision = Field(0.95, description="share of a category's automatic answers that has to be right")
    precision_by_category: dict[Text, Precision] = Field(
        default_factory=dict,
        max_length=10_000,
        description="'top > below': precision, for all leaves under it; of several the longest counts",
    )
    min_predictions: Positive = Field(
        50, description="validation rows predicted to be of a category, below which its parent's threshold holds"
    )
