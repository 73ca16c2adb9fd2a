"""normalize and shards as stages: what they write, when they run again, and that the feed reads the result."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import normalize, shards
from lib import artefact, tables
from lib.artefact import ArtefactWriter
from lib.config import Config
from lib.errors import UserError
from lib.feed.reader import batches
from lib.manifest import Outcome, Stage, artefact_of, run_stage
from lib.text.grams import GRAMS_SCHEMA
from lib.text.vocabulary import write_words
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

CSV = "cat_id,level1,level2,level3,level4\na,식품,사과,,\nb,식품,배,,\n"


@pytest.fixture
def config(tmp_path: Path, warehouse: str) -> Config:
    (tmp_path / "taxonomy.csv").write_text(CSV)
    places = {"warehouse": warehouse, "state": str(tmp_path), "reports": str(tmp_path)}
    taxonomy = {"path": str(tmp_path / "taxonomy.csv")}
    lengths = {"name_length": 3, "category_length": 2, "gram_length": 4}
    return Config.model_validate(
        {
            "storage": places,
            "categories": {"taxonomy": taxonomy},
            "shards": {"months_back": 2, "file_multiple": 2, "word_vocabulary": "min_count", **lengths},
        }
    )


def put_tokens(spark: SparkSession, warehouse: str, month: str, labels: list[str | None], key: str = "okt") -> None:
    """Ten train rows a label, and one of validation and test of the first."""
    rows = [
        (month, f"{month}-05", f"m:{label}{n}", "사과", ["사과"], [], NO_BRANDS, label, "train", "okt")
        for label in labels
        for n in range(10)
    ]
    for split in ("validation", "test"):
        rows.append((month, f"{month}-05", f"m:{split}", "사과", ["사과"], [], NO_BRANDS, labels[0], split, "okt"))
    where = {"month": month, "batch": f"{month}-05"}
    tables.write(spark.createDataFrame(rows, TOKENS.struct), warehouse, TOKENS, where)


def put_vocabulary(spark: SparkSession, config: Config, month: str) -> None:
    """What the vocabulary stage would leave behind."""

    def work(key: str) -> Outcome:
        def build(writer: ArtefactWriter) -> None:
            write_words(writer.file("words.parquet"), ["사과"], [20])
            grams = pa.table({"token": ["사", "과"], "documents": [9, 9], "idf": [1.0, 1.0]}).cast(GRAMS_SCHEMA)
            pq.write_table(grams, writer.file("grams.parquet"))
            writer.facts = {"tokenizer_key": "okt"}

        made = artefact.make(config.storage.warehouse, "vocabulary", month, key, build)
        return Outcome(artefacts={"vocabulary": made})

    run_stage(spark, Stage("vocabulary", 1, ()), config, month, {}, work)


def test_a_window_of_two_months(spark: SparkSession, config: Config, tmp_path: Path) -> None:
    warehouse = config.storage.warehouse
    put_tokens(spark, warehouse, "2026-01", ["a", "b"])
    put_tokens(spark, warehouse, "2026-02", ["b", None, "unheard"])
    put_vocabulary(spark, config, "2026-02")

    normal = normalize.run(spark, config, "2026-02")
    nothing = {"sampled_out": 0, "excluded_by_fix": 0}
    assert normal.exits == {"kept": 30, **nothing, "unlabelled": 10, "unknown_category": 10}
    assert (normal.facts["fixes"], "fixes" in normal.inputs) == ([], False)
    assert normal.facts["months"] == ["2026-01", "2026-02"]
    assert normal.facts["labels"] == {"new": 2, "retired": 0, "total": 2}
    assert tables.read_month(spark, warehouse, TAXONOMY, "2026-02").count() == 2
    drawn = pq.read_table(artefact_of(warehouse, "normalize", "2026-02", "distribution").path("categories.parquet"))
    assert drawn.column("before").to_pylist() == [10, 20]

    made = shards.run(spark, config, "2026-02")
    assert made.rows_in == 54
    assert made.exits == {
        "train": 30,
        "validation": 2,
        "test": 2,
        **nothing,
        "unlabelled": 10,
        "unknown_category": 10,
    }
    listed = artefact_of(warehouse, "shards", "2026-02", "shards")
    assert listed.facts["words"] == 3
    assert listed.facts["grams"] == 3
    assert (listed.facts["words_from"], listed.facts["word2vec"]) == ("vocabulary", None)
    assert (Path(warehouse) / listed.facts["vocabulary"] / "manifest.json").is_file()
    found = list(batches(listed, "train", 16, columns=("name_ids", "label"), seed=0, epoch=0))
    assert [batch["label"].shape[0] for batch in found] == [16, 14]
    assert found[0]["name_ids"].numpy()[0].tolist() == [2, 0, 0]

    assert normalize.run(spark, config, "2026-02").skipped
    assert shards.run(spark, config, "2026-02").skipped
    # A leaf that another month added to `labels` changes nothing here; another weight would.
    put_tokens(spark, warehouse, "2026-03", ["c"])
    (tmp_path / "taxonomy.csv").write_text(CSV + "c,가구,침대,,\n")
    normalize.run(spark, config, "2026-03")
    (tmp_path / "taxonomy.csv").write_text(CSV)
    assert shards.run(spark, config, "2026-02").skipped
    again = shards.run(spark, config, "2026-02", force=True)
    assert not again.skipped
    assert artefact_of(warehouse, "shards", "2026-02", "shards").content == listed.content

    with pytest.raises(UserError, match=r"run jobs/vocabulary\.py first"):
        shards.run(spark, config, "2026-03")
    one = config.model_copy(update={"shards": config.shards.model_copy(update={"months_back": 1})})
    with pytest.raises(UserError, match="the distribution of 2026-02 is of 2026-01, 2026-02 and the window of 2026-02"):
        shards.run(spark, one, "2026-02")


SIGNED = {"by": "kim", "why": "looked at"}
MERGE = {"from_month": "2026-02", **SIGNED, "merge": {"categories": ["a"], "into": "b"}}
EXCLUDE = {"from_month": "2026-02", **SIGNED, "exclude": {"category": "c", "malls": ["m"]}}


def with_fixes(config: Config, folder: Path, *fixes: dict[str, object]) -> Config:
    place = folder / "fixes.yaml"
    place.write_text(yaml.safe_dump({"fixes": list(fixes)}), encoding="utf-8")
    return config.model_copy(update={"categories": config.categories.model_copy(update={"fixes": str(place)})})


def test_fixes_are_counted_by_both_stages_and_a_later_one_redoes_nothing(
    spark: SparkSession, config: Config, tmp_path: Path
) -> None:
    warehouse = config.storage.warehouse
    (tmp_path / "taxonomy.csv").write_text(CSV + "c,식품,감,,\nd,식품,귤,,\n")
    for month in ("2026-01", "2026-02"):
        put_tokens(spark, warehouse, month, ["a", "b", "c", "d"])
    put_vocabulary(spark, config, "2026-02")
    config = with_fixes(config, tmp_path, MERGE, EXCLUDE)

    # Not before its month.
    assert normalize.run(spark, config, "2026-01").exits["kept"] == 40
    normal = normalize.run(spark, config, "2026-02")
    assert {name: rows for name, rows in normal.exits.items() if rows} == {"kept": 60, "excluded_by_fix": 20}
    # Of the merged category also two rows of validation and two of test.
    assert [(fix["kind"], fix["rows"]) for fix in normal.facts["fixes"]] == [("merge", 24), ("exclude", 20)]
    replaced = tables.read_month(spark, warehouse, TAXONOMY, "2026-02").where("replaced_by IS NOT NULL").collect()
    assert [(row.cat_id, row.replaced_by) for row in replaced] == [("a", "b")]
    distribution = artefact_of(warehouse, "normalize", "2026-02", "distribution")
    assert distribution.facts["fixes"] == normal.facts["fixes"]
    drawn = pq.read_table(distribution.path("categories.parquet")).to_pylist()
    assert {row["cat_id"]: row["before"] for row in drawn} == {"b": 40, "c": 0, "d": 20}

    made = shards.run(spark, config, "2026-02")
    assert {name: rows for name, rows in made.exits.items() if rows} == {
        "train": 60, "validation": 2, "test": 2, "excluded_by_fix": 20,
    }  # fmt: skip
    listed = artefact_of(warehouse, "shards", "2026-02", "shards")
    assert [entry["cat_id"] for entry in json.loads(listed.path("label_map.json").read_text())] == ["b", "d"]
    (test,) = batches(listed, "test", 8, columns=("label",), seed=0, epoch=0)
    assert test["label"].numpy().tolist() == [0, 0]

    later = {**MERGE, "from_month": "2026-05", "merge": {"categories": ["d"], "into": "c"}}
    config = with_fixes(config, tmp_path, later, MERGE, EXCLUDE)
    assert normalize.run(spark, config, "2026-02").skipped
    assert shards.run(spark, config, "2026-02").skipped
    # Another word of why is kept, and changes no row.
    config = with_fixes(config, tmp_path, MERGE, {**EXCLUDE, "why": "asked the mall"})
    again = normalize.run(spark, config, "2026-02")
    assert (again.skipped, again.facts["fixes"][1]["why"]) == (False, "asked the mall")
    assert shards.run(spark, config, "2026-02").skipped

    moved = {"from_month": "2026-02", **SIGNED, "relabel": {"category": "c", "malls": ["m"], "into": "d"}}
    config = with_fixes(config, tmp_path, MERGE, moved)
    assert normalize.run(spark, config, "2026-02").exits["kept"] == 80
    assert shards.run(spark, config, "2026-02").exits["train"] == 80
    with pytest.raises(UserError, match="fix 1: the taxonomy of 2026-02 has no category 'zz'"):
        normalize.run(
            spark, with_fixes(config, tmp_path, {**MERGE, "merge": {"categories": ["zz"], "into": "b"}}), "2026-02"
        )
