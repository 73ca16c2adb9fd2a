"""Answered sheets, read back into `reviews`: checked whole, and either taken whole or not at all.

A sheet went through strangers' hands and programs: it may be another month's, another file altogether, cut short, in
another encoding, or have lines twice. Whatever is wrong with it is one sentence, and nothing is stored.
"""

import csv
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.categories.taxonomy import leaves_of
from lib.config import ReviewSettings
from lib.errors import UserError
from lib.review import audit
from lib.review.cells import plain, shown
from lib.review.sheet import ANSWER_COLUMNS, NONE_FITS, sheet_name
from schemas.reviews import NOBODY, REVIEWS
from schemas.taxonomy import TAXONOMY

LONGEST_REVIEWER = 100
# How much of a wrong value an error message shows.
SHOWN = 60


@dataclass(frozen=True)
class Asked:
    """What a month's people were asked.

    Attributes:
        sheet: what the first cell of each row says.
        product_ids: the offers that were sent to them.
        categories: ids that may be answers.
    """

    sheet: str
    month: str
    product_ids: frozenset[str]
    categories: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """What a person said of one offer; no category: none fits."""

    product_id: str
    cat_id: str | None
    remark: str | None


def take(
    spark: SparkSession, warehouse: str, month: str, kind: str, sheet: str | None, reviewer: str | None,
    settings: ReviewSettings,
) -> int:  # fmt: skip
    """Read an answered sheet and put its answers into `reviews` in one commit; handed in twice it changes nothing.

    Args:
        sheet, reviewer: what was answered, and who did it; None both where nothing was handed in.

    Returns:
        How many offers were answered.

    Raises:
        UserError: one of them is missing, or anything is wrong with the sheet or the name; nothing was stored.
    """
    if sheet is None and reviewer is None:
        return 0
    name = checked_reviewer(reviewer)
    if not sheet:
        raise UserError(f"--reviewer {name} needs --answers FILE: the sheet that was answered")
    answers = read_answers(Path(sheet), asked(spark, warehouse, month, kind), settings)
    noted = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows = [(month, kind, one.product_id, name, one.cat_id, one.remark, None, noted) for one in answers]
    frame = spark.createDataFrame(rows, REVIEWS.struct).coalesce(1)
    tables.merge(frame, warehouse, REVIEWS, {"month": month, "kind": kind})
    return len(rows)


def checked_reviewer(reviewer: str | None) -> str:
    """The name, if it is one; written the same way wherever it comes from, as two spellings would be two people.

    Raises:
        UserError: it is absent, too long, or not one line of visible text.
    """
    if not reviewer:
        raise UserError("--answers needs --reviewer NAME: who answered the sheet, always by the same name")
    if reviewer != shown(reviewer, LONGEST_REVIEWER):
        raise UserError(
            f"--reviewer {_quoted(reviewer)} is no name: give one line of at most {LONGEST_REVIEWER} characters"
        )
    return unicodedata.normalize("NFC", reviewer)


def asked(spark: SparkSession, warehouse: str, month: str, kind: str) -> Asked:
    """What people may have answered.

    Raises:
        UserError: nothing was sent to them.
    """
    if kind == "audit":
        sent = audit.stored(spark, warehouse, month)
    else:
        reviews = tables.read_if_there(spark, warehouse, REVIEWS, month=month, kind=kind)
        sent = reviews.where(F.col("reviewer") == NOBODY)
    product_ids = frozenset(row["product_id"] for row in sent.select("product_id").collect())
    if not product_ids:
        job = {"audit": "validation_set", "queue": "review"}[kind]
        raise UserError(f"no offers of {month} were sent to people; run jobs/{job}.py --month {month} first")
    leaves = leaves_of(tables.read_month(spark, warehouse, TAXONOMY, month))
    alive = frozenset(leaf.cat_id for leaf in leaves if leaf.replaced_by is None)
    return Asked(sheet_name(kind, month), month, product_ids, alive)


def read_answers(place: Path, asked: Asked, settings: ReviewSettings) -> list[Answer]:
    """The answers of a sheet; rows without one are left out.

    Raises:
        UserError: it cannot be read, is of another month or kind, or rows of it cannot be taken: how many, and why the
            first of them.
    """
    answers: dict[str, Answer] = {}
    problems: list[str] = []
    for line, row in _rows(place, settings):
        if row["sheet"] != asked.sheet:
            raise UserError(
                f"{place}, line {line}: this is a row of the sheet {_quoted(row['sheet'])}, and you hand in "
                f"{asked.sheet!r}; name the month and the job that the sheet is of"
            )
        if not row["cat_id"].strip():
            continue
        problem = _problem(row, asked, answers, settings)
        if problem:
            problems.append(f"line {line}: {problem}")
        else:
            answer = row["cat_id"].strip()
            answers[row["product_id"]] = Answer(
                row["product_id"], None if answer == NONE_FITS else answer, row["remark"].strip() or None
            )
    if problems:
        raise UserError(
            f"{place}: {len(problems)} row{'s' if len(problems) > 1 else ''} cannot be taken, the first in "
            f"{problems[0]}; mend the sheet and hand it in again, as nothing of it was stored"
        )
    if not answers:
        raise UserError(f"{place} has no answers; fill in column cat_id, or {NONE_FITS!r} where no category fits")
    return list(answers.values())


def _problem(row: dict[str, str], asked: Asked, answers: dict[str, Answer], settings: ReviewSettings) -> str | None:
    """What is wrong with an answered row, if anything."""
    product_id, answer = row["product_id"], row["cat_id"].strip()
    if max(map(len, row.values())) > settings.max_cell:
        return f"a cell has more than {settings.max_cell} characters (review.max_cell)"
    if product_id not in asked.product_ids:
        return f"product {_quoted(product_id)} was not sent to people in {asked.month}"
    if product_id in answers:
        return f"product {_quoted(product_id)} is answered twice"
    if answer != NONE_FITS and answer not in asked.categories:
        return f"{_quoted(answer)} is no living category of {asked.month} (or {NONE_FITS!r} where none fits)"
    return None


def _rows(place: Path, settings: ReviewSettings) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells of each row of the sheet, of the columns of answers."""
    try:
        _check_file(place, settings)
        with place.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            _check_header(place, header)
            for number, cells in enumerate(reader, start=1):
                if not any(cells):
                    continue
                if number > settings.max_rows:
                    raise UserError(f"{place} has more than {settings.max_rows} rows (review.max_rows); is it a sheet?")
                if len(cells) != len(header):
                    raise UserError(
                        f"{place}, line {reader.line_num}: {len(cells)} cells where the first line names "
                        f"{len(header)}; save the sheet as comma-separated CSV, as it was"
                    )
                row = dict(zip(header, cells, strict=True))
                yield reader.line_num, {name: plain(row[name]) for name in ANSWER_COLUMNS}
    except UnicodeDecodeError:
        raise UserError(f"{place} is not UTF-8 text; save the sheet as 'CSV UTF-8', not as plain CSV") from None
    except OSError as error:
        raise UserError(f"--answers {place} cannot be read ({error.strerror}); name the answered sheet") from None
    except csv.Error as error:
        raise UserError(f"{place} is no CSV ({error}); save the sheet as comma-separated CSV, as it was") from None


def _check_file(place: Path, settings: ReviewSettings) -> None:
    if not place.is_file():
        raise UserError(f"--answers {place}: there is no such file; name the answered sheet")
    size, most = place.stat().st_size, settings.max_rows * settings.max_cell
    if size > most:
        raise UserError(
            f"{place} has {size} bytes, more than review.max_rows * review.max_cell = {most}; is it a sheet?"
        )


def _check_header(place: Path, header: list[str]) -> None:
    missing = [name for name in ANSWER_COLUMNS if header.count(name) != 1]
    if missing:
        raise UserError(
            f"{place}: the first line must name {', '.join(ANSWER_COLUMNS)} once each, separated by commas, and "
            f"{missing[0]} is not there once; hand in the sheet as it was, with its first line"
        )


def _quoted(text: str) -> str:
    """A stranger's text as an error message shows it: one line, and not too long."""
    return repr(text[:SHOWN])
