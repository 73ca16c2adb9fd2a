"""A plain file of names in, a folder of categories out: for whoever has names and no pipeline around them.

TSV without quoting, CSV with it, JSON lines or Parquet; UTF-8; text formats also gzipped. TSV and CSV need a header.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from lib.errors import UserError
from lib.scoring.chosen import Chosen
from lib.text.tokens import MALL_LEVELS, brand_fields, normalized
from schemas.tokens import BRAND_FIELDS

Format = Literal["csv", "parquet"]
FIELDS = ("product_id", "prod_nm", *MALL_LEVELS, *BRAND_FIELDS)
MALFORMED = "_malformed"
NUMBER = "_number"
# Characters of a path that Spark reads as a pattern, or not at all.
PATTERN = frozenset("[]{}*?\\:")
# What decoding puts in place of bytes that are no UTF-8.
REPLACEMENT = "\ufffd"
# A header, or one JSON record, of more than this is none.
HEAD_BYTES = 1 << 20
# JSON lines have no header: a mapped key that none of the first lines has is taken for a mistake.
HEAD_LINES = 1000
# What a spreadsheet runs as a formula, at the beginning and after another one's separator (lib/review/cells.py).
FORMULA_START = r"^[\s\p{C}\p{Z}]*[=+\-@＝＋－＠]|^[\t\r\n]"
FORMULA_WITHIN = r"([;\t\r\n])(?=[ \"]*[=+\-@＝＋－＠])"
EXTENSIONS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}


@dataclass(frozen=True)
class NamesFile:
    """A file of names.

    Attributes:
        path: where it lies.
        columns: field (one of FIELDS) -> the file's own column.
    """

    path: Path
    columns: Mapping[str, str]

    @property
    def kind(self) -> str:
        """tsv, csv, jsonl or parquet, by the file's name."""
        return kind_of(self.path)


@dataclass(frozen=True)
class Labelled:
    """What became of the file's rows."""

    scored: int
    rejected: int


def parse_mapping(text: str) -> dict[str, str]:
    """'column=field,column=field' as field -> column.

    Raises:
        UserError: it is written otherwise, a field is unknown or given twice, or no column is the name.
    """
    columns: dict[str, str] = {}
    for pair in text.split(","):
        column, separator, field = (part.strip() for part in pair.rpartition("="))
        if not separator or not column or not field:
            raise UserError(f"--mapping {pair!r} is not column=field; write it as name=prod_nm,id=product_id")
        if field not in FIELDS:
            raise UserError(f"--mapping {pair}: {field!r} is no field; use {', '.join(FIELDS)}")
        if field in columns:
            raise UserError(f"--mapping gives {field} twice ({columns[field]!r} and {column!r}); keep one of them")
        columns[field] = column
    if "prod_nm" not in columns:
        raise UserError(
            f"--mapping {text} names no column as prod_nm; add the column of the names, such as name=prod_nm"
        )
    return columns


def kind_of(path: Path) -> str:
    """The format that a file's name says.

    Raises:
        UserError: it says none that can be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes = suffixes[:-1]
    kind = EXTENSIONS.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise UserError(
            f"--input {path}: its name does not say what it is; give a .tsv, .csv, .jsonl (or .gz of one) or .parquet"
        )
    return kind


def label_file(spark: SparkSession, names: NamesFile, chosen: Chosen, output: Path, written_as: Format) -> Labelled:
    """Label every name of the file into `output`, and put the rows without one into `output`/rejects.

    Raises:
        UserError: the file or a mapped column is missing, the output exists, or names cannot be cut as in training.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output} exists and is not empty; name a new folder or remove it")
    chosen.check_tokenizer()
    records = read(spark, names)
    cleaned = normalized(F.col("prod_nm"), chosen.max_length)
    reasons = (
        F.when(F.col(MALFORMED).isNotNull(), F.lit("malformed"))
        .when(F.contains(F.col("prod_nm"), F.lit(REPLACEMENT)), F.lit("undecodable"))
        .when(cleaned == "", F.lit("no_name"))
    )
    judged = records.withColumn("reason", reasons)
    wanted = judged.where(F.col("reason").isNull()).select(
        "product_id",
        F.col("prod_nm").alias("name"),
        F.concat_ws(" ", *MALL_LEVELS).alias("category"),
        brand_fields(chosen.max_length).alias("brand_fields"),
    )
    rejected = judged.where(F.col("reason").isNotNull()).select(
        "product_id", F.coalesce(MALFORMED, "prod_nm").alias("raw"), "reason"
    )
    # A file of names has no pictures.
    scored = _write(chosen.scorer.score_texts(wanted, ["product_id"]).drop("with_picture"), output, written_as)
    return Labelled(scored, _write(rejected, output / "rejects", written_as))


def read(spark: SparkSession, names: NamesFile) -> DataFrame:
    """Records as FIELDS (null where not mapped) and MALFORMED, the raw text of a record that could not be read.

    Where no column is the product's id, 'row-<n>' stands for it, n rising through the file.

    Raises:
        UserError: the file is not there, is no such file, has a name that Spark does not read, lacks a mapped column or
            has two that cannot be told apart.
    """
    _check_path(names.path)
    header = _columns_of(spark, names)
    _check_header(names.path, header)
    for field, column in names.columns.items():
        if column not in header:
            raise UserError(
                f"--input {names.path} has no column {column[:60]!r} for {field}; it has {', '.join(header)[:300]}"
            )
    frame = _frame(spark, names, header)
    nothing = F.lit(None).cast("string")
    malformed = F.col(MALFORMED) if MALFORMED in frame.columns else nothing
    cells = {field: _cell(names.columns[field]) if field in names.columns else nothing for field in FIELDS}
    known = F.coalesce(F.nullif(F.trim(cells["product_id"]), F.lit("")), NUMBER)
    cells["product_id"] = known
    return frame.select(*(cells[field].alias(field) for field in FIELDS), malformed.alias(MALFORMED))


def neutral(text: Column) -> Column:
    """The text with an apostrophe before what a spreadsheet would run as a formula."""
    cell = F.regexp_replace(text, FORMULA_WITHIN, "$1'")
    return F.when(cell.rlike(FORMULA_START), F.concat(F.lit("'"), cell)).otherwise(cell)


def csv_columns(frame: DataFrame) -> DataFrame:
    """Every column as one cell of text or a number: paths as 'a > b', the top five as 'cat_id:probability …'."""
    cells = {
        "path": F.array_join("path", " > "),
        "top": F.array_join(
            F.transform("top", lambda one: F.concat(one["cat_id"], F.lit(":"), F.format_number(one["probability"], 4))),
            " ",
        ),
    }
    texts = {name for name, kind in frame.dtypes if kind == "string"} | set(cells)
    return frame.select(
        *(neutral(cells.get(name, F.col(name))).alias(name) if name in texts else F.col(name) for name in frame.columns)
    )


def _write(frame: DataFrame, folder: Path, written_as: Format) -> int:
    """Write the frame and return how many rows it had."""
    observation = Observation()
    counted = frame.observe(observation, F.count(F.lit(1)).alias("rows"))
    # An existing, empty folder is fine; anything in it was refused before.
    writer = counted.write.mode("append") if written_as == "parquet" else csv_columns(counted).write.mode("append")
    if written_as == "parquet":
        writer.parquet(str(folder))
    else:
        # Spark would trim each cell, and so might begin it with what stood behind the blanks.
        blanks = {"ignoreLeadingWhiteSpace": False, "ignoreTrailingWhiteSpace": False}
        writer.options(header=True, escape='"', encoding="UTF-8", **blanks).csv(str(folder))
    return int(observation.get["rows"])


def _frame(spark: SparkSession, names: NamesFile, header: list[str]) -> DataFrame:
    """The file's columns, NUMBER, and for text formats MALFORMED."""
    number = F.concat(F.lit("row-"), F.monotonically_increasing_id().cast("string"))
    if names.kind == "parquet":
        return spark.read.parquet(str(names.path)).withColumn(NUMBER, number)
    strings = [StructField(column, StringType()) for column in [*header, MALFORMED]]
    reader = spark.read.schema(StructType(strings)).option("mode", "PERMISSIVE")
    reader = reader.option("columnNameOfCorruptRecord", MALFORMED)
    if names.kind == "jsonl":
        return reader.option("primitivesAsString", True).json(str(names.path)).withColumn(NUMBER, number)
    # With pruned columns Spark would not see that a record has too few or too many of them.
    reader = reader.option("header", True).option("enforceSchema", True).option("columnPruning", False)
    if names.kind == "tsv":
        return reader.option("sep", "\t").option("quote", "").csv(str(names.path)).withColumn(NUMBER, number)
    # A quoted cell may hold newlines, so the file cannot be split; its rows are spread again after reading.
    whole = reader.option("escape", '"').option("multiLine", True).csv(str(names.path))
    return whole.withColumn(NUMBER, number).repartition(spark.sparkContext.defaultParallelism)


def _cell(column: str) -> Column:
    """The file's column as text, whatever is in its name."""
    escaped = column.replace("`", "``")
    return F.col(f"`{escaped}`").cast("string")


def _columns_of(spark: SparkSession, names: NamesFile) -> list[str]:
    """The file's own column names."""
    if names.kind == "parquet":
        try:
            return list(spark.read.parquet(str(names.path)).columns)
        except Exception as error:  # noqa: BLE001 Spark's errors of a damaged file have no common class
            raise UserError(f"--input {names.path} is no Parquet file ({str(error).splitlines()[0][:200]})") from None
    lines = _first_lines(names.path, HEAD_LINES if names.kind == "jsonl" else 1)
    if names.kind == "jsonl":
        return _keys(lines, names.path)
    header = lines[0].removeprefix("\ufeff").rstrip("\r\n") if lines else ""
    return header.split("\t") if names.kind == "tsv" else _csv_cells(header)


def _check_path(path: Path) -> None:
    """Raise UserError for a file that Spark would not read, or would take for the name of others."""
    if not path.is_file():
        raise UserError(f"--input {path} is no file; give a TSV, CSV, JSON lines or Parquet file of names")
    if path.name.startswith(("_", ".")) or set(str(path.absolute())) & PATTERN:
        raise UserError(
            f"--input {path}: Spark passes over a name that begins with _ or ., and takes one with any of "
            f"{' '.join(sorted(PATTERN))} for a pattern; rename it"
        )


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Raise UserError where Spark could not tell two columns apart: it does not look at their case."""
    taken = {MALFORMED, NUMBER}
    for column in header:
        if column.lower() in taken:
            raise UserError(
                f"--input {path}: its header names column {column[:60]!r} twice (case does not count, and {MALFORMED} "
                f"and {NUMBER} are taken); rename one of them"
            )
        taken.add(column.lower())


def _csv_cells(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _keys(lines: list[str], path: Path) -> list[str]:
    found: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            continue  # Spark puts it into rejects
        if not isinstance(record, dict):
            raise UserError(f"--input {path} line {number} is no JSON object; write one object with names a line")
        found |= dict.fromkeys(record)
    return list(found)


def _first_lines(path: Path, count: int) -> list[str]:
    """The first lines of a text file; a gz file is read to its end, so that a truncated one ends here."""
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(path.open("rb"))
            packed = path.suffix.lower() == ".gz"
            stream = stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw
            lines = list(islice(iter(lambda: stream.readline(HEAD_BYTES), b""), count))
            while packed and stream.read(HEAD_BYTES):
                pass
        return [line.decode("utf-8") for line in lines]
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"--input {path} cannot be read ({error}); give it whole, plain or as .gz") from None
    except UnicodeDecodeError:
        raise UserError(
            f"--input {path} is not UTF-8; convert it first, for instance with iconv -f cp949 -t utf-8"
        ) from None
