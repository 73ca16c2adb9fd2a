"""An artefact's own dense labels, and the nodes above them at each level."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.categories.taxonomy import Leaf
from lib.errors import UserError
from lib.shards.row import ABSENT, LEVELS

Path = tuple[str, ...]


@dataclass(frozen=True)
class LabelMap:
    """Dense labels in the order of label ids.

    Attributes:
        leaves: the leaf of each label.
        label_ids: its id for ever.
        nodes: for each of the four levels the node paths that occur, in order: the targets of `level_labels`.
    """

    leaves: tuple[Leaf, ...]
    label_ids: tuple[int, ...]
    nodes: tuple[tuple[Path, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """The content of label_map.json."""
        return [
            {"label": label, "label_id": label_id, "cat_id": leaf.cat_id, "path": list(leaf.path)}
            for label, (leaf, label_id) in enumerate(zip(self.leaves, self.label_ids, strict=True))
        ]

    def level_names(self) -> list[list[list[str]]]:
        """`nodes` as JSON values."""
        return [[list(node) for node in level] for level in self.nodes]

    def targets(self, leaves: Sequence[Leaf]) -> dict[str, tuple[int, list[int]]]:
        """cat_id -> (label, level_labels) of any leaf of the taxonomy.

        A leaf outside the map has label -1, and of its levels those known from other leaves.
        """
        labels = {leaf.cat_id: label for label, leaf in enumerate(self.leaves)}
        places = [{node: number for number, node in enumerate(level)} for level in self.nodes]
        return {leaf.cat_id: (labels.get(leaf.cat_id, ABSENT), _level_labels(leaf.path, places)) for leaf in leaves}


def label_map(leaves: Sequence[Leaf], label_ids: Mapping[str, int], trained: Collection[str]) -> LabelMap:
    """The map of the leaves that have a train row.

    Args:
        leaves: the taxonomy.
        label_ids: cat_id -> id for ever.
        trained: cat_ids with a train row in the window.

    Raises:
        UserError: a leaf has no label id, or there are fewer than two leaves, which no classifier can learn from.
    """
    missing = sorted(set(trained) - set(label_ids))
    if missing:
        raise UserError(f"leaf {missing[0]!r} has no label id; run jobs/normalize.py --force for the month")
    if len(trained) < 2:
        found = f"only leaf {next(iter(trained))!r}" if trained else "no leaf"
        raise UserError(f"the window's train rows have {found}; a classifier needs two, so add sources or months")
    chosen = sorted((leaf for leaf in leaves if leaf.cat_id in trained), key=lambda leaf: label_ids[leaf.cat_id])
    nodes = tuple(
        tuple(sorted({leaf.path[: level + 1] for leaf in chosen if len(leaf.path) > level})) for level in range(LEVELS)
    )
    return LabelMap(tuple(chosen), tuple(label_ids[leaf.cat_id] for leaf in chosen), nodes)


def _level_labels(path: Path, places: Sequence[Mapping[Path, int]]) -> list[int]:
    return [places[level].get(path[: level + 1], ABSENT) if len(path) > level else ABSENT for level in range(LEVELS)]
