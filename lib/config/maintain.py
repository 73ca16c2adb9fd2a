"""How long what the stages leave behind is kept; how long a table's rows are kept stands in its schema."""

from typing import Annotated

from pydantic import Field

from lib.config.base import Positive, Settings


class MaintainSettings(Settings):
    """Upkeep (jobs/maintain.py)."""

    artefact_months: Positive = Field(
        12, description="newest months whose artefacts are kept; those that an alias or a kept month needs stay anyway"
    )
    # Below a week a reader or writer that is slow, or was stopped and goes on, would find its files gone.
    vacuum_hours: Annotated[int, Field(ge=168)] = Field(
        168, description="age from which files go that no table version and no manifest needs any more"
    )
