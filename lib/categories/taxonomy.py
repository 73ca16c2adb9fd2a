"""A month's leaf categories, read from the platform's own list or from data that names its categories in each row.

The list is small (some 5,000 leaves, bounded by `categories.max_leaves`), so the driver reads it as a stream and
checks it whole: a wrong taxonomy would spoil every label of the month.
"""

import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib.config import CategoriesSettings, TaxonomySettings
from lib.errors import UserError
from schemas.taxonomy import TAXONOMY

# A category name on a shop's page has some 20 characters; past this the column is something else.
LONGEST_NAME = 200
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Leaf:
    """One leaf category.

    Attributes:
        cat_id: the platform's id.
        path: names from the top level down, 1 to 4.
        replaced_by: the leaf that took its place; None while it lives.
    """

    cat_id: str
    path: tuple[str, ...]
    replaced_by: str | None = None


def taxonomy_path(settings: TaxonomySettings, month: str) -> Path:
    """The month's file.

    Raises:
        UserError: it is not there.
    """
    found = Path(settings.path.replace("{month}", month))
    if not found.is_file():
        raise UserError(f"categories.taxonomy.path: there is no file {found}; deliver the taxonomy of {month} there")
    return found


def read_taxonomy(settings: CategoriesSettings, month: str) -> tuple[list[Leaf], int]:
    """The month's leaves in cat_id order, and how many rows gave a leaf another path than its first.

    Raises:
        UserError: the file cannot be read, an id or name is empty or there twice, or replaced_by leads nowhere.
    """
    place = taxonomy_path(settings.taxonomy, month)
    leaves: dict[str, Leaf] = {}
    conflicts = 0
    for line, leaf in _leaves(place, settings.taxonomy):
        known = leaves.setdefault(leaf.cat_id, leaf)
        if known is leaf:
            if len(leaves) > settings.max_leaves:
                raise UserError(
                    f"{place} names more than {settings.max_leaves} leaves (categories.max_leaves); "
                    f"is {settings.taxonomy.cat_id!r} really the column of the leaf's id?"
                )
        elif not settings.taxonomy.repeated:
            raise UserError(
                f"{place}, line {line}: leaf {leaf.cat_id!r} is there twice; "
                "keep one, or set categories.taxonomy.repeated for data that names its leaf in each row"
            )
        elif known.path != leaf.path:
            conflicts += 1
    if not leaves:
        raise UserError(f"{place} names no leaf; deliver the taxonomy of {month} there")
    living(leaves.values(), place)
    return [leaves[cat_id] for cat_id in sorted(leaves)], conflicts


def leaves_of_labels(rows: DataFrame, most: int) -> list[Leaf]:
    """The labels of offers as leaves of one level, in order: for data beside which there is no list.

    Args:
        rows: with a column cat_id.
        most: more are refused.

    Raises:
        UserError: there is no label, or there are more.
    """
    labels = rows.select("cat_id").where(F.col("cat_id").isNotNull()).distinct().limit(most + 1).collect()
    if not labels:
        raise UserError("categories.taxonomy.from_offers: no offer of the window has a cat_id; map a column to it")
    if len(labels) > most:
        raise UserError(
            f"categories.taxonomy.from_offers: the offers have more than {most} labels (categories.max_leaves); "
            "is the column of cat_id really a category?"
        )
    return [Leaf(cat_id, (cat_id,)) for cat_id in sorted(row["cat_id"] for row in labels)]


def living(leaves: Iterable[Leaf], place: Path | str = "taxonomy") -> dict[str, str]:
    """Every leaf's id -> the id of the living leaf that stands for it, `replaced_by` followed to its end.

    Raises:
        UserError: a replacement is unknown, or replacements go round in a circle.
    """
    by_id = {leaf.cat_id: leaf for leaf in leaves}
    return {cat_id: _end_of(cat_id, by_id, place) for cat_id in by_id}


def replaced_ones(leaves: Iterable[Leaf]) -> dict[str, list[str]]:
    """Every leaf's id -> its own and those of all whose place it took, at once or after others, in order.

    Replacements must not go round in a circle (`living` says so).
    """
    before: dict[str, list[str]] = {}
    ids = []
    for leaf in leaves:
        ids.append(leaf.cat_id)
        if leaf.replaced_by is not None:
            before.setdefault(leaf.replaced_by, []).append(leaf.cat_id)
    found = {}
    for cat_id in ids:
        reached = [cat_id]
        for one in reached:
            reached.extend(before.get(one, ()))
        found[cat_id] = sorted(reached)
    return found


def _end_of(cat_id: str, by_id: dict[str, Leaf], place: Path | str) -> str:
    seen = [cat_id]
    while (successor := by_id[seen[-1]].replaced_by) is not None:
        if successor not in by_id:
            raise UserError(f"{place}: leaf {seen[-1]!r} is replaced by {successor!r}, which is no leaf; list it too")
        if successor in seen:
            circle = " -> ".join([*seen[seen.index(successor) :], successor])
            raise UserError(f"{place}: replaced_by goes round in a circle ({circle}); let one of them live")
        seen.append(successor)
    return seen[-1]


def taxonomy_frame(spark: SparkSession, leaves: Sequence[Leaf], month: str) -> DataFrame:
    """The rows of table `taxonomy`."""
    rows = [(month, leaf.cat_id, list(leaf.path), leaf.replaced_by) for leaf in leaves]
    return spark.createDataFrame(rows, TAXONOMY.struct)


def leaves_of(taxonomy: DataFrame) -> list[Leaf]:
    """The leaves of a month's rows of table `taxonomy`, in cat_id order."""
    rows = taxonomy.select("cat_id", "path", "replaced_by").collect()
    return sorted((Leaf(row.cat_id, tuple(row.path), row.replaced_by) for row in rows), key=lambda leaf: leaf.cat_id)


def replacements(taxonomy: DataFrame) -> dict[str, str]:
    """cat_id -> the leaf that took its place, in rows of table `taxonomy`; of several months the latest says."""
    replaced = taxonomy.where(F.col("replaced_by").isNotNull()).select("month", "cat_id", "replaced_by")
    return {row.cat_id: row.replaced_by for row in replaced.orderBy("month").collect()}


def _leaves(place: Path, settings: TaxonomySettings) -> Iterator[tuple[int, Leaf]]:
    """(line number, leaf) of each row."""
    columns = [settings.cat_id, *settings.levels]
    if settings.replaced_by is not None:
        columns.append(settings.replaced_by)
    for line, row in _rows(place, settings.format):
        missing = [name for name in columns if row.get(name) is None]
        if missing:
            raise UserError(
                f"{place}, line {line}: no column {missing[0]!r} (it has {', '.join(map(str, row))}); "
                "name its columns in categories.taxonomy"
            )
        yield line, _leaf(row, settings, f"{place}, line {line}")


def _leaf(row: dict[str, str], settings: TaxonomySettings, where: str) -> Leaf:
    cat_id = row[settings.cat_id].strip()
    names = [row[name].strip() for name in settings.levels]
    path = tuple(name for name in names if name)
    if not cat_id:
        raise UserError(f"{where}: the leaf's id is empty; give it one")
    if not path or names[: len(path)] != list(path):
        raise UserError(f"{where}: leaf {cat_id!r} has an empty name above a filled one; fill the levels from the top")
    if any(len(name) > LONGEST_NAME or "\0" in name for name in (cat_id, *path)):
        raise UserError(
            f"{where}: leaf {cat_id[:40]!r} has a name of over {LONGEST_NAME} characters or with a NUL byte"
        )
    replaced_by = row[settings.replaced_by].strip() if settings.replaced_by is not None else ""
    return Leaf(cat_id, path, replaced_by or None)


def _rows(place: Path, layout: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, column -> text) of each row of a CSV or TSV file, plain, gz or xz."""
    quoting: Any = csv.QUOTE_NONE if layout == "tsv" else csv.QUOTE_MINIMAL
    opener = OPENERS.get(place.suffix, open)
    try:
        with opener(place, "rb") as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
            delimiter = "\t" if layout == "tsv" else ","
            reader: csv.DictReader[str] = csv.DictReader(text, delimiter=delimiter, quoting=quoting)
            for row in reader:
                yield reader.line_num, row
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"taxonomy {place} cannot be read ({error}); deliver it again as UTF-8 {layout}") from None
