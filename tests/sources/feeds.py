"""Small feeds and sources for the tests of this folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lib.config import IngestSettings, Source
from lib.sources.sorting import sort_out
from lib.sources.staging import Staging

COLUMNS = (
    "id", "title", "price_pc", "link", "image_link", "category_name1", "category_name2", "category_name3",
    "category_name4", "naver_category", "brand", "maker",
)  # fmt: skip
HEADER = "\t".join(COLUMNS)
MONTH = "2026-01"


def row(own_id: str, title: str, price: str = "1000", image: str = "http://i.example/1.jpg") -> str:
    """One well-formed line of an EP feed, without its newline."""
    return f"{own_id}\t{title}\t{price}\thttp://l.example\t{image}\t의류\t상의\t\t\t50000167\t브랜드\t제조사"


def feed(*lines: str) -> str:
    """A feed with header."""
    return "".join(f"{line}\n" for line in (HEADER, *lines))


def ep(folder: Path, **more: Any) -> Source:
    """A source of EP feeds named after malls."""
    return Source(name="malls", kind="ep", path=f"{folder}/*.tsv*", **more)


def settings(folder: Path, *sources: Source, **more: Any) -> IngestSettings:
    """Ingest settings that stage beside the folder."""
    return IngestSettings(sources=list(sources), staging=str(folder / "staging"), **more)


def sorted_rows(
    spark: SparkSession, given: IngestSettings, sources: Sequence[Source] | None = None
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], int]:
    """(products by id, rejects by file and position, records) of what the sources deliver."""
    with Staging(given.staging, given.max_bytes) as staging:
        found = sort_out(spark, given, sources or given.sources, MONTH, staging)
        products = [line.asDict() for line in found.products.collect()]
        rejects = [line.asDict() for line in found.rejects.orderBy("file", "position").collect()]
    by_id = {line["product_id"]: line for line in products}
    assert len(by_id) == len(products), "a product_id is there twice"
    assert found.records == len(products) + len(rejects), "a record was lost or doubled"
    assert found.any_good == bool(products)
    for reject in rejects:
        reject["file"] = Path(reject["file"]).name
        reject["raw"] = bytes(reject["raw"])
    return by_id, rejects, found.records
