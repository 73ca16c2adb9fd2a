"""What the columns of each kind of delivery mean: offer field <- column, and which columns must be there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.config import Source
from lib.crawl.parsers import api_json
from lib.crawl.parsers.item import FIELDS
from lib.errors import UserError

# Control characters, and the separators that some readers take for line ends: a name has no use for them. (NUL is a
# reason to reject.) The same pattern serves Java's regular expressions and Python's.
CONTROL = "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]"

# Shopping EP 3.0. Brand and maker are what the mall wrote; the platform's own come from elsewhere.
EP_FIELDS = {
    "id": "id",
    "prod_nm": "title",
    "price": "price_pc",
    "image_url": "image_link",
    "mall_cat_nm_1": "category_name1",
    "mall_cat_nm_2": "category_name2",
    "mall_cat_nm_3": "category_name3",
    "mall_cat_nm_4": "category_name4",
    "cat_id": "naver_category",
    "mall_brnd_nm": "brand",
    "mall_maker_nm": "maker",
}
# Search API shop.json. category1..4 are the platform's own path, the label spelled out: they never become the mall's
# category, which the model may look at.
API_FIELDS, API_PATH = api_json.KEYS, api_json.PATH_KEYS
# What the parsers of pages find beside offer fields: the platform's own path, for the taxonomy.
PATH = "path"
PAGE_FIELDS = {field: field for field in FIELDS if field != PATH}


@dataclass(frozen=True)
class Columns:
    """The meaning of a source's columns.

    Attributes:
        fields: offer field -> column.
        wanted: every column that is looked at, in the order in which readers give their cells.
        required: those of them that a file with a header must have.
    """

    fields: Mapping[str, str]
    wanted: tuple[str, ...]
    required: tuple[str, ...]


def columns_of(source: Source) -> Columns:
    """The meaning of the source's columns, by its kind."""
    filtered = [row_filter.column for row_filter in source.filters]
    if source.kind == "ep":
        return _columns(EP_FIELDS, filtered, ["id", "title", *filtered])
    if source.kind == "pages":
        return _columns(PAGE_FIELDS, [PATH], [])
    if source.kind == "api":
        return _columns(API_FIELDS, [*API_PATH, *filtered], [])
    fields: dict[str, str] = {str(field): column for field, column in source.columns.items()}
    more = [*filtered, *([source.category_path.column] if source.category_path else [])]
    # A column that conf names and the file lacks is a slip in one of the two.
    return _columns(fields, more, [*fields.values(), *more])


def _columns(fields: Mapping[str, str], more: Sequence[str], required: Sequence[str]) -> Columns:
    wanted = tuple(dict.fromkeys([*fields.values(), *more]))
    return Columns(fields, wanted, tuple(dict.fromkeys(required)))


def check_header(names: Sequence[str], columns: Columns, file: Path) -> list[str]:
    """The header's names, if all required ones are there and none twice.

    Raises:
        UserError: names the file, what is wrong and what it begins with.
    """
    missing = [name for name in columns.required if name not in names]
    if missing:
        begins = "\t".join(names)[:80]
        raise UserError(
            f"{file} has no column {', '.join(missing)}: its header begins {begins!r}; "
            "deliver it with a header line of the expected columns or correct ingest.sources"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{file}: its header names column {repeated[0][:60]!r} twice; deliver it with distinct columns")
    return list(names)
