"""Each gate at its edges, in words; and all together over many simulated months."""

import numpy as np
import pytest

from benchmarks import promotion
from lib.config import PromoteSettings
from lib.evaluation.calibration import Bin, binned_error
from lib.promotion import gates
from lib.promotion.bounds import Pairs
from lib.promotion.gates import FAILED, NOT_JUDGED, PASSED

SETTINGS = PromoteSettings()
DRAWS = 500


def pairs(*counts: tuple[float, float, float]) -> Pairs:
    return Pairs(*(np.array(column, np.float64) for column in zip(*counts, strict=True)))


def test_equal_models_are_promoted_and_one_a_point_worse_is_not() -> None:
    assert promotion.promoted(0.0, DRAWS, seed=1) >= 0.9
    assert promotion.promoted(-0.01, DRAWS, seed=1) <= 0.05


@pytest.mark.parametrize("without", ["month", "audit"])
def test_each_comparison_alone_would_let_worse_ones_pass_or_not(without: str) -> None:
    chance = np.random.default_rng(1)
    drawn = [promotion.draw(chance, -0.01, promotion.MONTH_ROWS, 0.05, SETTINGS) for _ in range(50)]
    stopped = [any(g.status == FAILED for g in found if g.name != without) for found in drawn]
    # The month's rows tell a point; 1,201 answers alone do not.
    assert np.mean(stopped) == (pytest.approx(0.1, abs=0.1) if without == "month" else 1)


def test_margin_of_a_month_depends_on_its_rows() -> None:
    large = gates.month_gate(pairs((60_000, 300, 600), (40_000, 300, 400)), SETTINGS)
    assert (large.status, large.figures["margin"]) == (FAILED, 0.003)
    assert "100,000 test rows of the month (no fewer than 100,000)" in large.words
    assert "-0.40 points" in large.words
    small = gates.month_gate(pairs((99_999, 600, 1000)), SETTINGS)
    assert (small.status, small.figures["margin"]) == (PASSED, 0.02)
    assert "(fewer than 100,000)" in small.words


def test_rows_that_err_together_are_sure_of_less() -> None:
    alone = gates.month_gate(pairs((100_000, 300, 400)), SETTINGS)
    together = gates.month_gate(pairs((100_000, 300, 400)), SETTINGS, effect=40)
    assert (alone.status, together.status) == (PASSED, FAILED)
    assert together.figures["bound"] < alone.figures["bound"] < together.figures["difference"]
    assert (together.figures["rows"], together.figures["effect"]) == (100_000, 40)


def test_too_few_rows_are_said_to_be_too_few() -> None:
    found = gates.month_gate(pairs((60, 3, 3)), SETTINGS)
    assert found.status == FAILED
    assert "too few rows" in found.words
    assert gates.month_gate(pairs((0, 0, 0)), SETTINGS).status == FAILED


def test_audit_is_judged_once_enough_have_answered() -> None:
    nobody = gates.audit_gate(pairs((0, 0, 0)), 0, None, SETTINGS)
    assert (nobody.status, "nobody has answered" in nobody.words) == (NOT_JUDGED, True)
    few = gates.audit_gate(pairs((599, 0, 300)), 599, "2026-01", SETTINGS)
    assert (few.status, "599 audit offers are answered" in few.words) == (NOT_JUDGED, True)
    equal = gates.audit_gate(pairs((1201, 30, 30)), 1201, "2026-01", SETTINGS)
    assert (equal.status, "of 2026-01 as people label them" in equal.words) == (PASSED, True)
    assert gates.audit_gate(pairs((1201, 10, 50)), 1201, "2026-01", SETTINGS).status == FAILED


def test_one_large_category_that_is_lost_is_named() -> None:
    fine = [(1000.0, 25.0, 25.0)] * 300
    assert gates.category_gate([str(at) for at in range(300)], pairs(*fine), SETTINGS).status == PASSED
    found = gates.category_gate([*map(str, range(300)), "조명"], pairs(*fine, (200, 2, 40)), SETTINGS)
    assert found.status == FAILED
    assert "1 of 301 categories lose" in found.words
    assert "조명 (-19.00 points on 200 rows)" in found.words
    small = gates.category_gate(["조명"], pairs((199, 0, 199)), SETTINGS)
    assert small.status == NOT_JUDGED


def test_calibration_is_held_against_what_chance_would_show() -> None:
    assert gates.calibration_gate([Bin(10_000, 0.9, 0.86), Bin(10_000, 0.7, 0.7)], SETTINGS).status == PASSED
    off = gates.calibration_gate([Bin(10_000, 0.9, 0.78), Bin(10_000, 0.7, 0.69)], SETTINGS)
    assert (off.status, off.figures["error"]) == (FAILED, pytest.approx(0.065))
    # Four rows of .75: a deviation of .2165, so a mean distance of .1727 and 1.645 * .1305 on top.
    assert gates.error_by_chance([Bin(4, 0.75, 0.5)], 0.95) == pytest.approx(0.3874, abs=1e-4)
    assert gates.calibration_gate([Bin(4, 0.75, 0.5)], SETTINGS).status == PASSED
    assert gates.calibration_gate([], SETTINGS).status == FAILED


def test_latency_takes_medians() -> None:
    found = gates.latency_gate([0.011, 0.011, 9.0], [0.010, 0.010, 0.010], 100, SETTINGS)
    assert (found.status, found.figures["ratio"]) == (PASSED, pytest.approx(1.1))
    assert gates.latency_gate([0.013], [0.010], 100, SETTINGS).status == FAILED


def test_drift_stops_by_its_own_words() -> None:
    assert gates.drift_gate(None).status == NOT_JUDGED
    assert gates.drift_gate({"drifted": False, "words": "Nothing moved."}).status == PASSED
    found = gates.drift_gate({"drifted": True, "words": "Mall bada sent half."})
    assert (found.status, found.words) == (FAILED, "Mall bada sent half.")


@pytest.mark.parametrize(
    ("month", "champion", "current", "status"),
    [
        ("2026-02", None, "2026-02", PASSED),
        ("2026-02", "2026-01", "2026-03", PASSED),
        ("2026-02", "2026-02", "2026-03", PASSED),
        ("2026-02", "2026-03", "2026-04", FAILED),
        ("2026-03", None, "2026-02", FAILED),
        ("2026-03", "2026-02", None, PASSED),
    ],
)
def test_order_of_months(month: str, champion: str | None, current: str | None, status: str) -> None:
    assert gates.order_gate(month, champion, current).status == status


def test_what_was_rolled_back_stays_so() -> None:
    assert gates.rollback_gate(None).status == PASSED
    found = gates.rollback_gate({"who": "J. Kim", "why": "shoes in lamps", "when": "2026-02-03T10:00:00+00:00"})
    assert (found.status, "J. Kim" in found.words, "shoes in lamps" in found.words) == (FAILED, True, True)


def test_a_calibrated_model_shows_no_more_error_than_chance_may_make() -> None:
    chance = np.random.default_rng(1)
    limit = gates.error_by_chance([Bin(40, said, said) for said in promotion.CONFIDENCES], 0.95)
    drawn = [
        binned_error([Bin(40, said, chance.binomial(40, said) / 40) for said in promotion.CONFIDENCES])
        for _ in range(1000)
    ]
    assert np.mean(np.array(drawn) > limit) == pytest.approx(0.05, abs=0.03)
