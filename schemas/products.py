"""Offers as the malls deliver them: the table every later stage starts from."""

from pyspark.sql.types import LongType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

PRODUCTS = Table(
    name="products",
    row="one offer of one mall in one delivery",
    key=("month", "batch", "product_id"),
    struct=StructType(
        [
            month_column(),
            column("batch", StringType(), "the delivery, YYYY-MM-DD", nullable=False),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("prod_nm", StringType(), "offer name as the mall wrote it", nullable=False),
            column("mall_id", StringType(), "mall", nullable=False),
            column("mall_nm", StringType(), "the mall's display name"),
            column("mall_cat_nm_1", StringType(), "the mall's own category, first level"),
            column("mall_cat_nm_2", StringType(), "second level"),
            column("mall_cat_nm_3", StringType(), "third level"),
            column("mall_cat_nm_4", StringType(), "fourth level"),
            column("brnd_nm", StringType(), "brand as the platform knows it"),
            column("maker_nm", StringType(), "maker as the platform knows it"),
            column("mall_brnd_nm", StringType(), "brand as the mall wrote it"),
            column("mall_maker_nm", StringType(), "maker as the mall wrote it"),
            column("price", LongType(), "price in the smallest unit of the mall's currency (won)"),
            column("image_url", StringType(), "address of the offer's picture"),
            column("cat_id", StringType(), "leaf category, the label; null when unknown"),
            column("source", StringType(), "name of the source in conf that delivered it", nullable=False),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "batch"),
    checks={
        **MONTH_CHECK,
        "product_id_names_its_mall": "startswith(product_id, concat(mall_id, ':'))",
        "name_not_empty": "length(prod_nm) > 0",
        "price_not_negative": "price IS NULL OR price >= 0",
    },
    keep_months=12,
)
