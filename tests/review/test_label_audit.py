"""Given labels that networks contradict: folds by name group, doubts, rows of `label_doubts`."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.testing import assertDataFrameEqual

from lib import tables
from lib.artefact import Artefact
from lib.config.noise import InjectedNoise
from lib.errors import UserError
from lib.review import label_audit, label_doubts
from lib.training import candidate
from lib.training.injected_noise import WrongLabels
from schemas.label_doubts import LABEL_DOUBTS
from tests.training import month, toy

ROWS, WRONG = 600, 0.1


def test_a_doubt_is_how_unlikely_the_given_label_is() -> None:
    logits = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]], np.float32)
    proposed, score = label_audit.doubts(logits, np.array([0, 1]))
    assert proposed.tolist() == [0, 2]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert score.tolist() == pytest.approx([-np.log(chances[0, 0]), -np.log(chances[1, 1])])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited")


@pytest.fixture(scope="module")
def shards(folder: Path) -> Artefact:
    return month.artefacts(month.config(folder).storage.warehouse, train=ROWS, files=2)


def test_products_of_one_name_group_share_a_fold(spark: SparkSession, shards: Artefact) -> None:
    # Every three products have names that differ in order and digits only; a later month's name counts.
    said = [("2026-01", f"m:{n}", f"[특가] {n} 셔츠 이름{chr(0xAC00 + n // 3)}") for n in range(ROWS)]
    said += [("2025-12", "m:1", "다른 이름")]
    tokens = spark.createDataFrame(
        [(*row, "2026-01-01") for row in said], "month string, product_id string, name string, batch string"
    )
    found = label_audit.folds(label_audit.rows(spark, shards), tokens, ROWS, 3)
    assert found.shape == (ROWS,)
    assert (found.reshape(-1, 3) == found[::3, None]).all()
    assert np.bincount(found).min() > ROWS / 3 * 0.7


def test_a_fold_is_neither_learnt_from_nor_left_unasked(folder: Path, shards: Artefact) -> None:
    config = month.config(folder)
    work = candidate.work_without_a_model(config, candidate.Inputs.of_shards(config, shards))
    folds = (np.arange(ROWS) % 3).astype(np.uint8)
    feed = label_audit.FoldFeed(work.feed(1), folds, 1)
    seen = np.concatenate([batch["row_id"].numpy() for batch in feed.batches("train", 1)])
    assert sorted(seen.tolist()) == [row for row in range(ROWS) if row % 3 != 1]
    assert feed.rows("train") == len(seen)
    assert sum(len(batch["label"]) for batch in feed.batches("validation", 0)) == feed.rows("validation") == 40


def test_injected_wrong_labels_are_the_most_doubted(folder: Path, shards: Artefact) -> None:
    injected = InjectedNoise(share=WRONG)
    config = month.config(folder, epochs=8, patience=8, injected=injected.model_dump())
    work = candidate.work_without_a_model(config, candidate.Inputs.of_shards(config, shards))
    place = folder / "doubted.parquet"
    count = label_audit.audit(work, (np.arange(ROWS) % 3).astype(np.uint8), place)
    found = pq.read_table(place).to_pandas().sort_values("score", ascending=False)
    assert count == {"doubted": len(found), "not_judged": 0}
    truth = np.concatenate([toy.rows(ROWS // 2, 10 * file)["label"] for file in (0, 1)])
    given = WrongLabels(injected, np.zeros(toy.CLASSES, np.int64)).of(np.arange(ROWS), truth)
    wrong = np.flatnonzero(given != truth)
    first = found.head(len(wrong))
    assert np.isin(first["row_id"], wrong).mean() > 0.9
    assert (first["given"] == given[first["row_id"]]).all()
    right = np.isin(first["row_id"], wrong)
    assert (first["proposed"] == truth[first["row_id"]])[right].mean() > 0.9


def test_a_category_in_one_fold_is_not_judged_and_one_fold_is_no_audit(folder: Path, shards: Artefact) -> None:
    config = month.config(folder, epochs=1)
    work = candidate.work_without_a_model(config, candidate.Inputs.of_shards(config, shards))
    labels = np.concatenate([toy.rows(ROWS // 2, 10 * file)["label"] for file in (0, 1)])
    folds = np.where(labels == 2, 0, np.arange(ROWS) % 3).astype(np.uint8)
    count = label_audit.audit(work, folds, folder / "lonely.parquet")
    assert count["not_judged"] == (labels == 2).sum()
    assert 2 not in pq.read_table(folder / "lonely.parquet").column("given").to_pylist()
    with pytest.raises(UserError, match="names of one group"):
        label_audit.audit(work, np.zeros(ROWS, np.uint8), folder / "one.parquet")


def test_refurbished_rows_are_those_that_all_members_agree_on(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(0, 1), (1, 1), (2, 1), (3, 2)], "row_id long, label int")
    learnt = [(0, 0, 2), (1, 0, 2), (0, 1, 2), (0, 2, 3), (1, 2, 0), (0, 3, 2), (1, 3, 2)]
    labels = spark.createDataFrame(learnt, "member int, row_id long, label int")
    found = label_doubts.refurbished(rows, labels, 2)
    expected = spark.createDataFrame([(0, 1, 2, 1.0)], "row_id long, given int, proposed int, score double")
    assertDataFrameEqual(found, expected)


def test_rows_name_leaves_and_a_product_once(spark: SparkSession, shards: Artefact, warehouse: str) -> None:
    rows = spark.createDataFrame([(0, "m:a"), (1, "m:b"), (2, "m:a")], "row_id long, product_id string")
    found = spark.createDataFrame(
        [(0, 1, 2, 0.5), (1, 0, 3, 2.0), (2, 1, 0, 1.5)], "row_id long, given int, proposed int, score float"
    )
    made = label_doubts.table_rows(spark, found, rows, shards, "2026-01", "folds")
    where = {"month": "2026-01", "method": "folds"}
    tables.write(made, warehouse, LABEL_DOUBTS, where)
    expected = [("2026-01", "folds", "m:a", "c1", "c0", 1.5), ("2026-01", "folds", "m:b", "c0", "c3", 2.0)]
    assertDataFrameEqual(made, spark.createDataFrame(expected, LABEL_DOUBTS.struct))
    facts = label_doubts.facts(tables.read(spark, warehouse, LABEL_DOUBTS, **where), 1)
    assert facts == {"doubted": 2, "pairs": [["c0", "c3", 1]], "most": [["m:b", "c0", "c3", 2.0]]}
