"""Whose an offer is: product_id is '<mall_id>:<the mall's own id>', and no mall's id has a colon (offers.py)."""

from pyspark.sql import Column
from pyspark.sql import functions as F

SEPARATOR = ":"


def mall_of(product_id: str) -> str:
    """The mall's id."""
    return product_id.partition(SEPARATOR)[0]


def mall_column() -> Column:
    """The mall's id, from the column product_id."""
    return F.substring_index("product_id", SEPARATOR, 1)
