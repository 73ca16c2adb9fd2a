"""A window's tokens -> the shards artefact: which rows go in, their labels, their files.

The window is read four times, and only the last time whole: rows by leaf and exit, rows by bucket of the shuffle,
places in border buckets, and the rows themselves, which are shuffled once straight to the task that writes their file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lib.artefact import Artefact, ArtefactWriter
from lib.categories.distribution import EXCLUDED, SAMPLED_OUT, UNKNOWN, UNLABELLED, is_kept, label_exit
from lib.categories.taxonomy import Leaf, living
from lib.config import ShardsSettings
from lib.errors import UserError
from lib.shards import cuts
from lib.shards.cuts import File
from lib.shards.encode import WRITTEN, Encoding, write_files
from lib.shards.label_map import LabelMap, label_map
from lib.shards.row import ABSENT, IMAGE_COLUMNS, LEVELS, SPLITS, row_bytes

LABELS_OF_ABSENT = [ABSENT] * LEVELS


@dataclass(frozen=True)
class Categories:
    """What the shards need to know of the leaves.

    Attributes:
        leaves: the month's taxonomy.
        label_ids: cat_id -> id for ever.
        shares: living leaf -> (share of its train rows to keep, weight of those).
    """

    leaves: tuple[Leaf, ...]
    label_ids: Mapping[str, int]
    shares: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Counts:
    """Rows by where they go, and the leaves that have a train row."""

    exits: dict[str, int]
    trained: frozenset[str]


def shares(distribution: pa.Table) -> dict[str, tuple[float, float]]:
    """Leaf -> (keep, weight) from a distribution artefact's categories.parquet."""
    columns = [distribution.column(name).to_pylist() for name in ("cat_id", "keep", "weight")]
    return {cat_id: (keep, weight) for cat_id, keep, weight in zip(*columns, strict=True)}


def build(
    tokens: DataFrame,
    categories: Categories,
    encoding: Encoding,
    settings: ShardsSettings,
    writer: ArtefactWriter,
    pictures: DataFrame | None = None,
) -> Counts:
    """Write all files of the artefact and set its facts (sizes, splits, level names, cuts).

    Args:
        tokens: the window's rows as they are learnt from, with `fix`.
        pictures: month, product_id and the column that `encoding.picture` says rows have; None where it is None.

    Raises:
        UserError: fewer than two leaves to learn, or fewer train rows than `shards.file_multiple`.
    """
    counts = count_rows(routed(tokens, categories, None))
    known = label_map(categories.leaves, categories.label_ids, counts.trained)
    rows = routed(tokens, categories, known).where(F.col("exit").isin(*SPLITS)).withColumn("place", cuts.place())
    facts = encoding.facts()
    files = cuts.plan(rows.select("split", "place"), _file_counts(counts, row_bytes(facts), settings))
    if pictures is not None:
        rows = rows.join(pictures, on=["month", "product_id"], how="left")
    written = _write(rows, files, encoding, settings.compression, writer)
    writer.file("label_map.json").write_text(json.dumps(known.records(), ensure_ascii=False, indent=0), "utf-8")
    writer.facts = {
        **facts,
        "splits": _splits(files),
        "classes": len(known.leaves),
        "level_names": known.level_names(),
        "names_cut": sum(row.names_cut for row in written),
        "grams_cut": sum(row.grams_cut for row in written),
        "exits": counts.exits,
    }
    return counts


def split_files(made: Artefact, split: str) -> list[str]:
    """The split's Parquet files, in order; none where it has no rows."""
    return [str(made.path(name)) for name in sorted(made.files) if name.startswith(f"{split}/")]


def counts_of(made: Artefact) -> dict[str, int]:
    """Where the window's rows went, as the artefact's maker counted them."""
    return {str(name): int(rows) for name, rows in made.facts["exits"].items()}


def routed(tokens: DataFrame, categories: Categories, known: LabelMap | None) -> DataFrame:
    """Adds leaf, weight, label, level_labels and `exit`: the row's split, or why it is left out.

    Only train rows are sampled and weighted. Without a label map every label is -1.
    """
    rows = tokens.join(F.broadcast(_lookup(tokens, categories, known)), on="cat_id", how="left")
    drawn_out = (F.col("split") == "train") & ~is_kept(F.col("keep"))
    return rows.withColumn("exit", F.coalesce(label_exit(), F.when(drawn_out, SAMPLED_OUT), F.col("split"))).withColumn(
        "weight", F.when(F.col("split") == "train", F.col("weight")).otherwise(F.lit(1.0)).cast("float")
    )


def count_rows(rows: DataFrame) -> Counts:
    """Rows by exit; at most a few rows per leaf come to the driver."""
    exits = dict.fromkeys((*SPLITS, SAMPLED_OUT, EXCLUDED, UNLABELLED, UNKNOWN), 0)
    trained = set()
    for row in rows.groupBy("exit", "leaf").count().collect():
        exits[row["exit"]] += int(row["count"])
        if row["exit"] == "train":
            trained.add(row["leaf"])
    return Counts(exits, frozenset(trained))


def _lookup(tokens: DataFrame, categories: Categories, known: LabelMap | None) -> DataFrame:
    """One row per cat_id of the taxonomy: what every row with that label gets."""
    targets = known.targets(categories.leaves) if known is not None else {}
    rows = []
    for cat_id, leaf in living(categories.leaves).items():
        keep, weight = categories.shares.get(leaf, (1.0, 1.0))
        label, level_labels = targets.get(leaf, (ABSENT, LABELS_OF_ABSENT))
        rows.append((cat_id, leaf, keep, weight, label, level_labels))
    schema = "cat_id string, leaf string, keep double, weight double, label int, level_labels array<int>"
    return tokens.sparkSession.createDataFrame(rows, schema)


def _file_counts(counts: Counts, bytes_per_row: int, settings: ShardsSettings) -> dict[str, int]:
    if counts.exits["train"] < settings.file_multiple:
        raise UserError(
            f"the window has {counts.exits['train']} train rows for shards.file_multiple = {settings.file_multiple} "
            "files; lower it or add sources"
        )
    return {
        split: cuts.file_count(counts.exits[split], bytes_per_row, settings.file_bytes, settings.file_multiple)
        for split in SPLITS
    }


def _write(
    rows: DataFrame, files: list[File], encoding: Encoding, compression: str, writer: ArtefactWriter
) -> list[Row]:
    folder = writer.folder.resolve() / f"run-{writer.run}"
    pictures = [IMAGE_COLUMNS[encoding.picture["kind"]]] if encoding.picture is not None else []
    located = cuts.assign(rows, files).select(*encoding.columns, *pictures)
    written = located.mapInArrow(write_files(encoding, files, str(folder), compression), WRITTEN).collect()
    found = {row.file: row for row in written}
    for index, file in enumerate(files):
        row = found.get(index)
        if row is None or row.rows != file.rows:
            raise RuntimeError(
                f"{file} was written with {row and row.rows} rows: two rows share a place in the shuffle"
            )
        writer.adopt(
            f"{file.split}/{file.number:05d}.parquet",
            writer.folder / Path(row.path).relative_to(writer.folder.resolve()),
        )
    for left_over in set(folder.rglob("*.parquet")) - {Path(row.path) for row in written}:
        left_over.unlink()  # of a task that Spark ran twice
    return written


def _splits(files: list[File]) -> dict[str, dict[str, Any]]:
    sizes = {split: [file.rows for file in files if file.split == split] for split in SPLITS}
    return {s: {"rows": sum(rows), "files": len(rows), "rows_per_file": rows} for s, rows in sizes.items()}
