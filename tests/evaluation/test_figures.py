"""Figures of a split by hand and against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from lib.evaluation import categories, figures
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Predictions, Recorder

PATHS = [
    ["식품", "과일", "사과"],
    ["식품", "과일", "배"],
    ["식품", "채소", "무"],
    ["의류", "상의"],
    ["의류", "하의"],
    ["도서"],
]
CAT_IDS = ["10", "11", "12", "13", "14", "15"]
HIERARCHY = Hierarchy(PATHS)


def _seen(label: list[int], predicted: list[int]) -> Predictions:
    """A record whose softmax puts nearly all on `predicted`."""
    recorder = Recorder(HIERARCHY)
    recorder.add(np.eye(6, dtype=np.float32)[predicted] * 20, np.array(label, np.int32))
    return recorder.finish()


def _noisy(rows: int) -> tuple[Predictions, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 6, rows).astype(np.int32)
    logits = generator.normal(size=(rows, 6)).astype(np.float32)
    logits[np.arange(rows), label] += 1
    recorder = Recorder(HIERARCHY)
    recorder.add(logits, label)
    return recorder.finish(), label, logits


def _by_name(found: list[figures.Figure]) -> dict[tuple[str, str], float]:
    return {(one.slice, one.name): one.value for one in found}


def test_head_figures_are_sklearns() -> None:
    seen, label, logits = _noisy(500)
    found = _by_name(figures.head_figures("output", seen, 6, 50))
    predicted = logits.argmax(axis=1)
    assert found["head=output", "accuracy"] == pytest.approx(accuracy_score(label, predicted))
    assert found["head=output", "top5_accuracy"] == pytest.approx(top_k_accuracy_score(label, logits, k=5))
    assert found["head=output", "macro_f1"] == pytest.approx(f1_score(label, predicted, average="macro"))


def test_categories_are_told_apart_by_how_much_there_was_to_learn_from() -> None:
    """101 rows are many, 100 and 20 medium, 19 and none few; a label that the model does not know is in none."""
    train_rows = np.array([101, 100, 20, 19, 0, 500])
    found = _by_name(figures.shot_figures(_seen([0, 1, 2, 3, 4, 5, -1], [0, 1, 0, 3, 0, 0, 0]), train_rows, 50))
    assert found == {
        ("shots=many", "rows"): 2, ("shots=many", "accuracy"): 0.5,
        ("shots=medium", "rows"): 2, ("shots=medium", "accuracy"): 0.5,
        ("shots=few", "rows"): 2, ("shots=few", "accuracy"): 0.5,
    }  # fmt: skip
    none = _by_name(figures.shot_figures(_seen([0], [0]), train_rows, 50))
    assert (none["shots=few", "rows"], ("shots=few", "accuracy") in none) == (0, False)


def test_hierarchical_figures_by_hand() -> None:
    # 사과 for 배: 2 of 3 shared. 상의 for 상의: 2 of 2. 도서 for 무: 0 of 1 said, of 3 given.
    found = _by_name(figures.hierarchical_figures(_seen([1, 3, 2], [0, 3, 5]), HIERARCHY, 50))
    assert found["all", "hierarchical_precision"] == pytest.approx(4 / 6)
    assert found["all", "hierarchical_recall"] == pytest.approx(4 / 8)
    assert found["all", "hierarchical_f1"] == pytest.approx(8 / 14)


def test_level_figures_leave_out_rows_without_that_level() -> None:
    seen = _seen([0, 3, 5], [1, 4, 5])
    found = _by_name(figures.level_figures(seen, HIERARCHY, 50))
    assert found["level=1", "accuracy"] == 1
    assert found["level=2", "rows"] == 2
    assert found["level=2", "accuracy"] == pytest.approx(0.5)  # 과일 is right, 하의 is not 상의
    assert found["level=3", "rows"] == 1
    assert found["level=3", "accuracy"] == 0
    assert ("level=4", "accuracy") not in found


def test_unknown_leaf_is_an_error_everywhere() -> None:
    seen = _seen([-1, 3], [0, 3])
    found = _by_name(figures.split_figures({"output": seen}, HIERARCHY, CAT_IDS, [0.5], 50))
    assert found["head=output", "accuracy"] == 0.5
    assert found["level=1", "accuracy"] == 0.5
    assert found["paths", "joint_accuracy"] == 0.5
    assert found["all", "hierarchical_recall"] == pytest.approx(2 / 3)
    assert found["unknown_leaf", "rows"] == 1


def test_an_unknown_leaf_below_known_nodes_counts_on_their_levels() -> None:
    recorder = Recorder(HIERARCHY)
    food = HIERARCHY.names[0].index(("식품",))
    recorder.add(np.eye(6, dtype=np.float32)[[0]] * 20, np.array([-1], np.int32), np.array([[food, -1, -1, -1]]))
    found = _by_name(figures.level_figures(recorder.finish(), HIERARCHY, 50))
    assert found["level=1", "accuracy"] == 1
    assert found["level=2", "accuracy"] == 0


def test_path_figures_compare_joint_with_independent() -> None:
    hierarchy = Hierarchy([["식품", "사과"], ["의류", "상의"], ["의류", "하의"]])
    recorder = Recorder(hierarchy)
    recorder.add(np.log(np.array([[0.4, 0.35, 0.25], [0.9, 0.05, 0.05]], np.float32)), np.array([1, 0], np.int32))
    found = _by_name(figures.path_figures(recorder.finish(), hierarchy, 50))
    assert found["paths", "inconsistent_share"] == 0.5
    assert found["paths", "independent_accuracy"] == 0.5
    assert found["paths", "joint_accuracy"] == 1
    assert found["paths", "joint_minus_independent"] == 0.5


def test_worst_categories_and_small_ones_apart() -> None:
    label = np.array([0] * 10 + [1] * 12 + [2] * 3 + [-1], np.int32)
    predicted = np.array([0] * 5 + [1] * 4 + [3] + [1] * 12 + [2, 0, 0] + [4], np.int32)
    ranked = categories.per_category(label, predicted, 6)
    assert [(one.label, one.rows, one.accuracy) for one in ranked] == [(0, 10, 0.5), (1, 12, 1.0)]
    assert (ranked[0].mistaken_for, ranked[0].mistaken_rows) == (1, 4)
    assert (ranked[1].mistaken_for, ranked[1].mistaken_rows) == (-1, 0)
    assert ranked[1].f1 == pytest.approx(2 * 12 / (12 + 16))
    small = categories.small_categories(label, predicted, 6)
    assert (small.categories, small.rows, small.accuracy) == (1, 3, pytest.approx(1 / 3))


def test_confusions_most_rows_first_without_unknown_leaves() -> None:
    label = np.array([0, 0, 0, 1, -1], np.int32)
    predicted = np.array([1, 1, 0, 2, 3], np.int32)
    assert categories.confusions(label, predicted) == [
        categories.Confusion(0, 1, 2), categories.Confusion(1, 2, 1)
    ]  # fmt: skip


def test_temperature_changes_calibration_and_not_accuracy() -> None:
    _, label, logits = _noisy(4000)
    cooled = Recorder(HIERARCHY, temperature=5.0)
    cooled.add(logits, label)
    found = _by_name(figures.confidence_figures(cooled.finish(), [0.5], 50))
    assert found["all", "ece_after"] > found["all", "ece_before"] + 0.05  # these logits were calibrated already


def test_facts_are_small_json_whatever_the_rows() -> None:
    sizes = []
    for rows in (500, 5000):
        seen, _, _ = _noisy(rows)
        facts = figures.split_facts(seen, HIERARCHY, CAT_IDS, PATHS, worst=20)
        sizes.append(len(json.dumps(facts, ensure_ascii=False)))
    assert max(sizes) < 20_000
    assert abs(sizes[0] - sizes[1]) < 3_000


def test_an_empty_split_has_figures_and_no_crash() -> None:
    nothing = Recorder(HIERARCHY).finish()
    found = _by_name(figures.split_figures({"output": nothing}, HIERARCHY, CAT_IDS, [0.5], 50))
    assert found["head=output", "rows"] == 0
    assert figures.split_facts(nothing, HIERARCHY, CAT_IDS, PATHS, 5)["worst"] == []


def test_the_picture_is_weighed_on_the_rows_that_have_one() -> None:
    """Of four rows the last has no picture; with pictures hidden, one of the three others is no longer right."""
    pictured = np.array([True, True, True, False])

    def seen(predicted: list[int]) -> Predictions:
        recorder = Recorder(HIERARCHY)
        logits = np.eye(6, dtype=np.float32)[predicted] * 20
        recorder.add(logits, np.array([0, 1, 2, 3], np.int32), pictured=pictured)
        return recorder.finish()

    records = {
        "output": seen([0, 1, 5, 3]),
        "img_output": seen([0, 1, 2, 0]),
        figures.WITHOUT_PICTURE: seen([0, 5, 5, 3]),
    }
    found = _by_name(figures.split_figures(records, HIERARCHY, CAT_IDS, [0.5], 50))
    assert (found["picture=with", "rows"], found["picture=without", "rows"]) == (3, 1)
    assert found["picture=with", "accuracy"] == pytest.approx(2 / 3)
    assert found["picture=with", "accuracy_hidden"] == pytest.approx(1 / 3)
    assert found["picture=with", "gain"] == pytest.approx(1 / 3)
    assert found["picture=without", "accuracy"] == 1.0
    # The picture's own head is measured where there is one, and what was said without it is no head.
    assert (found["head=img_output", "rows"], found["head=img_output", "accuracy"]) == (3, 1.0)
    assert not any(figures.WITHOUT_PICTURE in place for place, _ in found)
