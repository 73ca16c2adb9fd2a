"""Drift judged on counts: what an ordinary month does is none, what a broken one does is; few offers prove nothing."""

from dataclasses import replace

import numpy as np
import pytest

from lib.config import DriftSettings
from lib.scoring.drift import Figure, chance_divergence, divergence, facts_of, judge, most_moved
from lib.scoring.month_counts import ALL, REST, Confidence, Counts, MonthCounts, Rate

MONTH, BEFORE = "2026-03", ["2026-01", "2026-02"]
MALLS = {"a": 5000, "b": 3000, "c": 1900, "d": 60, REST: 40}
CATEGORIES = {"100": 4000, "101": 3000, "200": 3000}


def _month(
    malls: dict[str, int] = MALLS, categories: dict[str, int] = CATEGORIES, branded: float = 0.5,
    tokens: Rate | None = None, unknown: Rate | None = None,
) -> MonthCounts:  # fmt: skip
    by_mall = {
        mall: {"offers": offers, "branded": int(branded * offers), "labelled": offers} for mall, offers in malls.items()
    }
    return MonthCounts(by_mall, _offers(categories), tokens, unknown)


def _offers(counts: dict[str, int]) -> Counts:
    return {key: {"offers": offers} for key, offers in counts.items()}


def _drifted(now: MonthCounts, before: MonthCounts | None = None, **more: Confidence) -> set[tuple[str, str]]:
    usual = before or _month()
    judged = judge(MONTH, {MONTH: now, **dict.fromkeys(BEFORE, usual)}, more.get("confidence", {}), DriftSettings())
    return {(one.figure.name, one.figure.slice) for one in judged if one.figure.drifted}


def test_the_same_month_again_is_no_drift() -> None:
    assert _drifted(_month()) == set()


def test_a_mall_that_vanishes_is_named() -> None:
    now = _month({mall: offers for mall, offers in MALLS.items() if mall != "c"})
    assert _drifted(now) == {("offers_lost", "mall=c"), ("mall_shift", "all")}
    judged = judge(MONTH, {MONTH: now, **dict.fromkeys(BEFORE, _month())}, {}, DriftSettings())
    facts = facts_of(MONTH, BEFORE, judged, ["mall c (19.0% to 0.0% of the offers)"])
    assert facts["drifted"]
    assert facts["words"].startswith(
        "2026-03 differs from 2026-01 and 2026-02: mall c vanished where 1,900 are usual, and 1 more alarms; "
        "mall c (19.0% to 0.0% of the offers) moved most."
    )
    assert facts["alarms"][0] == "mall c vanished where 1,900 are usual"
    assert facts["against"] == BEFORE
    lost = next(one for one in facts["figures"] if one["slice"] == "mall=c")
    assert set(lost) == {"name", "slice", "value", "threshold", "drifted"}
    assert (lost["value"], lost["drifted"]) == (1.0, True)


def test_a_small_mall_may_come_and_go() -> None:
    assert _drifted(_month({mall: offers for mall, offers in MALLS.items() if mall != "d"})) == set()
    assert _drifted(_month({**MALLS, "new": 100})) == set()


def test_half_the_usual_offers_is_an_alarm_and_a_tenth_less_is_none() -> None:
    half = {name: counts // 2 for name, counts in MALLS.items()}
    assert ("offers_lost", "all") in _drifted(_month(half))
    assert _drifted(_month({name: int(counts * 0.9) for name, counts in MALLS.items()})) == set()
    assert ("offers_gained", "all") in _drifted(_month({name: counts * 3 for name, counts in MALLS.items()}))


def test_one_bad_month_before_does_not_say_what_is_usual() -> None:
    bad = _month({name: counts // 4 for name, counts in MALLS.items()})
    counts = {MONTH: _month(), "2025-12": _month(), "2026-01": bad, "2026-02": _month()}
    assert not any(one.figure.drifted for one in judge(MONTH, counts, {}, DriftSettings()))


def test_categories_that_move_are_drift() -> None:
    assert _drifted(_month(categories={"100": 1500, "101": 5500, "200": 3000})) == {("category_shift", "all")}
    assert _drifted(_month(categories={"100": 3800, "101": 3100, "200": 3100})) == set()


@pytest.mark.parametrize(("branded", "drifted"), [(0.3, True), (0.45, False)])
def test_brands_that_are_no_longer_filled_in(branded: float, drifted: bool) -> None:
    assert (("brand_fill", "all") in _drifted(_month(branded=branded))) == drifted


def test_words_and_confidence() -> None:
    usual = _month(tokens=Rate(8.0, 10_000), unknown=Rate(0.05, 80_000))
    assert _drifted(_month(tokens=Rate(8.2, 10_000), unknown=Rate(0.07, 80_000)), usual) == set()
    moved = _drifted(_month(tokens=Rate(4.0, 10_000), unknown=Rate(0.30, 80_000)), usual)
    assert moved == {("tokens", "all"), ("unknown_words", "all")}
    assert _drifted(_month(), confidence={ALL: (Rate(0.9, 5000), Rate(0.7, 5000))}) == {("confidence", "all")}
    assert _drifted(_month(), confidence={ALL: (Rate(0.9, 5000), Rate(0.88, 5000))}) == set()
    assert _drifted(_month(), confidence={ALL: (Rate(0.0, 0), Rate(0.88, 5000))}) == set(), "no test names a month ago"
    assert _drifted(_month(), confidence={ALL: (Rate(0.9, 5000), Rate(float("nan"), 5000))}) == {("confidence", "all")}


def test_a_mall_whose_offers_changed_is_named_where_the_whole_hardly_moves() -> None:
    usual = replace(_month(), mall_tokens={"c": Rate(8.0, 1900)}, mall_unknown={"c": Rate(0.05, 15_000)})
    bare = {**_month().malls, "c": {"offers": 1900, "branded": 0, "labelled": 300}}
    now = replace(
        usual, malls=bare, mall_tokens={"c": Rate(4.0, 1900)}, mall_unknown={"c": Rate(0.4, 15_000)}
    )  # fmt: skip
    confidence = {"c": (Rate(0.9, 200), Rate(0.5, 200)), "d": (Rate(0.9, 200), Rate(0.1, 200))}
    found = _drifted(now, usual, confidence=confidence)
    # The total lost under 10 points of its brands; d is too small to count.
    assert found == {
        *((name, "mall=c") for name in ("brand_fill", "label_fill", "tokens", "unknown_words", "confidence")),
        ("label_fill", "all"),
    }
    judged = judge(MONTH, {MONTH: now, **dict.fromkeys(BEFORE, usual)}, confidence, DriftSettings())
    words = [one.words for one in judged if one.figure.drifted]
    assert words[0] == "mall c: 0.0% of the offers with a brand where 50.0% are usual"


def test_what_cannot_be_judged_is_said_and_is_no_drift() -> None:
    judged = judge(MONTH, {MONTH: _month(), **dict.fromkeys(BEFORE, _month())}, {}, DriftSettings())
    facts = facts_of(MONTH, BEFORE, judged, [])
    unjudged = {one["name"] for one in facts["figures"] if one["value"] is None}
    assert unjudged == {"tokens", "unknown_words", "confidence"}
    assert "Not judged: a name's tokens: no month before" in facts["words"]
    assert not facts["drifted"]


def test_the_first_month_has_nothing_to_compare_with() -> None:
    assert judge(MONTH, {MONTH: _month()}, {}, DriftSettings()) == []
    facts = facts_of(MONTH, [], [], [])
    assert facts == {
        "drifted": False, "words": "There is no month before 2026-03 to compare it with.",
        "against": [], "figures": [], "alarms": [],
    }  # fmt: skip


def test_few_offers_prove_nothing() -> None:
    tiny = {"a": 4, "b": 3, "c": 2}
    assert _drifted(_month({"a": 2, "b": 2}, {"1": 1, "2": 3}), _month(tiny, {"1": 6, "3": 3})) == set()


def test_samples_of_one_distribution_stay_below_what_chance_does() -> None:
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.full(150, 2.0))
    exceeded = 0
    for _ in range(300):
        now, usual = (
            _offers({str(key): int(count) for key, count in enumerate(generator.multinomial(size, shares))})
            for size in (4_000, 12_000)
        )
        exceeded += divergence(now, usual) > chance_divergence(now, usual)
    # One in a thousand, of 300.
    assert exceeded <= 3
    # And it is no bound that nothing ever reaches.
    assert divergence(now, usual) > 0.5 * chance_divergence(now, usual)


def test_divergence_by_hand() -> None:
    assert divergence(_offers({"a": 5}), _offers({"a": 9})) == 0
    assert divergence(_offers({"a": 5}), _offers({"b": 9})) == pytest.approx(1)
    # Shares 1, 0 and 1/2, 1/2 around 3/4, 1/4: (log2 4/3 + (log2 2/3 + log2 2) / 2) / 2.
    assert divergence(_offers({"a": 7}), _offers({"a": 3, "b": 3})) == pytest.approx(0.311278, abs=1e-6)


def test_what_moved_most_is_by_share_and_never_the_rest() -> None:
    now, before = _offers({"a": 10, "b": 80, REST: 110}), [_offers({"a": 30, "b": 70}), _offers({"a": 30, "b": 70})]
    assert most_moved(now, before) == ("b", pytest.approx(0.7), pytest.approx(0.4))
    assert most_moved({}, before) is None


def test_figures_are_numbers_a_manifest_takes() -> None:
    for one in judge(MONTH, {MONTH: _month(), BEFORE[0]: _month()}, {}, DriftSettings()):
        assert isinstance(one.figure, Figure)
        assert type(one.figure.drifted) is bool
