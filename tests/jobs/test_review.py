"""From a scored month to sheets, from answered sheets to `reviews`, the audit's figures and trusted labels."""

import csv
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import review, validation_set
from lib import tables
from lib.categories.taxonomy import Leaf, taxonomy_frame
from lib.categories.window import token_window
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Outcome, Stage, run_stage
from lib.review.sheet import COLUMNS
from schemas.audit_sample import AUDIT_SAMPLE
from schemas.predictions import PREDICTIONS
from schemas.products import PRODUCTS
from schemas.reviews import REVIEWS
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

MONTH, BATCH = "2026-01", "2026-01-05"
LEAVES = [Leaf("100", ("식품", "사과")), Leaf("101", ("식품", "배")), Leaf("200", ("의류", "셔츠"))]
TRAIN, TEST = 8, 6
HOSTILE = "=1+1 <script>alert(1)</script>"


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A month that was trained and scored: the machine says 100 of everything, train names are given 101."""
    root = tmp_path_factory.mktemp("review")
    config = Config.model_validate(
        {
            "storage": {name: str(root / name) for name in ("warehouse", "state", "reports")},
            "review": {"audit_sample": 4, "size": 5, "max_per_category": 5, "max_per_mall": 5},
        }
    )
    warehouse, where = config.storage.warehouse, {"month": MONTH, "batch": BATCH}
    offers = [(f"m:{n}", f"사과{'가나다라마바사아'[n]}", "train", "101") for n in range(TRAIN)]
    offers += [(f"m:t{n}", f"{HOSTILE} {n}", "test", "100" if n < 5 else "200") for n in range(TEST)]
    tokens = [
        (MONTH, BATCH, product, name, [], [], NO_BRANDS, given, side, "key") for product, name, side, given in offers
    ]
    tables.write(spark.createDataFrame(tokens, TOKENS.struct), warehouse, TOKENS, where)
    products = [
        (MONTH, BATCH, product, name, "m", "몰", "과일", *[None] * 9, given, "s") for product, name, _, given in offers
    ]
    tables.write(spark.createDataFrame(products, PRODUCTS.struct), warehouse, PRODUCTS, where)
    tables.write(taxonomy_frame(spark, LEAVES, MONTH), warehouse, TAXONOMY, {"month": MONTH})
    said = [
        (MONTH, BATCH, "3", product, "100", ["식품"], 0.6, 0.5, [("100", 0.6), ("200", 0.4)], False, "review")
        for product, *_ in offers
    ]
    predictions = spark.createDataFrame(said, PREDICTIONS.struct)
    tables.write(predictions, warehouse, PREDICTIONS, {**where, "model_version": "3"})
    run_stage(None, Stage("score", 1, ()), config, MONTH, {}, lambda key: Outcome(facts={"model_version": "3"}))
    return config


def lines(config: Config, sheet: str) -> list[dict[str, str]]:
    """The rows of a sheet that was written."""
    with (Path(config.storage.reports) / sheet).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def answered(place: Path, rows: list[dict[str, str]], answers: dict[str, str]) -> str:
    """The sheet as a person fills it in."""
    with place.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, "cat_id": answers.get(row["product_id"], "")} for row in rows)
    return str(place)


def test_the_review_queue_teaches_the_next_training(spark: SparkSession, config: Config, tmp_path: Path) -> None:
    warehouse = config.storage.warehouse
    made = review.run(spark, config, MONTH)
    assert (made.facts["open"], made.facts["answered"], made.facts["model_version"]) == (5, 0, "3")
    rows = lines(config, made.facts["sheet"]["csv"])
    asked = [row["product_id"] for row in rows]
    assert asked == [f"m:{n}" for n in range(5)]
    assert rows[0]["suggestions"] == "100 식품 > 사과; 200 의류 > 셔츠"
    assert (Path(config.storage.reports) / made.facts["sheet"]["form"]).is_file()
    assert review.run(spark, config, MONTH).skipped

    bad = answered(tmp_path / "bad.csv", rows, {asked[0]: "100", asked[1]: "nowhere"})
    with pytest.raises(UserError, match="1 row cannot be taken, the first in line 3: 'nowhere'"):
        review.run(spark, config, MONTH, answers=bad, reviewer="kim")
    good = answered(tmp_path / "good.csv", rows, {asked[0]: "100", asked[1]: "none", asked[2]: "101"})
    with pytest.raises(UserError, match="--answers needs --reviewer"):
        review.run(spark, config, MONTH, answers=good)
    for job in (review, validation_set):
        with pytest.raises(UserError, match="--reviewer kim needs --answers FILE"):
            job.run(spark, config, MONTH, reviewer="kim")
    stored = tables.read(spark, warehouse, REVIEWS, month=MONTH)
    assert stored.where("reviewer <> ''").isEmpty()

    again = review.run(spark, config, MONTH, answers=good, reviewer="kim")
    # What was answered is not asked again, and what waited behind it moves up.
    assert [row["product_id"] for row in lines(config, "2026-01/review.csv")] == [f"m:{n}" for n in range(3, 8)]
    assert {key: again.facts[key] for key in ("open", "answered", "none_fits", "reviewers")} == {
        "open": 5, "answered": 3, "none_fits": 1, "reviewers": 1,
    }  # fmt: skip
    sent = {row.product_id: (row.score, row.remark) for row in stored.where("reviewer = ''").collect()}
    assert set(sent) == {f"m:{n}" for n in range(8)}
    assert sent["m:0"][0] > 0
    assert "margin 0.200" in sent["m:0"][1]
    # Handed in twice it is one answer, and nothing is done again.
    assert review.run(spark, config, MONTH, answers=good, reviewer="kim").skipped

    window = token_window(spark, warehouse, MONTH, 1)
    labels = {row.product_id: row.cat_id for row in window.tokens([]).collect()}
    assert labels["m:0"] == "100"
    assert {labels[f"m:{n}"] for n in range(1, 8)} == {"101"}
    assert window.facts()["trusted_labels"] == {"rows": 2, "changed": 1}


def test_the_audit_holds_people_and_machine_against_the_given_label(
    spark: SparkSession, config: Config, tmp_path: Path
) -> None:
    warehouse = config.storage.warehouse
    made = validation_set.run(spark, config, MONTH)
    assert {key: made.facts[key] for key in ("sampled", "population", "strata", "answered", "open", "comparison")} == {
        "sampled": 4, "population": 6, "strata": 2, "answered": 0, "open": 4, "comparison": None,
    }  # fmt: skip
    drawn = tables.read(spark, warehouse, AUDIT_SAMPLE, month=MONTH).orderBy("position").collect()
    rows = lines(config, made.facts["sheet"]["csv"])
    assert [row["product_id"] for row in rows] == [row.product_id for row in drawn]
    # Blind: neither the given label nor the machine's answer is on the sheet.
    assert all(row["suggestions"] == "" and row["name"].startswith("'=1+1") for row in rows)
    assert validation_set.run(spark, config, MONTH).skipped

    shirt = next(row.product_id for row in drawn if row.cat_id == "200")
    apples = [row.product_id for row in drawn if row.cat_id == "100"]
    kim = answered(tmp_path / "kim.csv", rows, {shirt: "200", apples[0]: "100", apples[1]: "101"})
    with pytest.raises(UserError, match="'audit 2026-01', and you hand in 'review 2026-01'"):
        review.run(spark, config, MONTH, answers=kim, reviewer="kim")
    before = tables.scan_fingerprint(token_window(spark, warehouse, MONTH, 1).tokens([]))
    facts = validation_set.run(spark, config, MONTH, answers=kim, reviewer="kim").facts
    assert (facts["answered"], facts["open"], facts["model_version"]) == (3, 1, "3")
    weights = {row.product_id: row.weight for row in drawn}
    all_three = sum(weights[one] for one in (shirt, *apples[:2]))
    assert facts["comparison"]["people"][0] == pytest.approx((weights[shirt] + weights[apples[0]]) / all_three)
    assert facts["comparison"]["machine"][0] == pytest.approx((weights[apples[0]] + weights[apples[1]]) / all_three)
    assert facts["comparison"]["paired"]["only_people_right"] == 1
    named = {one["product_id"]: one for one in facts["disagreements"]}
    assert set(named) == {shirt, apples[1]}
    assert named[shirt]["people"] == "의류 > 셔츠"
    assert named[shirt]["machine"] == "식품 > 사과"
    assert named[shirt]["name"].startswith(HOSTILE)
    # No answer of an audit changes what is learnt from, and the sample stays what it was when the offers change.
    assert tables.scan_fingerprint(token_window(spark, warehouse, MONTH, 1).tokens([])) == before
    more = config.model_copy(update={"review": config.review.model_copy(update={"audit_sample": 6})})
    assert validation_set.run(spark, more, MONTH).facts["sampled"] == 4
