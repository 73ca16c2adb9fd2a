"""People and machine on the same offers, by hand."""

from dataclasses import replace

import pytest

from lib.review.people import Audited, compared, disagreements

# One offer in ten is a large category's and stands for 9 test offers; `b` is the label of all.
PLAIN = Audited("m:0", 1.0, "b", "b", "b", {"ann": "b"})
OFFERS = [
    *(replace(PLAIN, product_id=f"m:{n}") for n in range(6)),
    replace(PLAIN, product_id="m:6", people="a", voices={"ann": "a", "bob": "a", "cho": "b"}),
    replace(PLAIN, product_id="m:7", people="a", machine="c", voices={"ann": "b", "bob": "a"}),
    replace(PLAIN, product_id="m:8", people=None, voices={"ann": None}),
    replace(PLAIN, product_id="m:9", weight=9.0, machine="c"),
    replace(PLAIN, product_id="m:unlabelled", given=None, machine="c"),
    replace(PLAIN, product_id="m:unasked", machine=None),
]


def test_both_are_held_against_the_given_label_by_weight() -> None:
    found = compared(OFFERS)
    assert (found["offers"], found["none_fits"], found["labelled"]) == (12, 1, 10)
    # 18 test offers: people are right on 6 + 9, the machine on 6 + 2.
    assert found["people"][0] == pytest.approx(15 / 18)
    assert found["machine"][0] == pytest.approx(8 / 18)
    value, low, high = found["people_minus_machine"]
    assert value == pytest.approx(7 / 18)
    assert low < 0 < high
    # Unweighted: people alone on m:9; the machine alone on m:6 and m:8.
    assert found["paired"] == {"only_people_right": 1, "only_machine_right": 2, "p_value": pytest.approx(1.0)}


def test_several_people_are_compared_with_each_other() -> None:
    found = compared(OFFERS)
    assert found["machine_against_most_people"]["offers"] == 2
    assert found["machine_against_most_people"]["machine"][0] == 0
    # One pair of three agrees on m:6, none on m:7; a was said 3 times of 5.
    assert found["agreement"] == {
        "rows": 2, "pairwise": pytest.approx(1 / 6), "kappa": pytest.approx((1 / 6 - 13 / 25) / (12 / 25)),
    }  # fmt: skip
    by_name = {one["reviewer"]: (one["offers"], one["accuracy"][0]) for one in found["reviewers"]}
    assert by_name == {"ann": (11, pytest.approx(17 / 19)), "bob": (2, 0.0), "cho": (1, 1.0)}


def test_what_cannot_be_compared_is_none() -> None:
    unasked = compared([replace(PLAIN, machine=None)])
    assert unasked["people"][0] == 1
    assert (unasked["machine"], unasked["people_minus_machine"], unasked["paired"], unasked["agreement"]) == (None,) * 4
    assert compared([replace(PLAIN, given=None)])["people"] is None
    assert compared([replace(PLAIN, given=None)])["reviewers"] == []


def test_disagreements_that_stand_for_most_come_first() -> None:
    assert [one.product_id for one in disagreements(OFFERS, 3)] == ["m:9", "m:6", "m:7"]
