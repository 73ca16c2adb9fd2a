"""What people are given to answer: a CSV sheet, and a page that makes the same sheet in their browser.

The sheet of an audit shows neither the given label nor what the machine says, which people would follow; that of the
review queue offers the machine's most probable categories.
"""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.artefact import write_whole
from lib.categories.taxonomy import Leaf
from lib.errors import UserError
from lib.images.thumbnails import thumbnails
from lib.review import form
from lib.review.cells import neutralised, shown
from lib.sources.latest import latest_products
from lib.text.tokens import MALL_LEVELS
from schemas.products import PRODUCTS

LOG = logging.getLogger(__name__)
# What an answered sheet needs to have; the columns beside them are for people's eyes.
ANSWER_COLUMNS = ("sheet", "product_id", "cat_id", "remark")
COLUMNS = ("sheet", "product_id", "name", "mall", "mall_category", "suggestions", "cat_id", "remark")
# The answer where no category fits; leaf ids of platforms are numbers or codes.
NONE_FITS = "none"
# kind -> name of its files.
FILES = {"queue": "review", "audit": "audit"}
STEP = " > "
# Four names of the longest that a taxonomy may have (lib/categories/taxonomy.py).
LONGEST_PATH = 1000


@dataclass(frozen=True)
class Category:
    """A leaf that an offer can be put into, and its path as one text."""

    cat_id: str
    path: str


@dataclass(frozen=True)
class Offer:
    """One line of a sheet.

    Attributes:
        suggestions: categories offered first.
        picture: a small JPEG as a data URI; None where the month has none.
    """

    product_id: str
    name: str
    mall: str
    mall_category: str
    suggestions: tuple[Category, ...] = ()
    picture: str | None = None


@dataclass(frozen=True)
class Sheet:
    """A month's sheet of one kind."""

    month: str
    kind: str
    offers: tuple[Offer, ...]
    categories: tuple[Category, ...]

    @property
    def name(self) -> str:
        """What every row of it carries, so that no row gets into another month's answers."""
        return sheet_name(self.kind, self.month)


def sheet_name(kind: str, month: str) -> str:
    """The first cell of each row. A month alone would be taken for a date by spreadsheets, and rewritten."""
    return f"{FILES[kind]} {month}"


def categories_of(leaves: Sequence[Leaf]) -> tuple[Category, ...]:
    """The living leaves in the order of their paths.

    Raises:
        UserError: the id of one would be read back as the answer that none fits.
    """
    alive = [leaf for leaf in leaves if leaf.replaced_by is None]
    if any(leaf.cat_id == NONE_FITS for leaf in alive):
        raise UserError(
            f"the taxonomy has a leaf with the id {NONE_FITS!r}, which on a sheet says that no category fits; "
            "give that leaf another id"
        )
    named = [Category(leaf.cat_id, shown(STEP.join(leaf.path), LONGEST_PATH)) for leaf in alive]
    return tuple(sorted(named, key=lambda category: (category.path, category.cat_id)))


def offers_of(
    spark: SparkSession,
    warehouse: str,
    month: str,
    product_ids: Sequence[str],
    length: int,
    suggested: Mapping[str, Sequence[Category]] | None = None,
) -> tuple[Offer, ...]:
    """The sheet's lines, in the order of the products; those that the month no longer delivers are left out.

    Args:
        product_ids: as many as people are asked at once.
        length: characters of a name that are shown.
        suggested: product_id -> categories offered first.
    """
    wanted = spark.createDataFrame([(one,) for one in product_ids], "product_id string")
    products = latest_products(tables.read(spark, warehouse, PRODUCTS, month=month))
    found = {
        row["product_id"]: row for row in _texts(products.join(F.broadcast(wanted), "product_id", how="left_semi"))
    }
    pictures = thumbnails(spark, warehouse, month, product_ids)

    def offer(product_id: str) -> Offer:
        name, mall, category = (shown(found[product_id][key], length) for key in ("prod_nm", "mall", "category"))
        chosen = tuple((suggested or {}).get(product_id, ()))
        return Offer(product_id, name, mall, category, chosen, pictures.get(product_id))

    return tuple(offer(product_id) for product_id in product_ids if product_id in found)


def write(sheet: Sheet, folder: str) -> dict[str, str]:
    """Write both files of the sheet under <folder>/<month>/; one that people have filled in there is kept beside it.

    Returns:
        {'csv', 'form'}: their paths within the folder.
    """
    place = Path(folder) / sheet.month / FILES[sheet.kind]
    if _is_filled_in(place.with_suffix(".csv")):
        kept = place.with_name(f"{place.name}-kept-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.csv")
        place.with_suffix(".csv").rename(kept)
        LOG.warning("the sheet %s.csv was filled in; it is kept as %s", place, kept.name)
    write_whole(place.with_suffix(".csv"), as_csv(sheet))
    write_whole(place.with_suffix(".html"), as_form(sheet))
    within = f"{sheet.month}/{FILES[sheet.kind]}"
    return {"csv": f"{within}.csv", "form": f"{within}.html"}


def _is_filled_in(place: Path) -> bool:
    """Whether a sheet holds answers, or was saved by another program so that nobody can tell."""
    if not place.is_file():
        return False
    try:
        with place.open(encoding="utf-8-sig", newline="") as stream:
            return any(row.get("cat_id") != "" or row.get("remark") != "" for row in csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error):
        return True


def as_csv(sheet: Sheet) -> str:
    """The sheet as text, with the mark by which Excel knows UTF-8."""
    stream = io.StringIO()
    stream.write("\ufeff")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for offer in sheet.offers:
        suggestions = "; ".join(f"{one.cat_id} {one.path}" for one in offer.suggestions)
        cells = (sheet.name, offer.product_id, offer.name, offer.mall, offer.mall_category, suggestions, "", "")
        writer.writerow([neutralised(cell) for cell in cells])
    return stream.getvalue()


def as_form(sheet: Sheet) -> str:
    """The sheet as a page."""
    return form.render(
        title=sheet.name,
        blind=sheet.kind == "audit",
        columns=ANSWER_COLUMNS,
        none_fits=NONE_FITS,
        offers=sheet.offers,
        categories=sheet.categories,
    )


def _texts(products: DataFrame) -> list[dict[str, str]]:
    rows = products.select(
        "product_id",
        "prod_nm",
        F.coalesce("mall_nm", "mall_id").alias("mall"),
        F.concat_ws(STEP, *MALL_LEVELS).alias("category"),
    )
    return [row.asDict() for row in rows.collect()]
