"""Tokens put together from the lexicon are those of the whole name."""

import lzma
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.config import TextSettings
from lib.text.lexicon import LISTS, assembler
from lib.text.normalize import normalize
from lib.text.tokenizers import TokenizerSettings, load
from lib.text.tokens import PRODUCT_COLUMNS, tokenized
from schemas.lexicon import LEXICON

REAL_NAMES = 2_000
EVERY = 97
COLUMNS = "month string, batch string, product_id string, prod_nm string, cat_id string"
WORDS = {"가": ["가"], "나다": ["나", "다"], "!": [], "x1": ["x", "1"]}


@given(st.lists(st.lists(st.sampled_from(sorted(WORDS)), max_size=6), min_size=1, max_size=8))
def test_a_block_is_its_eojeols_tokens_in_a_row(names: list[list[str]]) -> None:
    left = pa.table(
        {
            "block": [0] * len(names),
            "name": [" ".join(name) for name in names],
            "category": [" ".join(reversed(name)) for name in names],
        }
    )
    right = pa.table({"eojeol": list(WORDS), "tokens": pa.array(WORDS.values(), LISTS)})
    made = assembler(left, right)
    assert made.column_names == ["name", "name_tokens", "category_tokens"]
    assert made.column("name_tokens").to_pylist() == [[t for w in name for t in WORDS[w]] for name in names]
    assert made.column("category_tokens").to_pylist() == [
        [t for w in reversed(name) for t in WORDS[w]] for name in names
    ]


def test_a_block_without_any_eojeol_has_no_tokens() -> None:
    left = pa.table({"block": [0], "name": [""], "category": [""]})
    right = pa.table({"eojeol": pa.array([], pa.string()), "tokens": pa.array([], LISTS)})
    assert assembler(left, right).column("name_tokens").to_pylist() == [[]]


def test_an_eojeol_that_was_not_analysed_is_never_passed_over() -> None:
    left = pa.table({"block": [0], "name": ["가 나"], "category": [""]})
    right = pa.table({"eojeol": ["가"], "tokens": pa.array([["가"]], LISTS)})
    with pytest.raises(AssertionError):
        assembler(left, right)


def test_tokens_of_real_names_are_those_of_okt_on_whole_names(
    spark: SparkSession, warehouse: str, real_data: Path
) -> None:
    text = TextSettings(tokenizer="okt")
    settings = TokenizerSettings.of(text)
    names = _real_names(real_data)
    rows = [("2019-04", "2019-04-01", f"m:{place}", name, None) for place, name in enumerate(names)]
    products = spark.createDataFrame(
        rows, "month string, batch string, product_id string, prod_nm string, cat_id string"
    )
    levels = {name: F.lit(None).cast("string") for name in PRODUCT_COLUMNS if name not in products.columns}
    with tokenized(products.withColumns(levels), warehouse, text, settings, "2019-04") as made:
        found = {row["product_id"]: (row["name"], row["name_tokens"]) for row in made.rows.collect()}
        learned = made.learned["analysed"]
    okt = load(settings)
    assert made.products == len(names) == len(found)
    for place, name in enumerate(names):
        clean = normalize(name, text.max_name_length)
        assert found[f"m:{place}"] == (clean, okt.tokenize(clean))
    stored = tables.read(spark, warehouse, LEXICON, tokenizer_key=settings.key)
    longest = max(len(row["eojeol"]) for row in stored.collect())
    assert 0 < stored.count() <= learned
    assert longest <= text.max_eojeol_length


def _real_names(folder: Path) -> list[str]:
    """Names from all over the file, so from all categories."""
    with lzma.open(folder / "naver_names" / "names.tsv.xz", "rt", encoding="utf-8", newline="\n") as stream:
        place = next(stream).rstrip("\n").split("\t").index("name")
        names = [line.rstrip("\n").split("\t")[place] for number, line in enumerate(stream) if number % EVERY == 0]
    return names[:REAL_NAMES]
