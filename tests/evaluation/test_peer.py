"""The scikit-learn peer."""

from lib.evaluation import peer


def test_peer_learns_from_grams_of_names() -> None:
    names = ["사과 한박스", "꿀사과 5kg", "사과 선물", "면 티셔츠", "반팔 티셔츠", "티셔츠 흰색"]
    answered = peer.answer(names, ["1", "1", "1", "2", "2", "2"], ["햇사과", "긴팔 티셔츠"])
    assert answered.predicted.tolist() == ["1", "2"]
    assert answered.seconds > 0


def test_one_category_is_its_own_answer() -> None:
    assert peer.answer(["가나"], ["7"], ["다라", "마"]).predicted.tolist() == ["7", "7"]
