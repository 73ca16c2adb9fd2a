"""The tree has the size asked for, at most four levels, and ids that do not depend on its size."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.marketplace.taxonomy import COLUMNS, Taxonomy


@pytest.mark.parametrize("size", [150, 4800, 5000])
def test_paths_are_unique_and_at_most_four_deep(size: int) -> None:
    tree = Taxonomy(size)
    paths = {leaf.path for leaf in tree.leaves}
    assert len(paths) == len(set(tree.cat_ids)) == len(tree) == size
    assert {len(path) for path in paths} == {3, 4}


@given(st.integers(2, 5000))
def test_any_size_is_met(size: int) -> None:
    tree = Taxonomy(size)
    assert len(tree) == size
    assert sorted(set(tree.department)) == list(range(tree.departments))


def test_an_id_means_the_same_in_a_tree_of_any_size() -> None:
    large = {leaf.cat_id: leaf.path for leaf in Taxonomy(5000).leaves}
    small = {leaf.cat_id: leaf.path for leaf in Taxonomy(150).leaves}
    shared = small.keys() & large.keys()
    assert len(shared) > 100
    assert all(small[cat_id] == large[cat_id] for cat_id in shared)


def test_no_leaf_is_above_another() -> None:
    paths = {leaf.path for leaf in Taxonomy(5000).leaves}
    assert not any(path[:depth] in paths for path in paths for depth in range(1, len(path)))


def test_siblings_lie_side_by_side() -> None:
    tree = Taxonomy(150)
    for span, group in ((tree.same_thing, tree.thing), (tree.same_department, tree.department)):
        for leaf in range(150):
            start = span.start[leaf]
            assert [i for i in range(150) if group[i] == group[leaf]] == list(range(start, start + span.length[leaf]))


def test_the_csv_leaves_level4_empty_where_level3_is_the_leaf(tmp_path: Path) -> None:
    tree = Taxonomy(150)
    tree.write(tmp_path / "taxonomy.csv")
    with (tmp_path / "taxonomy.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    for row, leaf in zip(rows, tree.leaves, strict=True):
        assert row["cat_id"] == leaf.cat_id
        assert tuple(filter(None, (row[name] for name in COLUMNS[1:]))) == leaf.path
