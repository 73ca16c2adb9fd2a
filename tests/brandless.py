"""Rows of tokens of which no brand is known."""

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.tokens import BRAND_FIELDS

NO_BRANDS = (None,) * len(BRAND_FIELDS)


def no_brands() -> Column:
    """The column `brand_fields`."""
    return F.struct(*(F.lit(None).cast("string").alias(name) for name in BRAND_FIELDS))


def brandless(rows: int) -> pa.StructArray:
    """As Arrow has it."""
    return pa.array([dict.fromkeys(BRAND_FIELDS)] * rows, pa.struct([(name, pa.string()) for name in BRAND_FIELDS]))
