"""Dense labels and the nodes above them."""

import pytest

from lib.categories.taxonomy import Leaf
from lib.errors import UserError
from lib.shards.label_map import label_map

LEAVES = [
    Leaf("a", ("식품", "과일", "사과")),
    Leaf("b", ("식품", "과일", "배")),
    Leaf("c", ("가구", "침대")),
    Leaf("d", ("가구", "의자")),
]
IDS = {"a": 7, "b": 3, "c": 12, "d": 1}


def test_labels_are_dense_in_the_order_of_label_ids() -> None:
    made = label_map(LEAVES, IDS, {"a", "b", "c"})
    assert made.records() == [
        {"label": 0, "label_id": 3, "cat_id": "b", "path": ["식품", "과일", "배"]},
        {"label": 1, "label_id": 7, "cat_id": "a", "path": ["식품", "과일", "사과"]},
        {"label": 2, "label_id": 12, "cat_id": "c", "path": ["가구", "침대"]},
    ]


def test_level_labels_number_the_nodes_of_each_level() -> None:
    made = label_map(LEAVES, IDS, {"a", "b", "c"})
    assert made.level_names() == [
        [["가구"], ["식품"]],
        [["가구", "침대"], ["식품", "과일"]],
        [["식품", "과일", "배"], ["식품", "과일", "사과"]],
        [],
    ]
    assert made.targets(LEAVES) == {
        "a": (1, [1, 1, 1, -1]),
        "b": (0, [1, 1, 0, -1]),
        "c": (2, [0, 0, -1, -1]),
        # Not in the map: its leaf is unknown, its top level is not.
        "d": (-1, [0, -1, -1, -1]),
    }


def test_two_leaves_are_needed() -> None:
    with pytest.raises(UserError, match="only leaf 'a'; a classifier needs two"):
        label_map(LEAVES, IDS, {"a"})
    with pytest.raises(UserError, match="have no leaf"):
        label_map(LEAVES, IDS, set())


def test_a_leaf_without_id_is_an_error() -> None:
    with pytest.raises(UserError, match=r"'a' has no label id; run jobs/normalize\.py"):
        label_map(LEAVES, {"b": 0}, {"a", "b"})
