"""What people answered, and what it changes in the rows that are learnt from.

Answers of kind `queue` are labels that training trusts more than the malls' own. Answers of the audit are what models
are held against: nothing here reads them, and a product that was ever drawn for an audit is learnt from no more, under
whatever name it comes back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from schemas.audit_sample import AUDIT_SAMPLE
from schemas.reviews import NOBODY, REVIEWS

ON_TRAIN_SIDE = "split = 'train'"


def majority(answers: DataFrame) -> DataFrame:
    """What most people said of each product: product_id, cat_id (null: most said that no category fits), people.

    A person's later answer takes the place of the earlier one. Of categories with as many voices the one that was named
    last wins.

    Args:
        answers: rows of `reviews` that somebody answered, of one kind.
    """
    newest = F.max(F.struct("noted", "month", "cat_id")).alias("newest")
    last = answers.groupBy("product_id", "reviewer").agg(newest)
    voices = last.groupBy("product_id", F.col("newest.cat_id").alias("cat_id")).agg(
        F.count(F.lit(1)).alias("voices"), F.max("newest.noted").alias("noted")
    )
    winner = F.max(F.struct("voices", "noted", "cat_id")).alias("winner")
    told = voices.groupBy("product_id").agg(winner, F.sum("voices").alias("people"))
    return told.select("product_id", F.col("winner.cat_id").alias("cat_id"), "people")


def answered(reviews: DataFrame, kind: str) -> DataFrame:
    """The rows of `reviews` of that kind in which somebody answered."""
    return reviews.where((F.col("kind") == kind) & (F.col("reviewer") != NOBODY))


@dataclass(frozen=True)
class Corrections:
    """What people's work changes in a window's train rows; validation and test rows stay as they were delivered.

    Attributes:
        labels: product_id, cat_id: the trusted labels; None where nobody answered.
        audited: product_id: products drawn for the audits of earlier months; None where there was none.
    """

    labels: DataFrame | None
    audited: DataFrame | None

    @classmethod
    def of(cls, spark: SparkSession, warehouse: str, month: str) -> "Corrections":
        """Those that hold for the window that ends with the month: answers up to it, audits before it.

        The month's own audit is drawn from products that no train row has (lib/review/audit.py).
        """
        labels = audited = None
        if tables.exists(spark, warehouse, REVIEWS):
            reviews = tables.read(spark, warehouse, REVIEWS, kind="queue").where(F.col("month") <= month)
            said = majority(answered(reviews, "queue")).where(F.col("cat_id").isNotNull())
            labels = said.select("product_id", "cat_id")
        if tables.exists(spark, warehouse, AUDIT_SAMPLE):
            samples = tables.read(spark, warehouse, AUDIT_SAMPLE).where(F.col("month") < month)
            audited = samples.select("product_id").distinct()
        return cls(_unless_empty(labels), _unless_empty(audited))

    def fingerprints(self) -> dict[str, str]:
        """Content of what there is, for a stage's inputs."""
        found = {"reviews": self.labels, "audit_sample": self.audited}
        return {name: str(tables.scan_fingerprint(rows)) for name, rows in found.items() if rows is not None}

    def applied(self, tokens: DataFrame) -> DataFrame:
        """The rows with trusted labels on the train side, without those of audited products there.

        A person who answered looked at this offer; so a fix (lib/categories/fixed_rows.py), which was made for many, no
        more says anything of it.

        Args:
            tokens: product_id, split, cat_id, fix and whatever else; the same columns come out.
        """
        rows = tokens
        if self.audited is not None:
            rows = rows.join(_renamed(self.audited), _on_train_side(), how="left_anti")
        if self.labels is not None:
            joined = rows.join(_renamed(self.labels), _on_train_side(), how="left")
            fix = F.when(F.col("answered_cat_id").isNull(), F.col("fix"))
            rows = joined.withColumns({"cat_id": F.coalesce("answered_cat_id", "cat_id"), "fix": fix})
        return rows.select(*tokens.columns)

    def facts(self, tokens: DataFrame) -> dict[str, Any]:
        """How many train rows got a trusted label, of how many that is another one, and how many the audits hold back.

        Args:
            tokens: the rows before `applied`.
        """
        found: dict[str, Any] = {}
        if self.labels is not None:
            rows = tokens.join(_renamed(self.labels), _on_train_side(), how="inner")
            changed = F.count_if(~F.col("cat_id").eqNullSafe(F.col("answered_cat_id")))
            row = rows.agg(F.count(F.lit(1)).alias("rows"), changed.alias("changed")).collect()[0]
            found["trusted_labels"] = {"rows": int(row["rows"]), "changed": int(row["changed"])}
        if self.audited is not None:
            held = tokens.join(_renamed(self.audited), _on_train_side(), how="left_semi")
            found["held_back_for_audit"] = held.count()
        return found


def _unless_empty(rows: DataFrame | None) -> DataFrame | None:
    return None if rows is None or rows.isEmpty() else rows


def _renamed(rows: DataFrame) -> DataFrame:
    """A side of a join that is as small as what people can do."""
    return F.broadcast(rows.toDF(*_prefixed(rows.columns)))


def _prefixed(names: Iterable[str]) -> list[str]:
    return [f"answered_{name}" for name in names]


def _on_train_side() -> Any:
    return (F.col("product_id") == F.col("answered_product_id")) & F.expr(ON_TRAIN_SIDE)
