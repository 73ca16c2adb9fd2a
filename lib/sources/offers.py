"""From cells to offers: the fields of `products`, each checked and bounded, and the reasons why a row is none.

What is rejected and what is not: an offer without id, mall or name, or with an over-long name, cannot be worked with.
A price that is there but is no amount is a sign of shifted columns, so the row is rejected; an absent price is null.
An over-long brand or category is noise and counts as absent, as does a picture that is not on the web. A category that
the taxonomy does not know is kept as delivered: the taxonomy belongs to `normalize`, and an unlabelled offer is still
an offer.
"""

import operator
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lib.config import CategoryPath, IngestSettings, RowFilter, Source
from lib.sources.columns import API_PATH, PATH, Columns

TEXT_FIELDS = ("mall_cat_nm_1", "mall_cat_nm_2", "mall_cat_nm_3", "mall_cat_nm_4", "brnd_nm", "maker_nm",
               "mall_brnd_nm", "mall_maker_nm")  # fmt: skip
# What carries a row through duplicates and positions, beside the fields of `products`.
TRACE = ("part", "block", "row", "position", "file", "raw")
LONGEST_ID = 200
LONGEST_URL = 2048
# Blanks that are none to `trim`: no-break, ideographic and zero-width space, byte order mark.
BLANKS = " \u00a0\u3000\u200b\ufeff"
LEVELS = 4
# No exponents: '1e-40' is a damaged number and no price of nothing.
AMOUNT = r"\A[0-9]*[.]?[0-9]*\z"
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def offers(
    records: DataFrame, places: Mapping[str, int], columns: Columns, source: Source, settings: IngestSettings
) -> DataFrame:
    """Offers of one source, good and bad.

    Args:
        records: TRACE, problem, cells, and mall, mall_name where files are named after malls.
        places: column -> index in cells.

    Returns:
        TRACE, valid, reasons (codes; null when valid), the fields of `products` but month and batch, and path (the
        platform's category path of API items, for the taxonomy).
    """
    cell = _Cells(places, columns, source)
    identity = F.concat(F.col("mall_id"), F.lit(":"), F.col("own_id"))
    # Each cell is trimmed once: Spark does not merge steps whose results are used more than once.
    trimmed = records.select(
        *TRACE, "problem", "cells", "mall", "mall_name",
        *[F.trim(F.get("cells", F.lit(places[name]))).alias(_cell(name, places)) for name in cell.read()],
    )  # fmt: skip
    fields = trimmed.select(
        *TRACE,
        "problem",
        F.trim(cell.own_id(), F.lit(BLANKS)).alias("own_id"),
        _without_outer_blanks(cell.field("prod_nm")).alias("prod_nm"),
        cell.mall_id().alias("mall_id"),
        cell.mall_name().alias("mall_nm"),
        *[cell.text(field, settings.max_field_length).alias(field) for field in TEXT_FIELDS],
        cell.field("price").alias("price_text"),
        cell.image().alias("image_url"),
        cell.cat_id().alias("cat_id"),
        cell.path().alias("path"),
        cell.excluded().alias("excluded"),
    ).withColumns({"price": _price(F.col("price_text")), "row": _not_to_be_moved(F.col("row"))})
    checks = _checks(settings)
    wrong = F.lit(False)
    for condition in checks.values():
        wrong = wrong | condition
    return fields.select(
        *TRACE,
        (F.col("problem").isNull() & ~wrong).alias("valid"),
        _reasons(checks, wrong).alias("reasons"),
        identity.alias("product_id"),
        "prod_nm", "mall_id", "mall_nm", *TEXT_FIELDS, "price", "image_url", "cat_id",
        F.lit(source.name).alias("source"),
        "path",
    )  # fmt: skip


def _checks(settings: IngestSettings) -> dict[str, Column]:
    """Reason code -> condition (never null) that gives a row this reason."""
    price = F.col("price")
    return {
        "no_id": F.coalesce(F.col("own_id") == "", F.lit(True)),
        "bad_id": F.coalesce(F.length("own_id") > LONGEST_ID, F.lit(False)),
        "no_mall": F.col("mall_id").isNull(),
        "bad_mall": F.coalesce(F.length("mall_id") > LONGEST_ID, F.lit(False)),
        "empty_name": F.coalesce(F.col("prod_nm") == "", F.lit(True)),
        "name_too_long": F.coalesce(F.length("prod_nm") > settings.max_name_length, F.lit(False)),
        "bad_price": F.col("price_text").isNotNull() & F.coalesce(price < 0, F.lit(True)),
        "excluded_by_filter": F.col("excluded"),
    }


def _reasons(checks: Mapping[str, Column], wrong: Column) -> Column:
    """What cannot be read as a row has that one reason; else all that apply. They are listed only where one does."""
    # Joined and split again, as Spark filters an array without compiling the step.
    codes = F.split(F.concat_ws(" ", *[F.when(condition, F.lit(code)) for code, condition in checks.items()]), " ")
    return F.when(F.col("problem").isNotNull(), F.array("problem")).when(wrong, codes)


class _Cells:
    """Columns of a source as expressions."""

    def __init__(self, places: Mapping[str, int], columns: Columns, source: Source) -> None:
        self.places, self.columns, self.source = places, columns, source

    def read(self) -> list[str]:
        """The wanted columns that are there."""
        return [name for name in self.columns.wanted if name in self.places]

    def column(self, name: str, longest: int | None = None) -> Column:
        """The column's text without outer blanks; null where it is empty, absent, too long or says 'no value'."""
        if name not in self.places:
            return F.lit(None).cast("string")
        text = F.col(_cell(name, self.places))
        says = ~text.isin("", *self.source.missing)
        return F.when(says if longest is None else says & (F.length(text) <= longest), text)

    def field(self, field: str, longest: int | None = None) -> Column:
        """An offer field, from its column or as conf's constant; null where it is longer than it may be."""
        if field in self.source.constants:
            constant = self.source.constants[field]
            return F.lit(None if longest is not None and len(constant) > longest else constant).cast("string")
        name = self.columns.fields.get(field)
        return F.lit(None).cast("string") if name is None else self.column(name, longest)

    def own_id(self) -> Column:
        """The mall's id of the offer; where none is delivered, a hash of the record."""
        if "id" in self.columns.fields or "id" in self.source.constants:
            return self.field("id")
        return F.md5(F.concat_ws("\t", F.col("raw").cast("string"), "cells"))

    def mall_id(self) -> Column:
        """The mall; a colon in a delivered name is written %3A, so that product_id stays unambiguous."""
        if "mall_id" in self.columns.fields or "mall_id" in self.source.constants:
            return F.replace(F.replace(self.field("mall_id"), F.lit("%"), F.lit("%25")), F.lit(":"), F.lit("%3A"))
        return F.col("mall")

    def mall_name(self) -> Column:
        """The mall's display name."""
        return F.coalesce(self.field("mall_nm"), F.col("mall_name"))

    def text(self, field: str, longest: int) -> Column:
        """A text field, null where it is too long; a mall category may come from a column with the whole path."""
        path = self.source.category_path
        if path is None or not field.startswith("mall_cat_nm_") or field in self.columns.fields:
            return self.field(field, longest)
        levels = self._levels(path)
        if path.label is not None:
            label = _place(path.label, levels)
            levels = F.filter(levels, lambda _, place: place != label)
        named = F.filter(levels, lambda level: level != F.lit(""))
        return _bounded(F.get(named, F.lit(int(field[-1]) - 1)), longest)

    def cat_id(self) -> Column:
        """The platform's category: delivered as such, or a level of the column with the whole path."""
        path = self.source.category_path
        if path is None or path.label is None:
            return self.field("cat_id", LONGEST_ID)
        levels = self._levels(path)
        return _bounded(F.nullif(F.get(levels, _place(path.label, levels)), F.lit("")), LONGEST_ID)

    def _levels(self, path: CategoryPath) -> Column:
        """The names of a category path, from the top down; '' in the place of one that is missing, but in the end."""
        whole = F.trim(self.column(path.column), F.lit(f"{BLANKS}{path.strip}"))
        separator = re.escape(path.separator)
        ended = F.regexp_replace(whole, f"(?:[{BLANKS}]*{separator})+$", "")
        return F.transform(F.split(ended, separator), lambda level: F.trim(level, F.lit(BLANKS)))

    def image(self) -> Column:
        """The picture's address; null unless it is one on the web."""
        url = self.field("image_url")
        scheme = F.lower(F.substring(url, 1, len("https://")))
        on_web = (scheme.startswith("http://") | (scheme == "https://")) & ~url.contains(" ")
        return F.when(on_web & (F.length(url) <= LONGEST_URL), url)

    def path(self) -> Column:
        """The platform's category path of an API item or page as one text; null for other kinds."""
        if self.source.kind == "pages":
            return self.column(PATH)
        if self.source.kind != "api":
            return F.lit(None).cast("string")
        return F.concat_ws("\t", *[self.column(name) for name in API_PATH])

    def excluded(self) -> Column:
        """Whether one of the source's filters leaves the row out."""
        kept = F.lit(True)
        for row_filter in self.source.filters:
            kept = kept & F.coalesce(self._passes(row_filter), F.lit(False))
        return ~kept

    def _passes(self, row_filter: RowFilter) -> Column:
        text = self.column(row_filter.column)
        value = text.try_cast("double") if isinstance(row_filter.value, float) else text
        passed: Column = _COMPARE[row_filter.is_](value, F.lit(row_filter.value))
        return passed


def _not_to_be_moved(number: Column) -> Column:
    """The same number; in its step, as Spark sees it, chance has a part.

    Spark moves a condition on later columns below the steps that made them, and makes them again for each mention:
    'valid' names the cells so often that a line would be split some thirty times. It never does so past chance.
    """
    return number + F.spark_partition_id() * 0


def _cell(name: str, places: Mapping[str, int]) -> str:
    """Name of a trimmed cell: its place, so that no delivered name can clash with ours."""
    return f"cell_{places[name]}"


def _place(label: int, levels: Column) -> Column:
    """Where a level lies in the array, from 0."""
    return F.size(levels) - 1 if label < 0 else F.lit(label - 1)


def _bounded(text: Column, longest: int) -> Column:
    return F.when(F.length(text) <= longest, text)


def _without_outer_blanks(text: Column) -> Column:
    """The text without BLANKS around it; `rtrim` takes every text to pieces, so its end is looked at first."""
    left = F.ltrim(text, F.lit(BLANKS))
    trailing = reduce(operator.or_, [text.endswith(blank) for blank in BLANKS])
    return F.when(trailing, F.rtrim(left, F.lit(BLANKS))).otherwise(left)


def _price(text: Column) -> Column:
    """A whole amount: '9800', '9,800원', '1899.0' (cut to whole); null where it is none."""
    plain = F.regexp_replace(text, "[,\\s\u20a9원]", "")
    amount = F.when(plain.rlike(AMOUNT), F.floor(plain.try_cast("decimal(20,4)")).try_cast("bigint"))
    return F.coalesce(text.try_cast("bigint"), amount)
