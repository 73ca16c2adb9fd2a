"""A month whose names and categories say nothing and whose brands say all: from brand fields to labels.

Of each side a part of the offers have their brand in the field, written in one of two ways, and the others in the name.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import brands, evaluate, normalize, report, score, shards, train
from lib import artefact, manifest, tables
from lib.artefact import ArtefactWriter
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.scoring.chosen import choose
from lib.scoring.names_file import NamesFile, label_file, parse_mapping
from lib.text.grams import GRAMS_SCHEMA
from lib.text.tokenizers import TokenizerSettings
from lib.text.vocabulary import write_words
from schemas.brands import BRANDS
from schemas.predictions import PREDICTIONS
from schemas.products import PRODUCTS
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

MONTH, BATCH = "2026-01", "2026-01-05"
LEAVES = {"shoe": ("나이키", "nike"), "cream": ("어퓨", "apieu")}
SIDES = {"train": 40, "validation": 10, "test": 20}
STAGES = (brands, normalize, shards, train, evaluate)


@dataclass(frozen=True)
class Offer:
    """One offer; every fourth of a side has its brand in the name."""

    product_id: str
    leaf: str
    side: str
    number: int

    @property
    def name(self) -> str:
        """The same of all, but for the brand."""
        return f"{LEAVES[self.leaf][0]} 상품" if self.number % 4 == 0 else "상품"

    @property
    def fields(self) -> tuple[str | None, ...]:
        """Brand fields as `tokens` has them; of the first of each four only in the train side."""
        if self.number % 4 == 0 and self.side != "train":
            return NO_BRANDS
        platform, mall = LEAVES[self.leaf]
        return (platform if self.number % 2 == 0 else None, mall if self.number % 4 != 0 else None, None, None)


OFFERS = [
    Offer(f"m:{side}-{leaf}-{number}", leaf, side, number)
    for side, count in SIDES.items()
    for leaf in LEAVES
    for number in range(count // 2)
]


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A month that has gone through all stages but the last."""
    root = tmp_path_factory.mktemp("branded")
    (root / "taxonomy.csv").write_text("cat_id,level1,level2,level3,level4\nshoe,옷,신발,,\ncream,미용,크림,,\n")
    small = {"embedding_size": 4, "widths": [1], "filters": 4, "fcl_dim": 8, "bag_size": 4, "gram_fcl_dim": 4}
    config = Config.model_validate(
        {
            "storage": {name: str(root / name) for name in ("warehouse", "state", "reports")},
            "text": {"tokenizer": "whitespace"},
            "categories": {"taxonomy": {"path": str(root / "taxonomy.csv")}},
            "brands": {"min_count": 2},
            "shards": {"months_back": 1, "file_multiple": 2, "word_vocabulary": "min_count", "name_length": 3,
                       "category_length": 2, "gram_length": 4, "brand_length": 3},
            "model": {**small, "margin": False},
            "train": {"batch_size": 16, "epochs": 8, "patience": 8, "learning_rate": 0.05, "tensorboard": False},
            "evaluate": {"bootstrap_rounds": 100},
            "score": {"staging": str(root / "score")},
        }
    )  # fmt: skip
    put_month(spark, config)
    for stage in STAGES:
        stage.run(spark, config, MONTH)
    return config


def put_month(spark: SparkSession, config: Config) -> None:
    """What ingest, tokenize and vocabulary would leave."""
    warehouse, where = config.storage.warehouse, {"month": MONTH, "batch": BATCH}
    key = TokenizerSettings.of(config.text).key
    rows = [
        (MONTH, BATCH, one.product_id, one.name, ["상품"], [], one.fields, one.leaf, one.side, key) for one in OFFERS
    ]
    tokens = spark.createDataFrame(rows, TOKENS.struct)
    tables.write(tokens, warehouse, TOKENS, where)
    known = {"mall_id": F.lit("m"), "mall_nm": F.lit("잡화"), "prod_nm": F.col("name"), "source": F.lit("test")}
    absent = {
        column.name: F.lit(None).cast(column.dataType)
        for column in PRODUCTS.struct
        if column.name not in {*tokens.columns, *known}
    }
    products = tokens.withColumns({**known, **absent}).select(*PRODUCTS.columns)
    tables.write(products, warehouse, PRODUCTS, where)

    def vocabulary(made_of: str) -> Outcome:
        def build(writer: ArtefactWriter) -> None:
            write_words(writer.file("words.parquet"), ["상품"], [20])
            grams = pa.table({"token": ["상", "품"], "documents": [9, 9], "idf": [1.0, 1.0]}).cast(GRAMS_SCHEMA)
            pq.write_table(grams, writer.file("grams.parquet"))
            writer.facts = {"tokenizer_key": key}

        return Outcome(artefacts={"vocabulary": artefact.make(warehouse, "vocabulary", MONTH, made_of, build)})

    run_stage(spark, Stage("vocabulary", 1, ()), config, MONTH, {}, vocabulary)


def stage_of(config: Config, name: str) -> Manifest:
    return manifest.require(config.storage.warehouse, name, MONTH)


def test_two_written_forms_are_one_brand(spark: SparkSession, config: Config) -> None:
    rows = {row.brand: row for row in tables.read_month(spark, config.storage.warehouse, BRANDS, MONTH).collect()}
    assert {brand: sorted(row.aliases) for brand, row in rows.items()} == {
        "nike": ["nike", "나이키"], "apieu": ["apieu", "어퓨"],
    }  # fmt: skip
    facts = stage_of(config, "brands").facts
    assert (facts["brands"], facts["forms"]) == (2, 4)
    assert facts["fill"]["test"] == {
        "rows": 20, "given": 14, "known": 14, "found": 6, "either": 20, "judged": 0, "agreed": 0,
    }  # fmt: skip
    assert brands.run(spark, config, MONTH).skipped


def test_the_model_learns_from_brands_what_names_do_not_say(config: Config) -> None:
    figures = {name: value[0] for name, value in stage_of(config, "evaluate").facts["figures"]["test"].items()}
    assert figures["head=output accuracy"] == 1.0
    assert figures["head=text_prod_output accuracy"] == 0.5


def test_a_month_is_scored_by_its_brands(spark: SparkSession, config: Config) -> None:
    score.run(spark, config, MONTH, False, str(stage_of(config, "train").facts["version"]))
    rows = tables.read_month(spark, config.storage.warehouse, PREDICTIONS, MONTH).collect()
    leaves = {one.product_id: one.leaf for one in OFFERS}
    assert {row.product_id: row.cat_id for row in rows} == leaves


def test_a_file_of_names_may_have_brands(spark: SparkSession, config: Config, tmp_path: Path) -> None:
    file = tmp_path / "offers.tsv"
    file.write_text("id\tname\tbrand\n1\t상품\tNIKE 코리아\n2\t상품\t어퓨\n3\t[어퓨] 상품\t\n")
    chosen = choose(config, str(stage_of(config, "train").facts["version"]))
    names = NamesFile(file, parse_mapping("id=product_id,name=prod_nm,brand=mall_brnd_nm"))
    label_file(spark, names, chosen, tmp_path / "labelled", "parquet")
    found = {
        row.product_id: row.cat_id for row in spark.read.parquet(str(tmp_path / "labelled" / "*.parquet")).collect()
    }
    assert found == {"1": "shoe", "2": "cream", "3": "cream"}


def test_the_report_says_what_names_add(spark: SparkSession, config: Config) -> None:
    page = report.run(spark, config, MONTH).read_text(encoding="utf-8")
    assert "<h2>Brands</h2>" in page
    assert "2 brands in 4 written forms" in page


def test_shards_that_hold_brands_need_their_dictionary(spark: SparkSession, config: Config, tmp_path: Path) -> None:
    elsewhere = config.model_copy(
        update={"storage": config.storage.model_copy(update={"warehouse": str(tmp_path / "warehouse")})}
    )
    put_month(spark, elsewhere)
    normalize.run(spark, elsewhere, MONTH)
    with pytest.raises(UserError, match=r"brands.*jobs/brands\.py"):
        shards.run(spark, elsewhere, MONTH)
