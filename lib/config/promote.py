"""What a candidate has to show before it takes the champion's place (lib/promotion)."""

from typing import Annotated

from pydantic import Field

from lib.config.base import Positive, Settings, Share

Margin = Annotated[float, Field(gt=0, lt=1)]


class PromoteSettings(Settings):
    """Bounds of the gates; every share is a share of 1, so a point is 0.01."""

    keep_champion: bool = Field(False, description="only judge: the champion stays, as a backfill wants it")
    level: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="of the one-sided bounds, and 1 - the chance that any equal category fails"
    )
    min_rows: Positive = Field(100_000, description="test rows of the month from which on `margin` holds")
    margin: Margin = Field(0.003, description="accuracy on the month's test side that may be lost")
    margin_small: Margin = Field(0.02, description="the same where the month has fewer than min_rows")
    audit_margin: Margin = Field(0.03, description="accuracy on the audit sample that may be lost, by people's answers")
    audit_min_rows: Positive = Field(600, description="answered offers below which the audit sample is not judged")
    audit_months: Positive = Field(
        3, description="months back, this one included, in which an answered audit sample is looked for"
    )
    category_min_rows: Positive = Field(200, description="test rows of a category from which on it is looked at alone")
    category_margin: Margin = Field(0.05, description="accuracy that such a category may lose")
    calibration_error: Share = Field(
        0.05, description="largest distance of confidence and accuracy, beyond what chance alone may make"
    )
    latency_ratio: Annotated[float, Field(gt=0, le=100)] = Field(
        1.2, description="candidate's median time of a batch over the champion's"
    )
    latency_rows: Positive = Field(1024, description="rows of that batch, at most")
    latency_batches: Positive = Field(20, description="batches of each model, taken in turns")
