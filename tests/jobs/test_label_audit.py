"""The label audit of a tiny month whose labels are partly wrong: what it stores, and that it is done once."""

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import label_audit, train
from lib import tables
from lib.config.noise import InjectedNoise
from lib.training.injected_noise import WrongLabels
from schemas.label_doubts import LABEL_DOUBTS
from schemas.tokens import TOKENS
from tests.brandless import no_brands
from tests.jobs.test_train import shards_stage
from tests.training import month, toy

ROWS = 400
NOISE = {"method": "selfie", "rate": 0.2, "warmup_epochs": 2, "history": 2}
WHERE = {"month": month.MONTH, "batch": f"{month.MONTH}-01"}


def tokens(spark: SparkSession, warehouse: str) -> None:
    rows = [(f"m:{n}", f"이름 {chr(0xAC00 + n)}", "train") for n in range(ROWS)]
    frame = spark.createDataFrame(rows, "product_id string, name string, split string")
    empty = F.array().cast("array<string>")
    constants = {
        name: F.lit(value) for name, value in {**WHERE, "tokenizer_key": "whitespace-1", "cat_id": "c0"}.items()
    }
    filled = frame.withColumns(
        {**constants, "name_tokens": empty, "category_tokens": empty, "brand_fields": no_brands()}
    )
    tables.write(filled, warehouse, TOKENS, WHERE)


def test_doubts_of_training_and_of_folds_are_stored_once(spark: SparkSession, tmp_path: Path) -> None:
    injected = WrongLabels(InjectedNoise(share=0.2), np.zeros(toy.CLASSES, np.int64))
    config = month.config(tmp_path, epochs=5, patience=5, tensorboard=False, noise=NOISE)
    warehouse = config.storage.warehouse
    shards_stage(spark, config, month.artefacts(warehouse, train=ROWS, validation=80, wrong=injected))
    tokens(spark, warehouse)
    learnt = train.run(spark, config, month.MONTH)
    assert learnt.facts["members"][0]["epochs"][-1]["refurbished"] > 0
    done = label_audit.run(spark, config, month.MONTH)
    stored = tables.read(spark, warehouse, LABEL_DOUBTS, month=month.MONTH).toPandas()
    truth = toy.rows(ROWS, 0)["label"]
    given = injected.of(np.arange(ROWS), truth)
    wrong = set(np.flatnonzero(given != truth).tolist())
    for method in ("selfie", "folds"):
        rows = stored[stored["method"] == method]
        numbers = rows["product_id"].str.removeprefix("m:").astype(int)
        assert (rows["cat_id"] == [f"c{given[number]}" for number in numbers]).all()
        assert len(wrong & set(numbers)) > 0.7 * len(wrong)
        assert done.facts[method]["doubted"] == len(rows)
    assert done.facts["folds"]["most"][0][3] == stored[stored["method"] == "folds"]["score"].max()
    assert label_audit.run(spark, config, month.MONTH).skipped
