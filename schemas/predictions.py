"""What a model version says of each offer."""

from pyspark.sql.types import ArrayType, BooleanType, FloatType, StringType, StructField, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

# Whether an offer's category goes unseen, or a person looks at it.
AUTOMATIC, REVIEW = "automatic", "review"

PREDICTIONS = Table(
    name="predictions",
    row="one product's most probable categories by one model version",
    key=("month", "batch", "product_id", "model_version"),
    struct=StructType(
        [
            month_column(),
            column("batch", StringType(), "the delivery, YYYY-MM-DD", nullable=False),
            column("model_version", StringType(), "registered version", nullable=False),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("cat_id", StringType(), "the most probable leaf", nullable=False),
            column("path", ArrayType(StringType(), False), "its path from the top level down", nullable=False),
            column("confidence", FloatType(), "calibrated probability of cat_id, 0 to 1", nullable=False),
            column("entropy", FloatType(), "entropy of all probabilities, nats", nullable=False),
            column(
                "top",
                ArrayType(
                    # Nullable, though never null: Delta refuses NOT NULL inside an array.
                    StructType([StructField("cat_id", StringType()), StructField("probability", FloatType())]),
                    False,
                ),
                "the five most probable leaves, best first",
                nullable=False,
            ),
            column("with_picture", BooleanType(), "whether the model saw a picture of it", nullable=False),
            column("route", StringType(), "automatic, or review: too unsure to go unseen", nullable=False),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "batch", "model_version"),
    checks={
        **MONTH_CHECK,
        "confidence_is_a_probability": "confidence BETWEEN 0 AND 1",
        "route_is_known": f"route IN ('{AUTOMATIC}', '{REVIEW}')",
    },
    keep_months=12,
)
