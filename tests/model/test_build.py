"""The built network: its heads, which branch reads what, and how it is described."""

import numpy as np
import pytest

from lib.config import ModelSettings
from lib.errors import UserError
from lib.model.architecture import HEADS, Architecture
from lib.model.build import build
from lib.training.step import inputs_of
from tests.training import toy


@pytest.mark.parametrize("branch", ["textcnn", "grams_and_words"])
def test_every_head_gives_logits(branch: str) -> None:
    logits = build(toy.architecture(text_branch=branch))(inputs_of(toy.rows(5, 0)))
    assert {head: values.shape for head, values in logits.items()} == dict.fromkeys(HEADS, (5, toy.CLASSES))


def test_heads_read_what_their_names_say() -> None:
    model = build(toy.architecture())
    plain = {name: values.copy() for name, values in toy.rows(4, 0).items()}
    changed = {**plain, "cat_ids": np.full((4, 3), 3, np.int32)}
    before, after = model(inputs_of(plain)), model(inputs_of(changed))
    moved = {head for head in HEADS if not np.allclose(before[head], after[head])}
    assert moved == {"text_cat_output", "output"}


def test_textcnn_does_not_read_grams() -> None:
    plain = toy.rows(4, 0)
    changed = {**plain, "gram_weights": plain["gram_weights"] * 2}
    for branch, same in (("textcnn", True), ("grams_and_words", False)):
        model = build(toy.architecture(text_branch=branch))
        first, second = (model(inputs_of(rows))["output"] for rows in (plain, changed))
        assert np.allclose(first, second) == same


def test_word_vectors_are_taken_over_and_frozen() -> None:
    vectors = np.random.default_rng(0).normal(size=(toy.WORDS, 8)).astype(np.float32)
    model = build(toy.architecture(freeze_embedding=True), vectors)
    table = model.get_layer("word_table")
    np.testing.assert_array_equal(table.table.numpy(), vectors)
    assert not table.trainable_variables


def test_architecture_survives_json() -> None:
    made = toy.architecture(text_branch="textcnn", widths=[2, 5])
    assert Architecture.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    "change",
    [{"words": 0}, {"classes": "4"}, {"settings": {"unknown": 1}}, {"grams": None}, {"settings": None}],
)
def test_hostile_architecture_is_refused_in_one_sentence(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="train again"):
        Architecture.from_json({**toy.architecture().to_json(), **change})


def test_grams_without_a_path_are_refused() -> None:
    with pytest.raises(ValueError, match="both 0"):
        ModelSettings(bag_size=0, wide_size=0)
