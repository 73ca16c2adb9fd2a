"""The three text stages over two months: what is learned once stays learned, and what changed is done again."""

from collections.abc import Sequence

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import tokenize, vocabulary, word2vec
from lib import tables
from lib.config import Config
from lib.errors import UserError
from lib.manifest import artefact_of
from lib.text.vocabulary import Vocabulary
from schemas.lexicon import LEXICON
from schemas.products import PRODUCTS
from schemas.token_counts import TOKEN_COUNTS
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

FIRST, SECOND = "2026-01", "2026-02"
JANUARY = [("1", "나이키 운동화", "신발>운동화"), ("2", "여성 원피스", "의류"), ("3", "나이키 원피스", None)]
LONG = "가" * 60


def test_a_month_becomes_tokens_and_a_second_month_analyses_only_new_words(spark: SparkSession, warehouse: str) -> None:
    config = _config(warehouse)
    _deliver(spark, warehouse, FIRST, "01", JANUARY)
    made = tokenize.run(spark, config, FIRST)
    assert made.rows_in == 3
    assert made.exits == {"tokens": 3}
    assert made.facts["lexicon"] == {"analysed": 6, "over_long": 0}
    rows = {row["product_id"]: row for row in tables.read(spark, warehouse, TOKENS, month=FIRST).collect()}
    assert rows["m:1"]["name_tokens"] == ["나이키", "운동화"]
    assert rows["m:1"]["category_tokens"] == ["신발", ">", "운동화"]
    assert rows["m:3"]["category_tokens"] == []
    assert tokenize.run(spark, config, FIRST).skipped

    _deliver(spark, warehouse, SECOND, "01", [("1", f"나이키 가방 {LONG}", "신발>운동화"), ("9", "\x00", None)])
    again = tokenize.run(spark, config, SECOND)
    assert again.facts["lexicon"] == {"analysed": 2, "over_long": 1}
    assert again.facts["names_without_tokens"] == 1
    stored = {row["eojeol"]: row["first_month"] for row in tables.read(spark, warehouse, LEXICON).collect()}
    assert stored["가방"] == SECOND
    assert stored["나이키"] == FIRST
    assert LONG not in stored


def test_the_latest_delivery_counts_and_an_older_batch_is_emptied(spark: SparkSession, warehouse: str) -> None:
    config = _config(warehouse, "whitespace")
    _deliver(spark, warehouse, FIRST, "01", [("1", "나이키 운동화", None)])
    tokenize.run(spark, config, FIRST)
    _deliver(spark, warehouse, FIRST, "02", [("1", "나이키 구두", None)])
    made = tokenize.run(spark, config, FIRST)
    stored = tables.read(spark, warehouse, TOKENS, month=FIRST).collect()
    assert [(row["batch"], row["name_tokens"]) for row in stored] == [("2026-01-02", ["나이키", "구두"])]
    assert made.exits == {"tokens": 1}
    assert made.facts["lexicon"] == {}


def test_vocabulary_sums_months_and_word2vec_gives_each_word_a_vector(spark: SparkSession, warehouse: str) -> None:
    config = _config(warehouse, "whitespace")
    for month in (FIRST, SECOND):
        _tokens(spark, warehouse, month, "whitespace/1", [["나이키", "운동화"], ["나이키"]])
        made = vocabulary.run(spark, config, month)
    assert made.facts["months"] == [FIRST, SECOND]
    assert (made.facts["products"], made.facts["history_products"]) == (2, 4)
    artefact = artefact_of(warehouse, "vocabulary", SECOND, "vocabulary")
    words = Vocabulary.read(artefact.path("words.parquet"))
    assert dict(zip(words.ids, words.counts, strict=True)) == {"나이키": 4, "운동화": 2}
    counted = tables.read(spark, warehouse, TOKEN_COUNTS, month=SECOND, token="나이키", field="word")
    assert [row["count"] for row in counted.collect()] == [2]
    assert vocabulary.run(spark, config, SECOND).skipped

    learned = word2vec.run(spark, config, SECOND)
    vectors = artefact_of(warehouse, "word2vec", SECOND, "word2vec")
    assert np.load(vectors.path("vectors.npy")).shape == (4, 4)
    assert list(Vocabulary.read(vectors.path("words.parquet")).ids) == ["나이키", "운동화"]
    assert learned.facts["funnel"][0]["coverage"] == 1.0
    assert (learned.facts["sentences"], learned.facts["words"]) == (4, 6)
    assert not list(vectors.folder.glob("corpus-*"))

    _tokens(spark, warehouse, SECOND, "whitespace/2", [["나이키"]])
    with pytest.raises(UserError, match=f"jobs/tokenize.py --month {FIRST}"):
        vocabulary.run(spark, config, SECOND)


def _config(warehouse: str, tokenizer: str = "okt") -> Config:
    record = {
        "storage": {"warehouse": warehouse, "state": f"{warehouse}/state", "reports": f"{warehouse}/reports"},
        "text": {"tokenizer": tokenizer},
        "vocabulary": {"history_months": 2, "min_count": 2, "min_gram_documents": 1},
        "word2vec": {"dimensions": 4, "min_count": 2, "epochs": 1, "seed": 1},
    }
    return Config.model_validate(record)


def _deliver(
    spark: SparkSession, warehouse: str, month: str, day: str, offers: Sequence[tuple[str, str, str | None]]
) -> None:
    """Write one delivery of offers (id, name, mall category)."""
    rows = [(f"m:{number}", name, category) for number, name, category in offers]
    frame = spark.createDataFrame(rows, "product_id string, prod_nm string, mall_cat_nm_1 string")
    batch = f"{month}-{day}"
    known = {"month": F.lit(month), "batch": F.lit(batch), "mall_id": F.lit("m"), "source": F.lit("test")}
    absent = {
        column.name: F.lit(None).cast(column.dataType)
        for column in PRODUCTS.struct
        if column.name not in {*frame.columns, *known}
    }
    tables.write(frame.withColumns({**known, **absent}), warehouse, PRODUCTS, {"month": month, "batch": batch})


def _tokens(spark: SparkSession, warehouse: str, month: str, key: str, names: Sequence[list[str]]) -> None:
    """Write a month of train rows with these tokens."""
    batch = f"{month}-01"
    rows = [
        (month, batch, f"m:{place}", " ".join(tokens), tokens, [], NO_BRANDS, None, "train", key)
        for place, tokens in enumerate(names)
    ]
    tables.write(spark.createDataFrame(rows, TOKENS.struct), warehouse, TOKENS, {"month": month, "batch": batch})
