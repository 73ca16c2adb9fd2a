"""The drift stage on literal months: a mall that vanishes, half the usual offers, and what it says of a first month."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from pyspark.sql import Row, SparkSession

from jobs import drift
from lib import artefact as artefacts
from lib import tables
from lib.artefact import ArtefactWriter
from lib.config import Config, load
from lib.errors import UserError
from lib.manifest import Outcome, Stage, find, run_stage
from lib.scoring import month_counts
from lib.scoring.month_counts import ALL, REST
from lib.text.vocabulary import write_words
from schemas.metrics import METRICS
from schemas.products import PRODUCTS
from schemas.taxonomy import TAXONOMY
from schemas.token_counts import TOKEN_COUNTS
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

FIRST, SECOND, HALVED, VANISHED = "2026-01", "2026-02", "2026-03", "2026-04"
KEY = "whitespace"


def _products(month: str, malls: Sequence[str], leaf: str = "100") -> list[Row]:
    """Two hundred offers a mall, of which every other has a brand and one in ten is of leaf 200."""
    return [
        Row(**dict.fromkeys(PRODUCTS.columns)
            | {"month": month, "batch": f"{month}-01", "product_id": f"{mall}:{number}", "prod_nm": "이름",
               "mall_id": mall, "brnd_nm": "상표" if number % 2 else None, "cat_id": leaf if number % 10 else "200",
               "source": "test"})
        for mall in malls
        for number in range(200)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def conf(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose warehouse has four months."""
    root = tmp_path_factory.mktemp("drift")
    file = root / "conf.yaml"
    file.write_text(yaml.safe_dump({"storage": {name: str(root / name) for name in ("warehouse", "state", "reports")}}))
    warehouse = load(file).storage.warehouse
    # Leaf 90 of the first month became 100.
    months = {
        FIRST: _products(FIRST, "abcd", "90"),
        SECOND: _products(SECOND, "abcd"),
        HALVED: _products(HALVED, "abcd")[::2],
        VANISHED: _products(VANISHED, "acd"),
    }
    for month, rows in months.items():
        where = {"month": month, "batch": f"{month}-01"}
        tables.write(spark.createDataFrame(rows, PRODUCTS.struct), warehouse, PRODUCTS, where)
    leaves = [
        (SECOND, "100", ["식품", "과일\n<b>"], None),
        (SECOND, "90", ["식품"], "100"),
        (SECOND, "200", ["옷"], None),
    ]
    tables.write(spark.createDataFrame(leaves, TAXONOMY.struct), warehouse, TAXONOMY, {"month": SECOND})
    return file


@pytest.fixture(scope="module")
def config(conf: Path) -> Config:
    """The same, loaded."""
    return load(conf)


def test_an_ordinary_month(spark: SparkSession, config: Config) -> None:
    done = drift.run(spark, config, SECOND)
    assert not done.facts["drifted"]
    assert done.facts["against"] == [FIRST]
    words = done.facts["words"]
    assert words.startswith("2026-02 is as 2026-01 was; mall a (25.0% to 25.0% of the offers) and category")
    assert find(config.storage.warehouse, "drift", SECOND) == done
    assert drift.run(spark, config, SECOND).skipped


def test_half_the_usual_offers(spark: SparkSession, config: Config) -> None:
    facts = drift.run(spark, config, HALVED).facts
    assert facts["drifted"]
    assert facts["words"].startswith("2026-03 differs from 2026-01 and 2026-02: 400 offers where 800 are usual")


def test_a_mall_that_vanished(spark: SparkSession, config: Config) -> None:
    facts = drift.run(spark, config, VANISHED).facts
    assert facts["drifted"]
    assert facts["against"] == [FIRST, SECOND, HALVED]
    assert facts["alarms"][0] == "mall b vanished where 200 are usual"
    assert "mall b (25.0% to 0.0% of the offers)" in facts["words"]


def test_the_first_month_and_one_that_is_not_there(spark: SparkSession, config: Config) -> None:
    facts = drift.run(spark, config, FIRST).facts
    assert (facts["drifted"], facts["figures"]) == (False, [])
    assert facts["words"] == "There is no month before 2026-01 to compare it with."
    with pytest.raises(UserError, match="no rows of month 2027-01"):
        drift.run(spark, config, "2027-01")


def test_drift_is_an_exit_code(
    spark: SparkSession, conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, code in ((["--month", HALVED, "--fail"], 3), (["--month", HALVED], 0), (["--month", SECOND], 0)):
        monkeypatch.setattr(sys, "argv", ["drift.py", "--conf", str(conf), *arguments])
        if code:
            with pytest.raises(SystemExit) as ended:
                drift.main()
            assert ended.value.code == code
            assert capsys.readouterr().err.startswith("drift: 2026-03 differs from")
        else:
            drift.main()
            assert capsys.readouterr().out.startswith(arguments[1])


def test_only_the_largest_are_told_apart(spark: SparkSession, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(month_counts, "MOST_KEYS", 1)
    found = month_counts.count(spark, config.storage.warehouse, [FIRST, SECOND])
    assert found[SECOND].malls["a"] == {"offers": 200, "branded": 100, "labelled": 200}
    assert found[SECOND].malls[REST] == {"offers": 600, "branded": 300, "labelled": 600}
    assert (found[SECOND].offers, found[SECOND].tokens) == (800, None)


def test_words_and_confidence_are_counted(spark: SparkSession, config: Config, tmp_path: Path) -> None:
    """Against the vocabulary of the month before; last month's model then and now; other tokenizers' months are out."""
    made = config.model_copy(update={"storage": config.storage.model_copy(update={"warehouse": str(tmp_path)})})
    warehouse = made.storage.warehouse
    for month, key, names in ((FIRST, "other", ["사과"]), (SECOND, KEY, ["사과 배", "사과 배 감 귤"])):
        rows = [(month, f"{month}-01", f"a:{n}", name, name.split(), [], NO_BRANDS, None, "train", key)
                for n, name in enumerate(names)]  # fmt: skip
        where = {"month": month, "batch": f"{month}-01"}
        tables.write(spark.createDataFrame(rows, TOKENS.struct), warehouse, TOKENS, where)
        tables.write(spark.createDataFrame(_products(month, "a")[:2], PRODUCTS.struct), warehouse, PRODUCTS, where)
    counts = [(SECOND, KEY, "word", "사과", 6, 2), (SECOND, KEY, "word", "배", 2, 2), (SECOND, KEY, "gram", "배", 9, 2)]
    tables.write(spark.createDataFrame(counts, TOKEN_COUNTS.struct), warehouse, TOKEN_COUNTS, {"month": SECOND})
    figures = [(month, "7", split, place, name, value, None, None)
               for month, split, mean in ((FIRST, "test", 0.9), (SECOND, "next_month", 0.8))
               for place, name, value in (("all", "mean_confidence", mean), ("head=output", "rows", 50.0))]  # fmt: skip
    for month, split in ((FIRST, "test"), (SECOND, "next_month")):
        where = {"month": month, "model_version": "7", "split": split}
        rows_of = [row for row in figures if row[0] == month]
        tables.write(spark.createDataFrame(rows_of, METRICS.struct), warehouse, METRICS, where)

    def build(writer: ArtefactWriter) -> None:
        write_words(writer.file("words.parquet"), ["사과"], [5])
        writer.facts = {"tokenizer_key": KEY}

    vocabulary = artefacts.make(warehouse, "vocabulary", FIRST, "k", build)
    for stage, outcome in {
        "vocabulary": Outcome(artefacts={"vocabulary": vocabulary}), "train": Outcome(facts={"version": "7"}),
    }.items():  # fmt: skip
        run_stage(spark, Stage(stage, 1, ()), made, FIRST, {}, lambda _, outcome=outcome: outcome)
    found = month_counts.count(spark, warehouse, [FIRST, SECOND])
    assert found[SECOND].tokens == month_counts.Rate(3.0, 2)
    assert found[FIRST].tokens is None
    assert found[SECOND].unknown == month_counts.Rate(0.25, 8)
    assert found[FIRST].unknown is None
    assert found[SECOND].mall_tokens == {"a": month_counts.Rate(3.0, 2)}
    assert found[FIRST].mall_tokens == {}
    assert found[SECOND].mall_unknown == {"a": month_counts.Rate(4 / 6, 6)}
    overall = (month_counts.Rate(0.9, 50), month_counts.Rate(0.8, 50))
    assert month_counts.confidence(spark, warehouse, SECOND) == {ALL: overall}
    assert month_counts.confidence(spark, warehouse, FIRST) == {}

    by_mall = {"a": [0.9, 30], "b": [0.7, 9]}
    fresh = {"model_version": "8", "next_month": {"model_version": "7", "mall_confidence": {"a": [0.6, 20]}}}
    for month, facts in ((FIRST, {"model_version": "7", "mall_confidence": by_mall}), (SECOND, fresh)):
        run_stage(spark, Stage("evaluate", 1, ()), made, month, {}, lambda _, facts=facts: Outcome(facts=facts))
    one = (month_counts.Rate(0.9, 30), month_counts.Rate(0.6, 20))
    assert month_counts.confidence(spark, warehouse, SECOND) == {ALL: overall, "a": one}
