"""How given labels are looked through (lib/review/label_audit.py)."""

from typing import Annotated

from pydantic import Field

from lib.config.base import Count, Settings


class LabelAuditSettings(Settings):
    """Trainings that leave rows out, to ask about those."""

    folds: Annotated[int, Field(ge=2, le=20)] = Field(
        3, description="parts by name group; a network is trained without each of them"
    )
    shown: Count = Field(20, description="most doubted products that the manifest names")
