"""The four levels above a label: marginal probabilities per level, and decoding that respects existing paths.

Leaves are sorted by path once, so that every node of every level is one run of neighbouring columns and a
marginal is one segmented sum. A leaf whose path is short stands for itself on the deeper levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 4
Path = tuple[str, ...]
# Smallest probability that enters a logarithm; float32 softmax underflows to exact zeros well above it.
TINY = 1e-30


@dataclass(frozen=True)
class Decoded:
    """What one batch says level by level.

    Attributes:
        levels: int32 [rows, LEVELS], most probable node of each level alone; -1 where that says 'ends above'.
        consistent: bool [rows], whether those nodes lie on one existing path.
        joint: int32 [rows], the leaf whose path has the largest product of level marginals.
    """

    levels: NDArray[np.int32]
    consistent: NDArray[np.bool_]
    joint: NDArray[np.int32]


class Hierarchy:
    """Leaves (dense labels) and the nodes above them.

    Attributes:
        ancestors: int32 [classes, LEVELS], node of each leaf on each level, -1 where its path is shorter.
        names: per level the node paths that those indices point to.
        depths: int32 [classes], length of each leaf's path.
    """

    def __init__(self, paths: Sequence[Sequence[str]], level_names: Sequence[Sequence[Any]] | None = None) -> None:
        """Build from the label map's paths (1 to 4 names each, in label order).

        Args:
            level_names: node paths per level in the order that `level_labels` of the shards use; nodes that
                are missing there are appended.
        """
        leaves = [tuple(path) for path in paths]
        self.names = [_nodes(leaves, level, level_names) for level in range(LEVELS)]
        self.depths = np.array([len(leaf) for leaf in leaves], np.int32)
        self.ancestors = self._ancestors(leaves)
        self.depth = int(self.depths.max(initial=1))
        self._order = np.array(sorted(range(len(leaves)), key=lambda label: leaves[label]), np.int64)
        self._groups, self._starts = self._grouped([leaves[label] for label in self._order])

    @property
    def classes(self) -> int:
        """Number of leaves."""
        return len(self.depths)

    def marginals(self, probabilities: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Probability of each node, per existing level: [rows, classes] -> list of [rows, nodes of the
        level]."""
        ordered = probabilities[:, self._order]
        return [np.add.reduceat(ordered, starts, axis=1) for starts in self._starts]

    def decode(self, probabilities: NDArray[np.float32]) -> Decoded:
        """Independent and joint decoding of a batch.

        Args:
            probabilities: float32 [rows, classes], rows sum to 1.
        """
        marginals = self.marginals(probabilities)
        picked = [np.argmax(marginal, axis=1) for marginal in marginals]
        leaf = self._starts[-1][picked[-1]]
        consistent = np.ones(len(probabilities), np.bool_)
        levels = np.full((len(probabilities), LEVELS), -1, np.int32)
        for level, choice in enumerate(picked):
            consistent &= self._groups[level][leaf] == choice
            levels[:, level] = self.ancestors[self._order[self._starts[level][choice]], level]
        return Decoded(levels, consistent, self._joint(marginals))

    def _joint(self, marginals: list[NDArray[np.float32]]) -> NDArray[np.int32]:
        score = np.zeros((len(marginals[0]), self.classes), np.float32)
        for groups, marginal in zip(self._groups, marginals, strict=True):
            score += np.log(np.maximum(marginal, TINY))[:, groups]
        best: NDArray[np.int32] = self._order[np.argmax(score, axis=1)].astype(np.int32)
        return best

    def _ancestors(self, leaves: Sequence[Path]) -> NDArray[np.int32]:
        table = np.full((len(leaves), LEVELS), -1, np.int32)
        for level, names in enumerate(self.names):
            index = {name: number for number, name in enumerate(names)}
            for label, leaf in enumerate(leaves):
                if len(leaf) > level:
                    table[label, level] = index[leaf[: level + 1]]
        return table

    def _grouped(self, ordered: Sequence[Path]) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """Per level: group number of each sorted leaf, and the sorted leaf at which each group starts."""
        groups, starts = [], []
        for level in range(self.depth):
            prefixes = [leaf[: level + 1] for leaf in ordered]
            fresh = np.array([i == 0 or prefixes[i] != prefixes[i - 1] for i in range(len(prefixes))], np.bool_)
            groups.append(np.cumsum(fresh) - 1)
            starts.append(np.flatnonzero(fresh))
        return groups, starts


def node_path(node: Any) -> Path:
    """A node as a tuple of names, whether it is written as a list or as 'a > b'."""
    return tuple(part.strip() for part in node.split(" > ")) if isinstance(node, str) else tuple(node)


def _nodes(leaves: Sequence[Path], level: int, level_names: Sequence[Sequence[Any]] | None) -> list[Path]:
    listed = [] if level_names is None or level >= len(level_names) else [node_path(n) for n in level_names[level]]
    seen = sorted({leaf[: level + 1] for leaf in leaves if len(leaf) > level} - set(listed))
    return listed + seen
