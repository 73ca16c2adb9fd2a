"""The built network: its heads, which branch reads what, and how it is described."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.special import softmax

from lib.config import ModelSettings
from lib.errors import UserError
from lib.model.architecture import Architecture, BrandIds, Picture
from lib.model.build import build, networks
from lib.training.step import inputs_of
from tests.training import toy


@pytest.mark.parametrize("branch", ["textcnn", "grams", "grams_and_words"])
def test_every_head_gives_logits(branch: str) -> None:
    architecture = toy.architecture(text_branch=branch)
    logits = build(architecture)(inputs_of(toy.rows(5, 0)))
    expected = dict.fromkeys(("text_prod_output", "text_cat_output", "output"), (5, toy.CLASSES))
    assert {head: values.shape for head, values in logits.items()} == expected
    assert architecture.heads == tuple(expected)


def test_heads_read_what_their_names_say() -> None:
    model = build(toy.architecture())
    plain = {name: values.copy() for name, values in toy.rows(4, 0).items()}
    changed = {**plain, "cat_ids": np.full((4, 3), 3, np.int32)}
    before, after = model(inputs_of(plain)), model(inputs_of(changed))
    moved = {head for head in before if not np.allclose(before[head], after[head])}
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


def test_brands_reach_the_answer_alone() -> None:
    architecture = replace(toy.architecture(), brand=BrandIds(7, 3))
    model, rows = build(architecture), toy.rows(4, 0)
    assert architecture.columns[-1] == "brand_ids"
    some, none = ({**rows, "brand_ids": np.full((4, 3), number, np.int32)} for number in (5, 0))
    before, after = model(inputs_of(some)), model(inputs_of(none))
    assert {head for head in before if not np.allclose(before[head], after[head])} == {"output"}


@pytest.mark.parametrize(
    ("features", "heads", "columns"),
    [
        (["prod_nm"], {"text_prod_output", "output"}, {"name_ids", "gram_weights"}),
        (["cat"], {"text_cat_output", "output"}, {"cat_ids"}),
        (["brand"], {"output"}, {"brand_ids"}),
        (["cat", "brand"], {"text_cat_output", "output"}, {"cat_ids", "brand_ids"}),
    ],
)
def test_a_model_reads_the_features_it_is_given_and_no_others(
    features: list[str], heads: set[str], columns: set[str]
) -> None:
    plain = toy.architecture(features=features, text_branch="grams_and_words")
    architecture = replace(plain, brand=BrandIds(7, 3) if "brand" in features else None)
    model = build(architecture)
    given = {**toy.rows(4, 0), "brand_ids": np.full((4, 3), 2, np.int32)}
    rows = {column: given[column] for column in architecture.columns}
    before = model(inputs_of(rows))
    assert set(before) == set(architecture.heads) == heads
    for column in columns | {"name_ids", "cat_ids", "gram_weights"}:
        changed = {**rows, column: np.zeros_like(rows[column])}
        moved = not np.allclose(before["output"], model(inputs_of(changed))["output"])
        assert moved == (column in columns), column


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
    branded = replace(made, brand=BrandIds(7, 3))
    assert Architecture.from_json(branded.to_json()) == branded


@pytest.mark.parametrize(
    "change",
    [
        {"words": 0},
        {"brand": {"brands": 7}},
        {"classes": "4"},
        {"settings": {"unknown": 1}},
        {"grams": None},
        {"settings": None},
    ],
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


FEATURES = Picture("features", 32, "mobilenet", "mobilenet-32-0123abcd", 6)


def pictured(rows: dict[str, np.ndarray], seen: list[bool]) -> dict[str, np.ndarray]:
    """The rows with features of pictures, zeros where there is none."""
    features = np.random.default_rng(3).normal(size=(len(seen), FEATURES.width)).astype(np.float32)
    return {**rows, "image_features": features * np.array(seen, np.float32)[:, None]}


def test_a_model_of_pictures_has_the_published_heads() -> None:
    model = build(replace(toy.architecture(), picture=FEATURES))
    logits = model(inputs_of(pictured(toy.rows(3, 0), [True, True, False])))
    expected = dict.fromkeys(("text_prod_output", "text_cat_output", "img_output", "output"), (3, toy.CLASSES))
    assert {head: values.shape for head, values in logits.items()} == expected


def test_a_picture_moves_its_own_head_and_the_answer() -> None:
    model = build(replace(toy.architecture(), picture=FEATURES))
    rows = pictured(toy.rows(4, 0), [True] * 4)
    changed = {**rows, "image_features": rows["image_features"][::-1].copy()}
    before, after = model(inputs_of(rows)), model(inputs_of(changed))
    assert {head for head in before if not np.allclose(before[head], after[head])} == {"img_output", "output"}


def test_a_row_without_a_picture_answers_as_one_alone_in_a_batch_with_others() -> None:
    """Rows with and without pictures share a batch, and what stands for no picture adds nothing."""
    architecture = replace(toy.architecture(fcl_activation="gelu"), picture=FEATURES)
    model, rows = build(architecture), pictured(toy.rows(4, 0), [True, False, True, False])
    # Biases that would speak for a missing picture if it were not masked.
    for layer in ("img_dense", "img_scale"):
        model.get_layer(layer).set_weights([w + 0.5 for w in model.get_layer(layer).get_weights()])
    weights, bias = model.get_layer("output").get_weights()
    hidden = keras.Model(model.input, model.get_layer("output").input)
    of_image = architecture.settings.image_fcl_dim + FEATURES.width
    features = hidden(inputs_of(rows)).numpy()[:, -of_image:]
    assert (features[[1, 3]] == 0).all()
    assert (features[[0, 2]] != 0).any(axis=1).all()
    mixed, alone = model(inputs_of(rows)), model(inputs_of({name: values[1:2] for name, values in rows.items()}))
    np.testing.assert_allclose(mixed["output"][1:2], alone["output"], atol=1e-5)
    assert weights.shape[0] == hidden.output.shape[1]
    assert bias.shape == (toy.CLASSES,)


def test_settings_leave_the_picture_out() -> None:
    record = {"kind": "features", "size": 32, "backbone": "mobilenet", "key": "mobilenet-32-0123abcd", "width": 6}
    given = {**facts(100), "picture": record}
    assert Architecture.of_shards(given, ModelSettings()).picture == FEATURES
    assert Architecture.of_shards(given, ModelSettings(image=False)).picture is None


def test_architecture_with_a_picture_survives_json() -> None:
    made = replace(toy.architecture(), picture=FEATURES)
    assert Architecture.from_json(json.loads(json.dumps(made.to_json()))) == made
    for change in ({"kind": "film"}, {"backbone": "../etc"}, {"width": 0}, {"size": None}):
        record = made.to_json()
        record["picture"] = {**record["picture"], **change}
        with pytest.raises(UserError, match="train again"):
            Architecture.from_json(record)


def test_a_backbone_within_the_model_is_frozen_up_to_the_layer_asked_for() -> None:
    raw = Picture("raw", 32, "mobilenet", "mobilenet-32-random", 1024)
    rows = {**toy.rows(2, 0), "image": np.zeros((2, 32, 32, 3), np.uint8)}
    rows["image"][0] = 200
    frozen = networks(replace(toy.architecture(), picture=raw)).scoring
    assert set(frozen(inputs_of(rows))) == {"text_prod_output", "text_cat_output", "img_output", "output"}
    tuned = networks(replace(toy.architecture(fine_tune_from="conv_pw_13"), picture=raw)).scoring
    assert len(tuned.trainable_variables) == len(frozen.trainable_variables) + 1
    with pytest.raises(UserError, match="no_such_layer"):
        networks(replace(toy.architecture(fine_tune_from="no_such_layer"), picture=raw))
