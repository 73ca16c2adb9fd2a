"""Reads plain lines (EP feeds, TSV) in parallel: Spark splits the files, column expressions do the rest.

Only Java code touches the rows, so a feed is read about as fast as Spark's own CSV reader reads it. What that cannot
tell, the byte offset of a row, is found afterwards for the few rows that are rejected (`positions.py`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lib.errors import UserError
from lib.sources.columns import CONTROL, Columns, check_header
from lib.sources.staging import Part

BOM = b"\xef\xbb\xbf"
REPLACEMENT = "\ufffd"  # what Java puts where bytes cannot be decoded; no CP949 text can contain it
# monotonically_increasing_id: partition in the upper bits, row in the partition in the lower 33.
ROW_IN_PARTITION = (1 << 33) - 1
TAB = "\t"
# A line without control characters (tabs and LINE_ENDS apart), as nearly all are. Java tells so in one run over it,
# much faster than it looks for CONTROL; two ranges only, as each costs. What is beyond them is looked at closer.
CLEAN = r"\A[\xa0-\uffff\x20-\x7e\t]*+\z"
# The two among those ranges: to look for their bytes is cheaper than a third range.
LINE_ENDS = ("\u2028", "\u2029")


@dataclass(frozen=True)
class Header:
    """The first line of one or more files.

    Attributes:
        text: it, decoded, without byte order mark (which Spark leaves off too) and line end.
        names: the column names in order.
    """

    text: str
    names: tuple[str, ...]


def by_header(
    files: Sequence[Sequence[Part]], columns: Columns, separator: str, longest: int
) -> dict[Header, list[Part]]:
    """Parts grouped by what their file's first line says, so that malls may order their columns as they like.

    Raises:
        UserError: a file has no header, or one that lacks a required column or has one twice.
    """
    groups: dict[Header, list[Part]] = defaultdict(list)
    for parts in files:
        groups[read_header(parts[0], columns, separator, longest)] += parts
    return dict(groups)


def read_header(part: Part, columns: Columns, separator: str, longest: int) -> Header:
    """The header of the file whose first part this is."""
    file, encoding = part.delivery.file, part.delivery.encoding
    with part.path.open("rb") as stream:
        line = stream.readline(longest + 1).rstrip(b"\n").removeprefix(BOM)
    if not line:
        raise UserError(f"{file} is empty or begins with an empty line; deliver it with a header line")
    if b"\0" in line:
        raise UserError(f"{file} is a binary file, not lines of text; deliver it as text, or compressed as .gz or .xz")
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        raise UserError(f"{file}: its first line is not {encoding}; declare the source's encoding") from None
    names = [name.strip() for name in text.rstrip("\r").split(separator)]
    return Header(text.rstrip("\r"), tuple(check_header(names, columns, file)))


def read_lines(spark: SparkSession, parts: Sequence[Part], header: Header, separator: str, longest: int) -> DataFrame:
    """Every line of the parts, the headers included.

    Returns:
        part, block and block_bytes (where Spark cut the part), row (order within the partition), position and file
        (null: the part tells), raw (binary), problem (a code, or null), cells (texts in the header's order).
    """
    lines = spark.read.text([str(part.path) for part in parts], lineSep="\n").select(
        F.substring("_metadata.file_name", 2, 19).cast("long").alias("part"),
        F.col("_metadata.file_block_start").alias("block"),
        F.col("_metadata.file_block_length").alias("block_bytes"),
        F.monotonically_increasing_id().bitwiseAND(F.lit(ROW_IN_PARTITION)).alias("row"),
        F.lit(None).cast("long").alias("position"),
        F.col("value"),
    )
    lines = lines.withColumn("text", _decoded(parts)).withColumn("clean", _clean(F.col("text")))
    # One more than there should be: a longer line shows as too long, and a million tabs make no million cells.
    cells = F.split(_without_controls(separator), _quoted(separator), len(header.names) + 1)
    read = lines.withColumn("cells", cells)
    return read.select(
        "part", "block", "block_bytes", "row", "position", F.lit(None).cast("string").alias("file"),
        F.col("value").cast("binary").alias("raw"),
        _problem(header, longest).alias("problem"),
        "cells",
    )  # fmt: skip


def _decoded(parts: Sequence[Part]) -> Column:
    """The line as text without its line end; null where bytes cannot be decoded."""
    value = F.col("value")
    utf8 = F.when(F.is_valid_utf8(value), value)
    others = [part.number for part in parts if part.delivery.encoding == "cp949"]
    if not others:
        return _without_line_end(utf8)
    # Needs spark.sql.legacy.javaCharsets and codingErrorAction (lib/session.py): else Spark knows no CP949.
    decoded = F.decode(value.cast("binary"), "MS949")
    cp949 = F.when(~decoded.contains(REPLACEMENT), decoded)
    return _without_line_end(F.when(F.col("part").isin(others), cp949).otherwise(utf8))


def _without_line_end(text: Column) -> Column:
    """The text without what is left of its line end; `rtrim` takes every line to pieces, so it is asked first."""
    return F.when(text.endswith("\r"), F.rtrim(text, F.lit("\r"))).otherwise(text)


def _clean(text: Column) -> Column:
    """Whether the text holds no control characters but tabs."""
    return text.rlike(CLEAN) & ~text.contains(LINE_ENDS[0]) & ~text.contains(LINE_ENDS[1])


def _without_controls(separator: str) -> Column:
    """The text with blanks for control characters; a tab is one where it separates nothing."""
    text, clean, controls = F.col("text"), F.col("clean"), CONTROL
    if separator == TAB:
        controls = f"(?!\\t){CONTROL}"
    else:
        clean = clean & ~text.contains(TAB)
    return F.when(clean, text).otherwise(F.regexp_replace(text, controls, " "))


def _quoted(separator: str) -> str:
    return f"\\{separator}" if separator in "|.^$*+?()[]{}\\" else separator


def _problem(header: Header, longest: int) -> Column:
    """Why the line cannot be read as a row, or null."""
    text, width, size = F.col("text"), len(header.names), F.size("cells")
    return (
        F.when(F.octet_length("value") > longest, "overlong_line")
        .when(text.isNull(), "undecodable")
        .when(text.isin(header.text, BOM.decode() + header.text), "repeated_header")
        .when(~F.col("clean") & (F.instr(text, "\0") > 0), "nul_byte")
        .when(size < width, "too_few_fields")
        .when(size > width, "too_many_fields")
    )
