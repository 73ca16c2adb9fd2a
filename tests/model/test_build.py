"""The built network: its heads, which branch reads what, and how it is described."""

import numpy as np
import pytest
from scipy.special import softmax

from lib.config import ModelSettings
from lib.errors import UserError
from lib.model.architecture import HEADS, Architecture
from lib.model.build import build, networks
from lib.training.step import inputs_of
from tests.training import toy


@pytest.mark.parametrize("branch", ["textcnn", "grams", "grams_and_words"])
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
    model = networks(toy.architecture(freeze_embedding=True), vectors).scoring
    table = model.get_layer("word_table")
    np.testing.assert_array_equal(table.table.numpy(), vectors)
    assert not table.trainable_variables


def test_members_answer_with_their_mean() -> None:
    architecture = toy.architecture(members=3)
    model, rows = build(architecture), inputs_of(toy.rows(5, 0))
    answers = [model.get_layer(f"member_{number}")(rows) for number in (1, 2, 3)]
    assert not np.allclose(answers[0]["output"], answers[1]["output"])
    for head, said in model(rows).items():
        np.testing.assert_allclose(said, np.mean([answer[head] for answer in answers], axis=0), atol=1e-6)


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


def facts(grams: int) -> dict[str, int]:
    lengths = {"name_length": 6, "category_length": 3, "gram_length": 8}
    return {**lengths, "words": 10, "grams": grams, "classes": 5000}


def test_margins_too_many_for_memory_are_refused_with_the_fix() -> None:
    assert Architecture.of_shards(facts(1000), ModelSettings()).grams == 1000
    assert Architecture.of_shards(facts(10**6), ModelSettings(margin=False)).grams == 10**6
    with pytest.raises(UserError, match=r"set model\.margin=false"):
        Architecture.of_shards(facts(10**6), ModelSettings())


def test_margins_are_added_to_log_probabilities() -> None:
    made = networks(toy.architecture(text_branch="grams", margin_weight=3.0))
    made.scoring.get_layer("margin_table").table.assign(np.random.default_rng(0).normal(size=(toy.GRAMS, toy.CLASSES)))
    plain, blended = (one(inputs_of(toy.rows(5, 0))) for one in (made.training, made.scoring))
    for head in ("text_prod_output", "output"):
        expected = np.log(softmax(plain[head].numpy(), axis=1)) + 3.0 * plain["margin"].numpy()
        np.testing.assert_allclose(blended[head], expected, atol=1e-4)
    np.testing.assert_array_equal(blended["text_cat_output"], plain["text_cat_output"])


def test_margins_start_at_minus_one_for_every_class() -> None:
    made = networks(toy.architecture())
    assert (made.training(inputs_of(toy.rows(5, 0)))["margin"].numpy() == -1).all()
