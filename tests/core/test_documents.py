"""docs that are written by commands are what those commands write now."""

from benchmarks import result
from schemas import document


def test_tables_page_is_current() -> None:
    assert document.PAGE.read_text(encoding="utf-8") == document.render(), "run make tables"


def test_results_page_is_current() -> None:
    page = result.RESULTS.parent / "results.md"
    assert page.read_text(encoding="utf-8") == result.render(), "run make tables"


def test_every_schema_module_is_on_the_page() -> None:
    folder = document.PAGE.parent.parent / "schemas"
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__", "table", "document"}
    assert modules == {table.name for table in document.TABLES}
