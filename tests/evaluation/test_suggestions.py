"""Suggested fixes: what the sampled names show, and that a person's file would take them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lib.categories.fixes import MonthFixes
from lib.categories.taxonomy import Leaf
from lib.config.category_fixes import CategoryFix
from lib.evaluation.bootstrap import Interval
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Predictions, Recorder
from lib.evaluation.sample import Sample
from lib.evaluation.suggestions import Suggester
from lib.evaluation.uncertain import Kind, Rival, UncertainCategory
from tests.brandless import brandless

CAT_IDS = ["100", "101", "102", "103"]
Row = tuple[str, str, int, int]


def category(kind: Kind, rows: int = 100, mistaken: int = 40, rivals: tuple[Rival, ...] = ()) -> UncertainCategory:
    return UncertainCategory(0, rows, mistaken, Interval(1.0, 0.9, 1.1), 3.5, 30, 2, rivals, kind)


def suggester(*rows: Row) -> Suggester:
    """Rows of (product_id, name, given, said), all of them sure."""
    label, said = (np.array([row[at] for row in rows], np.int32) for at in (2, 3))
    seen = _seen(label, said)
    columns = [np.array([row[0] for row in rows], object), np.array([row[1] for row in rows], object)]
    tokens = pa.array([row[1].split() for row in rows], pa.list_(pa.string()))
    given = np.array([CAT_IDS[one] for one in label], object)
    sample = Sample(*columns, tokens, tokens, brandless(len(rows)), given, None, len(rows))
    return Suggester(sample, seen, CAT_IDS, 0.9, "2026-04")


def _seen(label: np.ndarray, said: np.ndarray) -> Predictions:
    recorder = Recorder(Hierarchy([[cat_id] for cat_id in CAT_IDS]))
    if len(label):
        recorder.add(np.eye(len(CAT_IDS), dtype=np.float32)[said] * 20, label)
    return recorder.finish()


def accepted(entry: dict[str, Any] | None) -> dict[str, Any]:
    """The entry, once a person's file with it was accepted."""
    assert entry is not None
    fix = CategoryFix.model_validate({"by": "kim", **entry})
    fixes = MonthFixes("file", "2026-04", {1: fix})
    fixes.rules(fixes.merged([Leaf(cat_id, (cat_id,)) for cat_id in CAT_IDS]))
    assert entry["from_month"] == "2026-04"
    return entry


def test_the_smaller_twin_goes_into_the_larger_one_whichever_is_asked() -> None:
    one = category("twins", rivals=(Rival(2, 30, 20, 400),))
    made = accepted(suggester().fix(one))
    assert made["merge"] == {"categories": ["100"], "into": "102"}
    assert made["why"] == "twins: 30 of 100 rows are answered with the other, 20 of 400 back"
    larger = category("twins", rivals=(Rival(2, 30, 20, 50),))
    assert accepted(suggester().fix(larger))["merge"] == {"categories": ["102"], "into": "100"}
    equal = category("twins", rivals=(Rival(2, 30, 20, 100),))
    assert accepted(suggester().fix(equal))["merge"] == {"categories": ["100"], "into": "102"}


BAD_MALL: list[Row] = [(f"bada:{n}", f"name{n}", 0, 1) for n in range(4)] + [("bada:9", "name", 0, 0)]
GOOD_MALL: list[Row] = [(f"nuri:{n}", f"other{n}", 0, 0) for n in range(9)] + [("nuri:x", "stray", 0, 1)]


def test_misfiled_rows_of_a_mall_get_the_label_they_are_answered_with() -> None:
    one = category("polluted", rivals=(Rival(1, 30, 1, 400),))
    made = accepted(suggester(*BAD_MALL, *GOOD_MALL).fix(one))
    assert made["relabel"] == {"category": "100", "malls": ["bada"], "into": "101"}
    several = category("polluted", rivals=(Rival(1, 15, 1, 400), Rival(2, 10, 0, 400)))
    assert accepted(suggester(*BAD_MALL, *GOOD_MALL).fix(several))["exclude"] == {"category": "100", "malls": ["bada"]}


def test_where_no_mall_stands_out_words_do() -> None:
    rows: list[Row] = [(f"m{n}:1", f"양말 특가 {n}", 0, 1) for n in range(3)]
    right: list[Row] = [(f"m{n}:2", f"신발 특가 {n + 9}", 0, 0) for n in range(3)]
    one = category("polluted", rivals=(Rival(1, 30, 1, 400),))
    assert accepted(suggester(*rows, *right).fix(one))["relabel"]["words"] == ["양말"]
    assert suggester(*rows).fix(one) is None, "with nothing to tell them from, any word would do"
    assert suggester().fix(one) is None


def test_a_broad_category_is_split_by_the_words_of_its_rivals() -> None:
    rows: list[Row] = [("m:1", "캠핑 의자", 0, 1), ("m:2", "캠핑 탁자", 0, 1), ("m:3", "낚시 의자", 0, 2),
                       ("m:4", "낚시 탁자", 0, 2), ("m:5", "의자 탁자", 0, 0), ("m:6", "낚시 의자", 3, 3)]  # fmt: skip
    one = category("broad", rivals=(Rival(1, 10, 1, 90), Rival(2, 9, 0, 90), Rival(3, 8, 0, 90)))
    made = accepted(suggester(*rows).fix(one))
    rules = [{"words": ["캠핑"], "into": "101"}, {"words": ["낚시"], "into": "102"}]
    assert made["split"] == {"category": "100", "rules": rules}
    assert suggester(*rows[:1]).fix(one) is None


@pytest.mark.parametrize("rivals", [(), (Rival(1, 3, 1, 90),)])
def test_where_nothing_stands_out_nothing_is_suggested(rivals: tuple[Rival, ...]) -> None:
    assert suggester(*BAD_MALL).fix(category("uncertain", rivals=rivals)) is None
