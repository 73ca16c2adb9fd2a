"""Names and mall categories as tokens, with the side of the split a product is on for ever."""

from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

# Never change it: it decides, for ever, which names are trained on. A new salt would train on old test names.
SPLIT_SALT = "catmatch-2026"
SPLITS = ("train", "validation", "test")
# The fields of `products` that name a brand: the platform's before the mall's, brands before their makers.
BRAND_FIELDS = ("brnd_nm", "mall_brnd_nm", "maker_nm", "mall_maker_nm")

TOKENS = Table(
    name="tokens",
    row="one product's tokens",
    key=("month", "batch", "product_id"),
    struct=StructType(
        [
            month_column(),
            column("batch", StringType(), "the delivery, YYYY-MM-DD", nullable=False),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("name", StringType(), "the normalised name, which grams are made from", nullable=False),
            column("name_tokens", ArrayType(StringType(), False), "tokens of the name", nullable=False),
            column(
                "category_tokens",
                ArrayType(StringType(), False),
                "tokens of the mall's category",
                nullable=False,
            ),
            column(
                "brand_fields",
                StructType([StructField(name, StringType()) for name in BRAND_FIELDS]),
                "brand and maker as given, normalised; null where nothing is left",
                nullable=False,
            ),
            column("cat_id", StringType(), "the given label; null when unknown"),
            column("split", StringType(), "train, validation or test, by the name's group", nullable=False),
            column("tokenizer_key", StringType(), "tokenizer, version, options, dictionary", nullable=False),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "batch"),
    checks={**MONTH_CHECK, "split_is_known": "split IN ('train', 'validation', 'test')"},
    keep_months=12,
)
