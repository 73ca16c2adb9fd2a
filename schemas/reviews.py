"""Offers that were sent to people, and what they said."""

from pyspark.sql.types import DoubleType, StringType, StructType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

# `queue`: what the model is unsure of, of the train side; trusted labels for the next training. `audit`: the audit
# sample, of the test side; training never reads it.
KINDS = ("queue", "audit")
# The reviewer of a row that nobody has answered.
NOBODY = ""

REVIEWS = Table(
    name="reviews",
    row="one product sent to people, or one person's answer",
    key=("month", "kind", "product_id", "reviewer"),
    struct=StructType(
        [
            month_column(),
            column("kind", StringType(), "queue or audit", nullable=False),
            column("product_id", StringType(), "'<mall_id>:<the mall's own id>'", nullable=False),
            column("reviewer", StringType(), "who answered; '' in the row that says that it was sent", nullable=False),
            column("cat_id", StringType(), "the answer: a leaf; null while there is none, or where none fits"),
            column("remark", StringType(), "what the reviewer wrote beside it; of a sent row why it was chosen"),
            column("score", DoubleType(), "of a sent row how useful an answer was thought to be"),
            column("noted", StringType(), "when the row was written, ISO 8601 in UTC", nullable=False),
        ]
    ),
    write_mode=WriteMode.MERGE,
    slice=("month", "kind"),
    checks={**MONTH_CHECK, "kind_is_known": "kind IN ('queue', 'audit')"},
    # A person may think again; nobody can take back that an answer was given.
    merge_updates={"cat_id": "new.cat_id", "remark": "new.remark", "noted": "new.noted"},
    merge_when="new.reviewer <> '' AND NOT (old.cat_id <=> new.cat_id AND old.remark <=> new.remark)",
)
