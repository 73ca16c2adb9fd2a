"""Writes docs/tables.md from the very objects that readers and writers use: `python -m schemas.document`."""

from pathlib import Path

from schemas.audit_sample import AUDIT_SAMPLE
from schemas.brands import BRANDS
from schemas.frontier import FRONTIER
from schemas.image_features import IMAGE_FEATURES
from schemas.images import IMAGES
from schemas.label_doubts import LABEL_DOUBTS
from schemas.labels import LABELS
from schemas.lexicon import LEXICON
from schemas.metrics import METRICS
from schemas.pages import PAGES
from schemas.predictions import PREDICTIONS
from schemas.products import PRODUCTS
from schemas.rejects import REJECTS
from schemas.reviews import REVIEWS
from schemas.table import Table, WriteMode
from schemas.taxonomy import TAXONOMY
from schemas.token_counts import TOKEN_COUNTS
from schemas.tokens import TOKENS
from schemas.truth import TRUTH

# In the order in which a month fills them.
TABLES = (
    FRONTIER,
    PAGES,
    PRODUCTS,
    REJECTS,
    TRUTH,
    TAXONOMY,
    LABELS,
    LEXICON,
    TOKENS,
    TOKEN_COUNTS,
    BRANDS,
    IMAGES,
    IMAGE_FEATURES,
    LABEL_DOUBTS,
    PREDICTIONS,
    METRICS,
    AUDIT_SAMPLE,
    REVIEWS,
)
PAGE = Path(__file__).resolve().parent.parent / "docs" / "tables.md"
MODES = {
    WriteMode.REPLACE: "replaces the rows of one slice in one commit",
    WriteMode.APPEND_ONCE: "appends each round of a transaction at most once",
    WriteMode.MERGE: "merges by key",
    WriteMode.WRITE_ONCE: "writes a slice once and refuses other content later",
}


def render() -> str:
    """The whole page as Markdown."""
    head = (
        "# Tables\n\nDelta tables, one folder each under `storage.warehouse`. "
        "Written by `make tables` from `schemas/`; do not edit.\n"
    )
    return head + "".join(_section(table) for table in TABLES)


def _section(table: Table) -> str:
    lines = [
        f"\n## {table.name}\n",
        f"A row is {table.row}. Key: {_names(table.key)}. Kept: {table.retention}.",
        f"A write {MODES[table.write_mode]}{_slice(table)}{_updates(table)}.\n",
        "| column | type | null | holds |",
        "|---|---|---|---|",
    ]
    for field in table.struct.fields:
        kind = field.dataType.simpleString().replace("|", "\\|")
        comment = str(field.metadata.get("comment", "")).replace("|", "\\|")
        lines.append(f"| `{field.name}` | `{kind}` | {'yes' if field.nullable else 'no'} | {comment} |")
    if table.checks:
        lines.append("\nEvery row meets: " + "; ".join(f"`{rule}`" for rule in table.checks.values()) + ".")
    return "\n".join(lines) + "\n"


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def _slice(table: Table) -> str:
    return f" ({_names(table.slice)})" if table.slice else ""


def _updates(table: Table) -> str:
    if table.write_mode is not WriteMode.MERGE:
        return ""
    if not table.merge_updates:
        return ": new keys are inserted, nothing stored changes"
    changed = ", ".join(f"`{name}`" for name in table.merge_updates)
    return f": new keys are inserted; {changed} changes where `{table.merge_when}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
