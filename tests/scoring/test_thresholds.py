"""Thresholds by category: the bound by hand, leaves and the nodes above them, kept by model and target."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.artefact import Artefact
from lib.config import RoutingSettings
from lib.errors import UserError
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Predictions, Recorder
from lib.evaluation.wilson import wilson_lower
from lib.scoring import thresholds
from lib.scoring.predictor import Predictor
from lib.scoring.thresholds import (
    LEAF,
    ROOT,
    fewest_rows,
    lowest_confidence,
    read,
    routed,
    store,
    thresholds_of,
)

CAT_IDS, PATHS = ["100", "101", "200"], [["식품", "과일"], ["식품", "채소"], ["의류"]]
HIERARCHY = Hierarchy(PATHS)


def _seen(rows: list[tuple[int, float, bool]]) -> Predictions:
    """A record of rows (predicted label, confidence, right)."""
    recorder = Recorder(HIERARCHY)
    for predicted, confidence, right in rows:
        probabilities = np.full(3, (1 - confidence) / 2, np.float32)
        probabilities[predicted] = confidence
        label = predicted if right else (predicted + 1) % 3
        recorder.add(np.log(probabilities)[None], np.array([label]))
    return recorder.finish()


def _many(predicted: int, confidence: float, right: int, wrong: int) -> list[tuple[int, float, bool]]:
    return [(predicted, confidence, True)] * right + [(predicted, confidence, False)] * wrong


def test_the_lowest_confidence_whose_bound_holds() -> None:
    confidence = np.array([0.9] * 60 + [0.6] * 40 + [0.3] * 40, np.float32)
    correct = np.array([True] * 60 + [True] * 37 + [False] * 3 + [False] * 40)
    # 97 of 100 at 0.6 and above: bound .926; at 0.3 97 of 140: far below.
    found = lowest_confidence(confidence, correct, 0.9)
    assert found.threshold == pytest.approx(0.6, abs=2e-6)
    assert (found.share, found.precision) == (pytest.approx(100 / 140), pytest.approx(0.97))
    # 60 of 60: .957.
    assert lowest_confidence(confidence, correct, 0.95).threshold == pytest.approx(0.9, abs=2e-6)
    assert lowest_confidence(confidence, correct, 0.97).threshold is None


def test_answers_of_one_confidence_are_not_parted() -> None:
    confidence, correct = np.full(200, 0.8, np.float32), np.array([True] * 100 + [False] * 100)
    assert lowest_confidence(confidence, correct, 0.9).threshold is None
    assert lowest_confidence(confidence[:0], correct[:0], 0.9).threshold is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=200), st.floats(0.5, 0.99))
def test_what_is_at_or_above_a_threshold_reaches_the_target(rows: list[tuple[int, bool]], target: float) -> None:
    confidence = np.array([step / 20 for step, _ in rows], np.float32)
    correct = np.array([right for _, right in rows])

    def bound(limit: float) -> float:
        kept = correct[confidence >= np.float32(limit)]
        return float(wilson_lower(np.array(kept.sum()), np.array(len(kept))))

    found = lowest_confidence(confidence, correct, target)
    reaching = [limit for limit in np.unique(confidence) if bound(limit) >= target]
    assert found.threshold == (pytest.approx(float(min(reaching)), abs=2e-6) if reaching else None)


def test_a_leaf_has_its_own_or_the_threshold_of_what_is_above_it() -> None:
    rows = [*_many(0, 0.9, 100, 0), *_many(0, 0.4, 0, 50), *_many(1, 0.7, 20, 0), *_many(2, 0.8, 60, 40)]
    made = thresholds_of(_seen(rows), HIERARCHY, CAT_IDS, PATHS, RoutingSettings(precision=0.9))
    fruit, vegetable, clothes = made
    assert (fruit.learnt_from, fruit.rows, fruit.found.threshold) == (LEAF, 150, pytest.approx(0.9, abs=2e-6))
    # Twenty are too few, so food's 170 rows decide: 120 of 120 right down to 0.7.
    assert (vegetable.learnt_from, vegetable.rows, vegetable.found.threshold) == (
        "식품",
        170,
        pytest.approx(0.7, abs=2e-6),
    )
    # Of its own rows enough, and no confidence reaches the target.
    assert (clothes.learnt_from, clothes.rows, clothes.found.threshold) == (LEAF, 100, None)
    assert thresholds.facts_of(made) == {"leaves": 3, "own": 1, "from_above": 1, "unreachable": 1}


def test_too_few_rows_in_all_send_everything_to_review() -> None:
    made = thresholds_of(_seen(_many(0, 0.99, 20, 0)), HIERARCHY, CAT_IDS, PATHS, RoutingSettings(precision=0.9))
    assert [(one.learnt_from, one.found.threshold) for one in made] == [(ROOT, None)] * 3
    nothing = thresholds_of(_seen([]), HIERARCHY, CAT_IDS, PATHS, RoutingSettings())
    assert [one.found.threshold for one in nothing] == [None] * 3


def test_as_many_rows_as_could_show_the_target() -> None:
    assert fewest_rows(RoutingSettings(), 0.9) == 50
    needed = fewest_rows(RoutingSettings(), 0.95)
    assert wilson_lower(np.array(needed), np.array(needed)) >= 0.95
    assert wilson_lower(np.array(needed - 1), np.array(needed - 1)) < 0.95


def test_targets_of_a_category_and_what_lies_under_it(caplog: pytest.LogCaptureFixture) -> None:
    targets = {"식품": 0.97, "식품 > 채소": 0.8, "가구": 0.5}
    made = thresholds_of(
        _seen([]), HIERARCHY, CAT_IDS, PATHS, RoutingSettings(precision=0.9, precision_by_category=targets)
    )
    assert [one.target for one in made] == [0.97, 0.8, 0.9]
    assert "has no category 가구" in caplog.text


def test_kept_by_model_and_targets(tiny: Artefact, predictor: Predictor, tmp_path: Path) -> None:
    wanted = RoutingSettings(precision=0.9)
    made = thresholds_of(_seen(_many(0, 0.9, 100, 0)), HIERARCHY, CAT_IDS, PATHS, wanted)
    kept = store(str(tmp_path), tiny, wanted, made)
    assert thresholds.find(str(tmp_path), tiny, wanted) == kept
    assert thresholds.find(str(tmp_path), tiny, RoutingSettings(precision=0.91)) is None
    confident = pytest.approx(0.9, abs=2e-6)
    assert read(kept, predictor.cat_ids) == (confident, confident, confident)
    with pytest.raises(UserError, match="other categories"):
        read(kept, ["1"])
    with pytest.raises(UserError, match="lists no file"):
        read(tiny, ["1"])


def test_routes() -> None:
    labels, confidence = np.array([0, 0, 1], np.int32), np.array([0.9, 0.5, 1.0], np.float32)
    assert routed((0.9, math.inf), labels, confidence).tolist() == ["automatic", "review", "review"]
    assert routed(None, labels, confidence).tolist() == ["review"] * 3
