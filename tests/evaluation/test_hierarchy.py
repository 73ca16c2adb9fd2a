"""Marginals and decoding over a small tree, by hand and over random trees."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.evaluation.hierarchy import LEVELS, Hierarchy

# Labels on purpose not in path order; the third leaf ends on level 1.
PATHS = [["식품", "과일", "사과"], ["의류", "상의"], ["도서"], ["식품", "과일", "배"], ["의류", "하의"]]


def test_ancestors_point_to_nodes_by_level() -> None:
    hierarchy = Hierarchy(PATHS)
    assert hierarchy.names[0] == [("도서",), ("식품",), ("의류",)]
    assert [hierarchy.names[0][i] for i in hierarchy.ancestors[:, 0]] == [
        ("식품",), ("의류",), ("도서",), ("식품",), ("의류",)
    ]  # fmt: skip
    assert hierarchy.ancestors[2].tolist() == [0, -1, -1, -1]
    assert hierarchy.depths.tolist() == [3, 2, 1, 3, 2]


def test_given_level_names_keep_their_order_and_nodes_without_a_leaf() -> None:
    named = [[["의류"], ["식품"], ["도서"], ["완구"]], ["의류 > 하의", "의류 > 상의"], [], []]
    hierarchy = Hierarchy(PATHS, named)
    assert hierarchy.ancestors[:, 0].tolist() == [1, 0, 2, 1, 0]
    assert hierarchy.ancestors[:, 1].tolist() == [2, 1, -1, 2, 0]
    assert len(hierarchy.names[0]) == 4


def test_marginals_sum_over_leaves() -> None:
    probabilities = np.array([[0.1, 0.3, 0.2, 0.15, 0.25]], np.float32)
    first, second, third = Hierarchy(PATHS).marginals(probabilities)
    np.testing.assert_allclose(first, [[0.2, 0.25, 0.55]], rtol=1e-6)  # 도서, 식품, 의류
    np.testing.assert_allclose(second, [[0.2, 0.25, 0.3, 0.25]], rtol=1e-6)  # 도서 stands for itself
    assert third.shape == (1, 5)


def test_independent_argmax_can_leave_the_tree_and_joint_cannot() -> None:
    # The one large leaf wins on the leaf level; the two leaves of 의류 win together on the first.
    hierarchy = Hierarchy([["식품", "사과"], ["의류", "상의"], ["의류", "하의"]])
    decoded = hierarchy.decode(np.array([[0.4, 0.35, 0.25], [0.2, 0.7, 0.1]], np.float32))
    names = [hierarchy.names[level][decoded.levels[0, level]] for level in range(2)]
    assert names == [("의류",), ("식품", "사과")]
    assert decoded.consistent.tolist() == [False, True]
    # log .6 + log .35 > log .4 + log .4
    assert decoded.joint.tolist() == [1, 1]


def test_a_level_that_ends_above_is_minus_one() -> None:
    hierarchy = Hierarchy(PATHS)
    decoded = hierarchy.decode(np.array([[0.0, 0.0, 1.0, 0.0, 0.0]], np.float32))
    assert decoded.levels.tolist() == [[0, -1, -1, -1]]
    assert decoded.consistent.tolist() == [True]
    assert decoded.joint.tolist() == [2]


@st.composite
def trees(draw: st.DrawFn) -> list[list[str]]:
    """Distinct leaves, none of which is another's ancestor: all of one depth or marked by their depth."""
    drawn = draw(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=LEVELS), min_size=1, max_size=12))
    leaves = {(*path[:-1], f"{path[-1]}{len(path)}") for path in drawn}
    return [list(leaf) for leaf in leaves]


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(0, 2**32 - 1))
def test_joint_decoding_is_always_an_existing_leaf_and_beats_no_score(paths: list[list[str]], seed: int) -> None:
    hierarchy = Hierarchy(paths)
    logits = np.random.default_rng(seed).normal(size=(7, len(paths))) * 3
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    decoded = hierarchy.decode(probabilities)
    assert ((decoded.joint >= 0) & (decoded.joint < len(paths))).all()
    existing = {tuple(row) for row in hierarchy.ancestors.tolist()}
    for row, consistent in zip(decoded.levels.tolist(), decoded.consistent, strict=True):
        assert (tuple(row) in existing) == bool(consistent)
    for row, choice in enumerate(decoded.joint):
        scores = [_score(paths, probabilities[row], leaf, hierarchy.depth) for leaf in range(len(paths))]
        assert scores[choice] >= max(scores) - 1e-3


def _score(paths: list[list[str]], probabilities: np.ndarray, leaf: int, depth: int) -> float:
    """Sum over levels of the log marginal of the leaf's node, by looking at every leaf."""
    total = 0.0
    for level in range(1, depth + 1):
        inside = [i for i, path in enumerate(paths) if path[:level] == paths[leaf][:level]]
        total += np.log(probabilities[inside].sum())
    return total


def test_consistent_rows_agree_with_the_leaf() -> None:
    hierarchy = Hierarchy(PATHS)
    probabilities = np.random.default_rng(3).dirichlet(np.ones(5), 200).astype(np.float32)
    decoded = hierarchy.decode(probabilities)
    agree = decoded.consistent
    assert 0 < agree.sum() < 200
    assert (decoded.joint[agree] == probabilities.argmax(axis=1)[agree]).all()
