"""A file of names: read in every format, labelled, with what cannot be scored kept apart."""

import contextlib
import csv
import gzip
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lib.artefact import Artefact
from lib.config import Config, Storage
from lib.errors import UserError
from lib.scoring import names_file
from lib.scoring.chosen import Chosen, choose
from lib.scoring.names_file import NamesFile, label_file, parse_mapping
from tests.scoring.tiny_model import NAMES

BOTH = {"prod_nm": "name", "product_id": "id"}


@pytest.fixture(scope="module")
def chosen(tiny: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Chosen:
    """The tiny model by its folder."""
    state = tmp_path_factory.mktemp("state")
    storage = Storage(warehouse=str(state / "w"), state=str(state), reports=str(state / "r"))
    return choose(Config(storage=storage), str(tiny.folder))


def _rows(folder: Path) -> list[dict[str, str]]:
    texts = [part.read_text(encoding="utf-8") for part in sorted(folder.glob("*.csv"))]
    return [row for text in texts for row in csv.DictReader(io.StringIO(text, newline=""))]


def _label(spark: SparkSession, path: Path, chosen: Chosen, columns: dict[str, str] = BOTH) -> Path:
    label_file(spark, NamesFile(path, columns), chosen, path.parent / "out", "csv")
    return path.parent / "out"


def test_tsv_is_labelled_and_unusable_rows_are_kept_apart(spark: SparkSession, tmp_path: Path, chosen: Chosen) -> None:
    lines = ["id\tname\tprice", *(f"p{i}\t{name}\t1" for i, (name, _) in enumerate(NAMES))]
    lines += ["empty\t \t1", "short\t사과", "long\t사과\t1\t2", '=cmd()\t"셔츠 특가\t1', "bad\t사과\ufffd\t1"]
    (tmp_path / "names.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = label_file(spark, NamesFile(tmp_path / "names.tsv", BOTH), chosen, tmp_path / "out", "csv")
    assert (done.scored, done.rejected) == (7, 4)
    labelled = {row["product_id"]: row for row in _rows(tmp_path / "out")}
    assert {f"p{i}": cat_id for i, (_, cat_id) in enumerate(NAMES)}.items() <= {
        key: row["cat_id"] for key, row in labelled.items()
    }.items()
    assert labelled["p0"]["path"] == "식품 > 과일"
    assert 0.5 < float(labelled["p0"]["confidence"]) <= 1
    first, *others = labelled["p0"]["top"].split(" ")
    assert first.startswith("100:")
    assert len(others) == 2  # three leaves, no padding
    assert labelled["'=cmd()"]["cat_id"] == "200"  # a quote is a character; a formula is not run
    rejects = {row["product_id"]: row["reason"] for row in _rows(tmp_path / "out" / "rejects")}
    assert rejects == {"empty": "no_name", "short": "malformed", "long": "malformed", "bad": "undecodable"}


def test_quoted_csv_with_newlines_jsonl_and_gz_give_the_same(
    spark: SparkSession, tmp_path: Path, chosen: Chosen
) -> None:
    for kind in ("csv", "jsonl", "tsv.gz"):
        (tmp_path / kind).mkdir()
    with (tmp_path / "csv" / "n.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(
            [["name", "id"], ['사과\n"선물", 특가', "a"], ["셔츠", "b"]]
        )
    records = [{"name": '사과\n"선물", 특가', "id": "a"}, {"name": "셔츠", "id": "b", "price": 3}]
    (tmp_path / "jsonl" / "n.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    with gzip.open(tmp_path / "tsv.gz" / "n.tsv.gz", "wt", encoding="utf-8") as stream:
        stream.write('name\tid\r\n사과 "선물", 특가\ta\r\n셔츠\tb\r\n')
    found = [
        sorted((row["product_id"], row["cat_id"], row["top"]) for row in _rows(_label(spark, path, chosen)))
        for path in (tmp_path / "csv/n.csv", tmp_path / "jsonl/n.jsonl", tmp_path / "tsv.gz/n.tsv.gz")
    ]
    assert [row[:2] for row in found[0]] == [("a", "100"), ("b", "200")]
    assert found[0] == found[1] == found[2]


def test_parquet_without_ids_is_numbered_and_written_as_parquet(
    spark: SparkSession, tmp_path: Path, chosen: Chosen
) -> None:
    pd.DataFrame({"품명": ["사과", "배추", None], "분류": ["식품", None, None]}).to_parquet(tmp_path / "n.parquet")
    columns = {"prod_nm": "품명", "mall_cat_nm_1": "분류"}
    label_file(spark, NamesFile(tmp_path / "n.parquet", columns), chosen, tmp_path / "out", "parquet")
    labelled = pd.read_parquet(sorted((tmp_path / "out").glob("*.parquet")))
    assert dict(zip(labelled["product_id"], labelled["cat_id"], strict=True)) == {
        "row-0": "100",
        "row-1": "101",
    }
    assert list(labelled.columns) == ["product_id", "cat_id", "path", "confidence", "entropy", "top", "route"]
    rejected = pd.read_parquet(sorted((tmp_path / "out" / "rejects").glob("*.parquet")))
    assert rejected["reason"].tolist() == ["no_name"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("n.tsv", "other\tid\n사과\t1\n".encode(), "no column 'name' for prod_nm; it has other, id"),
        ("n.tsv", b"", "no column 'name'"),
        ("n.tsv", b"name\tname\n", "twice"),
        ("n.tsv", b"name\tid\tID\n", "names column 'ID' twice"),
        ("n.tsv", b"name\tid\t_malformed\n", "names column '_malformed' twice"),
        ("n[1].tsv", b"name\tid\n", "for a pattern; rename it"),
        ("_n.tsv", b"name\tid\n", "Spark passes over a name"),
        ("n.csv", "name,id\n사과,1\n".encode("cp949"), "no column"),
        ("n.tsv", "name\tid\t분류\n".encode("cp949"), "is not UTF-8"),
        ("n.tsv.gz", gzip.compress(b"name\tid\n" + b"a\t1\n" * 9999, mtime=0)[:-20], "cannot be read"),
        ("n.parquet", b"PAR1 is not enough", "is no Parquet file"),
        ("n.jsonl", b"[1, 2]\n", "no JSON object"),
        ("n.xlsx", b"PK", "its name does not say"),
    ],
)
def test_unusable_files_end_in_one_sentence(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    columns = {"prod_nm": "name", "product_id": "번호" if name == "n.csv" else "id"}
    with pytest.raises(UserError, match=said) as raised:
        names_file.read(spark, NamesFile(tmp_path / name, columns))
    assert "\n" not in str(raised.value)


def test_missing_file_and_full_output_are_refused(spark: SparkSession, tmp_path: Path, chosen: Chosen) -> None:
    with pytest.raises(UserError, match="is no file"):
        names_file.read(spark, NamesFile(tmp_path / "no.tsv", BOTH))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="is not empty"):
        label_file(spark, NamesFile(tmp_path / "no.tsv", BOTH), chosen, tmp_path / "out", "csv")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_mapping_is_column_to_field() -> None:
    assert parse_mapping("상품=prod_nm, no=product_id") == {"prod_nm": "상품", "product_id": "no"}
    assert parse_mapping("a=b=prod_nm") == {"prod_nm": "a=b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name", "is not column=field"),
        ("a=price", "is no field"),
        ("a=prod_nm,b=prod_nm", "twice"),
        ("a=product_id", "prod_nm"),
    ],
)
def test_mappings_that_cannot_be_meant_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_mapping(text)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_mapping_is_read_or_refused_in_one_sentence(text: str) -> None:
    columns: dict[str, str] = {"prod_nm": "refused"}
    with contextlib.suppress(UserError):
        columns = parse_mapping(text)
    assert "prod_nm" in columns
    assert set(columns) <= set(names_file.FIELDS)


def test_formulas_are_neutralised_in_every_text_cell(spark: SparkSession) -> None:
    texts = ["=1+1", "+1", "-1", "@a", "\tx", "\nx", "\u00a0＝1", 'x;"=1', "plain", "a=b", "a; b - c", ""]
    frame = spark.createDataFrame([(text,) for text in texts], "cell string")
    found = [row["cell"] for row in frame.select(names_file.neutral(frame["cell"]).alias("cell")).collect()]
    assert found == [
        "'=1+1", "'+1", "'-1", "'@a", "'\tx", "'\nx", "'\u00a0＝1", "x;'\"=1", "plain", "a=b", "a; b - c", "",
    ]  # fmt: skip


def test_blanks_before_a_formula_are_written_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(" =1+1",), ("\n=1+1",), ("\x0b@a",), ("plain ",)], "raw string")
    assert names_file._write(frame, tmp_path / "out", "csv") == 4
    assert sorted(row["raw"] for row in _rows(tmp_path / "out")) == ["'\n'=1+1", "'\x0b@a", "' =1+1", "plain "]
