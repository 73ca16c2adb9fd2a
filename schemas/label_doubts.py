"""Train rows whose given label is doubted, with what it should be instead."""

from pyspark.sql.types import DoubleType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

# `selfie`: the month's training learnt from another label (lib/training/selfie.py). `folds`: networks that have not
# seen the row put it elsewhere (lib/review/label_audit.py).
LABEL_DOUBTS = Table(
    name="label_doubts",
    row="one product of the month's window whose given label is doubted",
    key=("month", "method", "product_id"),
    struct=StructType(
        [
            month_column(),
            column("method", StringType(), "selfie or folds", nullable=False),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("cat_id", StringType(), "the given label", nullable=False),
            column("proposed", StringType(), "the leaf that it seems to belong to", nullable=False),
            column(
                "score", DoubleType(),
                "how much it is doubted, the most first: folds: minus the logarithm of the given leaf's likelihood; "
                "selfie: share of the model's networks that learnt from the proposed leaf",
                nullable=False,
            ),
        ]
    ),
    write_mode=WriteMode.REPLACE,
    slice=("month", "method"),
    checks={
        **MONTH_CHECK,
        "method_is_known": "method IN ('selfie', 'folds')",
        "proposes_another": "proposed <> cat_id",
    },
)  # fmt: skip
