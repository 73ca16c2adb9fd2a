"""Tokens -> shards on a small literal window."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.categories.brand_names import BRANDS_SCHEMA
from lib.categories.taxonomy import Leaf
from lib.config import ShardsSettings
from lib.errors import UserError
from lib.shards.build import Categories, build
from lib.shards.encode import Encoding
from lib.shards.row import ROW_SCHEMA
from lib.text.grams import GRAMS_SCHEMA, GramVocabulary
from lib.text.vocabulary import write_words
from schemas.tokens import BRAND_FIELDS

LEAVES = (
    Leaf("a", ("식품", "사과")),
    Leaf("b", ("식품", "배")),
    Leaf("old", ("식품", "능금"), "a"),
    Leaf("rare", ("기타",)),
)
CATEGORIES = Categories(LEAVES, {"a": 5, "b": 2, "rare": 9}, {"a": (1.0, 1.0), "b": (1.0, 2.0), "rare": (1.0, 1.0)})
SETTINGS = ShardsSettings(name_length=4, category_length=2, gram_length=6, file_multiple=2)
SCHEMA = (
    "month string, product_id string, split string, name string, name_tokens array<string>,"
    " category_tokens array<string>, cat_id string"
)


@pytest.fixture(scope="module")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Encoding:
    folder = tmp_path_factory.mktemp("vocabulary")
    write_words(folder / "words.parquet", ["사과", "배", "과일"], [9, 5, 2])
    grams = pa.table({"token": ["사", "과", "사과", "배"], "documents": [4, 3, 2, 1], "idf": [1.0, 1.5, 2.0, 3.0]})
    pq.write_table(grams.cast(GRAMS_SCHEMA), folder / "grams.parquet")
    return Encoding(str(folder / "words.parquet"), str(folder / "grams.parquet"), 4, 2, 6)


@pytest.fixture(scope="module")
def tokens(spark: SparkSession) -> DataFrame:
    apple = ("사과", ["사과", "새말"], ["과일"])
    pear = ("배 배", ["배", "배", "배", "배", "과일"], [])
    rows = [("2026-01", f"m:a{n}", "train", *apple, "a") for n in range(9)]
    rows += [("2026-02", f"m:a{n}", "train", *apple, "old") for n in range(4)]
    rows += [("2026-02", f"m:b{n}", "train", *pear, "b") for n in range(6)]
    rows += [("2026-02", "m:v1", "validation", *pear, "b"), ("2026-02", "m:v2", "validation", *apple, "rare")]
    rows += [("2026-02", "m:v3", "validation", *apple, None), ("2026-02", "m:t1", "test", *apple, "unheard")]
    rows += [("2026-02", "m:t2", "test", *apple, "a"), ("2026-02", "m:x1", "train", *apple, None)]
    # The last one is left out by a fix.
    return spark.createDataFrame(rows, SCHEMA).withColumn("fix", F.when(F.col("product_id") == "m:x1", 1))


def make(tokens: DataFrame, encoding: Encoding, folder: Path, categories: Categories = CATEGORIES) -> Artefact:
    def write(writer: ArtefactWriter) -> None:
        build(tokens, categories, encoding, SETTINGS, writer)

    return artefacts.make(str(folder), "shards", "2026-02", "key", write)


def rows_of(made: Artefact, split: str) -> list[dict[str, object]]:
    names = sorted(name for name in made.files if name.startswith(f"{split}/"))
    return [row for name in names for row in pq.read_table(made.path(name)).to_pylist()]


def test_a_window_becomes_files_of_equal_size(tokens: DataFrame, encoding: Encoding, tmp_path: Path) -> None:
    made = make(tokens, encoding, tmp_path)
    assert made.facts["exits"] == {
        "train": 19,
        "validation": 2,
        "test": 1,
        "sampled_out": 0,
        "excluded_by_fix": 1,
        "unlabelled": 1,
        "unknown_category": 1,
    }
    assert made.facts["splits"] == {
        "train": {"rows": 19, "files": 2, "rows_per_file": [9, 10]},
        "validation": {"rows": 2, "files": 2, "rows_per_file": [1, 1]},
        "test": {"rows": 1, "files": 1, "rows_per_file": [1]},
    }
    for name in made.files:
        if name.endswith(".parquet"):
            footer = pq.read_metadata(made.path(name))
            assert footer.num_row_groups == 1
            assert footer.schema.to_arrow_schema().equals(ROW_SCHEMA)
    label_map = json.loads(made.path("label_map.json").read_text())
    assert [(entry["label"], entry["label_id"], entry["cat_id"]) for entry in label_map] == [
        (0, 2, "b"),
        (1, 5, "a"),
    ]
    assert (made.facts["classes"], made.facts["names_cut"], made.facts["grams_cut"]) == (2, 7, 0)
    assert made.facts["level_names"][1] == [["식품", "배"], ["식품", "사과"]]


def test_rows_hold_what_the_vocabularies_say(tokens: DataFrame, encoding: Encoding, tmp_path: Path) -> None:
    made = make(tokens, encoding, tmp_path)
    train = rows_of(made, "train")
    assert [row["row_id"] for row in train] == list(range(19))
    assert [row["row_id"] for row in rows_of(made, "validation")] == [19, 20]
    # A product of two months is two rows, and a replaced leaf counts as the one that took its place.
    assert Counter(row["product_id"] for row in train)["m:a0"] == 2
    assert Counter(row["label"] for row in train) == {1: 13, 0: 6}
    pear = next(row for row in train if row["label"] == 0)
    assert pear["name_ids"] == [3, 3, 3, 3]
    assert pear["cat_ids"] == [0, 0]
    assert (pear["weight"], pear["level_labels"]) == (2.0, [0, 0, -1, -1])
    apple = next(row for row in train if row["label"] == 1)
    assert (apple["name_ids"], apple["cat_ids"]) == ([2, 1, 0, 0], [4, 0])
    ids, weights, _ = GramVocabulary.read(encoding.grams).gram_vec("사과", 6)
    assert apple["gram_ids"] == ids
    assert apple["gram_weights"] == pytest.approx(weights)
    validation = {row["product_id"]: row for row in rows_of(made, "validation")}
    # No train row has leaf 'rare': the row stays, and no prediction of it can be right.
    assert (validation["m:v2"]["label"], validation["m:v2"]["level_labels"]) == (-1, [-1, -1, -1, -1])
    assert (validation["m:v1"]["label"], validation["m:v1"]["weight"]) == (0, 1.0)


def test_the_content_does_not_depend_on_partitions(tokens: DataFrame, encoding: Encoding, tmp_path: Path) -> None:
    one = make(tokens.coalesce(1), encoding, tmp_path / "one")
    many = make(tokens.repartition(3, "name"), encoding, tmp_path / "many")
    assert one.content == many.content
    assert {entry["file"] for entry in one.files.values()} != {entry["file"] for entry in many.files.values()}


def test_the_loser_of_two_runs_uses_the_winners_files(tokens: DataFrame, encoding: Encoding, tmp_path: Path) -> None:
    winner: list[Artefact] = []

    def write_second(writer: ArtefactWriter) -> None:
        build(tokens, CATEGORIES, encoding, SETTINGS, writer)
        winner.append(make(tokens, encoding, tmp_path))

    loser = artefacts.make(str(tmp_path), "shards", "2026-02", "key", write_second)
    assert loser.files == winner[0].files
    loser.verify()
    stored = {file.relative_to(loser.folder).as_posix() for file in loser.folder.rglob("*.parquet")}
    assert stored == {str(entry["file"]) for name, entry in loser.files.items() if name.endswith(".parquet")}


def test_train_rows_above_the_cap_are_left_out(tokens: DataFrame, encoding: Encoding, tmp_path: Path) -> None:
    half = replace(CATEGORIES, shares={**CATEGORIES.shares, "a": (0.5, 1.0)})
    made = make(tokens, encoding, tmp_path, half)
    exits = made.facts["exits"]
    assert 0 < exits["sampled_out"] < 13
    assert exits["train"] + exits["sampled_out"] == 19
    assert (exits["validation"], exits["test"]) == (2, 1)


def test_too_little_to_learn_from_is_an_error(tokens: DataFrame, encoding: Encoding, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only leaf 'b'"):
        make(tokens.where("coalesce(cat_id, '') IN ('b', 'rare')"), encoding, tmp_path)
    few = tokens.where("product_id IN ('m:a8', 'm:b1')")
    four = SETTINGS.model_copy(update={"file_multiple": 4})
    with pytest.raises(UserError, match=r"2 train rows for shards\.file_multiple = 4"):
        build(few, CATEGORIES, encoding, four, ArtefactWriter(tmp_path))
    assert not list(tmp_path.rglob("manifest.json"))


def test_rows_hold_their_brands_where_they_are_asked_for(
    spark: SparkSession, tokens: DataFrame, encoding: Encoding, tmp_path: Path
) -> None:
    forms = [("사과", True), ("배농장", False)]
    rows = [{"form": f, "brand": f, "searched": s, "rows": 2, "malls": 1, "found": 0, "agreed": 0} for f, s in forms]
    place = tmp_path / "brands.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=BRANDS_SCHEMA), place)
    field = F.when(F.col("cat_id") == "b", "배농장").when(F.col("product_id") == "m:a0", "모름")
    fields = {name: F.lit(None).cast("string") for name in BRAND_FIELDS} | {"mall_brnd_nm": field}
    branded = tokens.withColumn("brand_fields", F.struct(*(column.alias(name) for name, column in fields.items())))
    made = make(branded, replace(encoding, brands=str(place), brand_length=3), tmp_path)
    assert made.facts["brand_length"] == 3
    found = {row["product_id"]: row["brand_ids"] for row in rows_of(made, "train")}
    # The given brand, or 1 for an unknown one, or 0 for none; then those of the name.
    assert (found["m:b0"], found["m:a0"], found["m:a1"]) == ([3, 0, 0], [1, 2, 0], [0, 2, 0])


FEATURES = {"kind": "features", "size": 8, "backbone": "mobilenet", "key": "k", "width": 2}


@pytest.mark.parametrize(
    ("fact", "column", "shown", "none"),
    [
        (FEATURES, "image_features array<float>", [0.5, -1.0], [0.0, 0.0]),
        ({"kind": "raw", "size": 8, "bytes": 3}, "image binary", bytearray(b"jpg"), b""),
    ],
)
def test_rows_hold_their_picture_or_what_stands_for_none(
    spark: SparkSession, tokens: DataFrame, encoding: Encoding, tmp_path: Path, fact: dict[str, object], column: str,
    shown: object, none: object,
) -> None:  # fmt: skip
    # Of a product of two months only one month's picture; one of a product that no row has.
    rows = [("2026-01", "m:a0", shown), ("2026-02", "m:b0", shown), ("2026-02", "m:nobody", shown)]
    pictures = spark.createDataFrame(rows, f"month string, product_id string, {column}")
    given = replace(encoding, picture=fact)

    def write(writer: ArtefactWriter) -> None:
        build(tokens, CATEGORIES, given, SETTINGS, writer, pictures)

    made = artefacts.make(str(tmp_path), "shards", "2026-02", "key", write)
    assert made.facts["picture"] == fact
    name = column.split(" ")[0]
    train = rows_of(made, "train")
    assert len(train) == 19
    seen = Counter((row["product_id"], bytes(row[name]) if name == "image" else tuple(row[name])) for row in train)
    expected = bytes(shown) if name == "image" else tuple(shown)  # type: ignore[call-overload]
    nothing = none if name == "image" else tuple(none)  # type: ignore[arg-type]
    assert seen[("m:a0", expected)] == seen[("m:a0", nothing)] == seen[("m:b0", expected)] == 1
    assert sum(count for (_, found), count in seen.items() if found == nothing) == 17


def test_features_of_another_width_are_refused(
    spark: SparkSession, tokens: DataFrame, encoding: Encoding, tmp_path: Path
) -> None:
    schema = "month string, product_id string, image_features array<float>"
    pictures = spark.createDataFrame([("2026-01", "m:a0", [1.0, 2.0, 3.0])], schema)
    given = replace(encoding, picture=FEATURES)
    with pytest.raises(Exception, match="have 3 numbers on average where the backbone makes 2"):
        build(tokens, CATEGORIES, given, SETTINGS, ArtefactWriter(tmp_path), pictures)
