"""Offers that go to people: how many, which, and what of an answered sheet is taken."""

from typing import Annotated

from pydantic import Field

from lib.config.base import Count, Positive, Settings


class ReviewSettings(Settings):
    """The audit sample and the review queue (lib/review)."""

    audit_sample: Annotated[int, Field(ge=2)] = Field(1201, description="test offers of a month that people label (R1)")
    size: Positive = Field(200, description="offers on the month's sheet for review")
    max_per_category: Positive = Field(10, description="of them with the same predicted category")
    max_per_mall: Positive = Field(40, description="of them from the same mall")
    name_length: Positive = Field(200, description="characters of a name that a sheet shows")
    disagreements: Count = Field(20, description="offers on which people and machine differ, kept for the report")
    max_rows: Positive = Field(20_000, description="rows of an answered sheet; longer ones are refused")
    max_cell: Positive = Field(2_000, description="characters of a cell of an answered sheet, likewise")
