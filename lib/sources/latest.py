"""Which of a month's deliveries counts: the latest one of each product."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def latest_products(products: DataFrame) -> DataFrame:
    """The row of the latest batch for each (month, product_id), in the same columns.

    A month of one batch passes as it is, without a shuffle: its keys are unique already.
    """
    batches = products.select("month", "batch").distinct().groupBy("month").count().where("count > 1")
    if batches.isEmpty():
        return products
    newest = products.groupBy("month", "product_id").agg(F.max("batch").alias("batch"))
    return products.join(newest, ["month", "product_id", "batch"], how="left_semi").select(*products.columns)
