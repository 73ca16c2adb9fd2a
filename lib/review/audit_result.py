"""Reads what an audit came to: the sample, what people and machine said of it, and the facts that follow."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import manifest, tables
from lib.categories.answers import majority
from lib.categories.taxonomy import Leaf, living
from lib.review import people
from lib.review.people import Audited
from lib.review.sheet import STEP, Offer
from schemas.predictions import PREDICTIONS
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS


def scored_version(warehouse: str, month: str) -> str | None:
    """The model version that the month was last scored with: the champion of then; None where it was not scored."""
    scored = manifest.find(warehouse, "score", month)
    return None if scored is None else str(scored.facts["model_version"])


def inputs(spark: SparkSession, warehouse: str, month: str, answers: DataFrame) -> dict[str, str]:
    """What a month's audit depends on, as fingerprints; of the machine only where people answered.

    Args:
        answers: people's rows of `reviews`.
    """
    found = {table.name: str(tables.fingerprint(spark, warehouse, table, month=month)) for table in (TOKENS, TAXONOMY)}
    version = scored_version(warehouse, month)
    if not answers.isEmpty():
        found["answers"] = str(tables.scan_fingerprint(answers))
        if version is not None:
            where = {"month": month, "model_version": version}
            found["predictions"] = f"{version} {tables.fingerprint(spark, warehouse, PREDICTIONS, **where)}"
    return found


def machine_answers(spark: SparkSession, warehouse: str, month: str) -> DataFrame:
    """product_id, cat_id of the month's predictions by that version; no rows where it was not scored."""
    version = scored_version(warehouse, month)
    if version is None:
        return spark.createDataFrame([], "product_id string, cat_id string")
    found = tables.read(spark, warehouse, PREDICTIONS, month=month, model_version=version)
    return found.select("product_id", "cat_id")


def audited(sample: DataFrame, answers: DataFrame, machine: DataFrame, leaves: Sequence[Leaf]) -> list[Audited]:
    """The offers that people answered, with all labels brought to the leaves that live in that month.

    Args:
        sample: rows of `audit_sample`; as many as `review.audit_sample` at most, like the result.
        answers: people's rows of `reviews`.
        machine: product_id, cat_id.
    """
    said = majority(answers).select("product_id", F.col("cat_id").alias("people"))
    asked = F.broadcast(sample.select("product_id", "weight", F.col("cat_id").alias("given")))
    predicted = machine.withColumnRenamed("cat_id", "machine").join(asked, on="product_id", how="left_semi")
    joined = asked.join(said, on="product_id", how="inner").join(predicted, on="product_id", how="left")
    voices = _voices(answers)
    rows = joined.orderBy("product_id").collect()
    offers = [Audited(r.product_id, r.weight, r.given, r.people, r.machine, voices[r.product_id]) for r in rows]
    alive = living(leaves)
    return [_alive(offer, alive) for offer in offers]


def facts(
    sample: DataFrame, offers: Sequence[Audited], shown: Sequence[Offer], leaves: Sequence[Leaf], limit: int
) -> dict[str, Any]:
    """What the stage's manifest says of the sample and of the answers.

    Args:
        shown: the lines of the sheet, for the names of offers.
        limit: offers named on which people and machine differ.
    """
    row = sample.agg(F.count(F.lit(1)).alias("n"), F.sum("weight").alias("all"), F.countDistinct("stratum").alias("s"))
    counted = row.collect()[0]
    return {
        "sampled": int(counted["n"]),
        "population": round(float(counted["all"] or 0)),
        "strata": int(counted["s"]),
        "answered": len(offers),
        "open": int(counted["n"]) - len(offers),
        "comparison": people.compared(offers) if offers else None,
        "disagreements": _named(people.disagreements(offers, limit), shown, leaves),
    }


def _voices(answers: DataFrame) -> Mapping[str, dict[str, str | None]]:
    """product_id -> reviewer -> what he said."""
    found: dict[str, dict[str, str | None]] = defaultdict(dict)
    for row in answers.select("product_id", "reviewer", "cat_id").collect():
        found[row["product_id"]][row["reviewer"]] = row["cat_id"]
    return found


def _alive(offer: Audited, alive: Mapping[str, str]) -> Audited:
    def leaf(cat_id: str | None) -> str | None:
        return None if cat_id is None else alive.get(cat_id, cat_id)

    voices = {reviewer: leaf(said) for reviewer, said in offer.voices.items()}
    return replace(
        offer, given=leaf(offer.given), people=leaf(offer.people), machine=leaf(offer.machine), voices=voices
    )


def _named(offers: Sequence[Audited], shown: Sequence[Offer], leaves: Sequence[Leaf]) -> list[dict[str, Any]]:
    names = {offer.product_id: offer.name for offer in shown}
    paths = {leaf.cat_id: STEP.join(leaf.path) for leaf in leaves}

    def path(cat_id: str | None) -> str | None:
        return None if cat_id is None else paths.get(cat_id, cat_id)

    return [
        {
            "product_id": one.product_id,
            "name": names.get(one.product_id, ""),
            "given": path(one.given),
            "people": path(one.people),
            "machine": path(one.machine),
        }
        for one in offers
    ]
