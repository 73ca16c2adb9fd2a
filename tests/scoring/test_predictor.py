"""A saved model as a function of names."""

import numpy as np
import pytest

from lib.errors import UserError
from lib.evaluation.record import entropy_of, softmax, top_labels
from lib.evaluation.sample import Sample
from lib.model.architecture import INPUT_OF_COLUMN
from lib.scoring import recorded
from lib.scoring.batch import answers
from lib.scoring.predictor import Predictor, Texts, check_same_tokens, token_lists
from tests.brandless import brandless
from tests.scoring.tiny_model import NAMES, TOKENIZER_KEY, encoded

TEXTS = [name for name, _ in NAMES]


def _texts() -> Texts:
    tokens, nothing = token_lists([name.split() for name in TEXTS]), token_lists([[] for _ in TEXTS])
    return Texts(TEXTS, tokens, nothing, brandless(len(TEXTS)))


def _inputs(predictor: Predictor) -> dict[str, np.ndarray]:
    return predictor.ids(_texts())


def test_names_become_the_ids_that_training_saw(predictor: Predictor) -> None:
    for column, values in encoded(TEXTS).items():
        np.testing.assert_array_equal(_inputs(predictor)[INPUT_OF_COLUMN[column]], values, err_msg=column)


def test_answers_are_the_same_in_batches_of_any_size(predictor: Predictor) -> None:
    whole, cut = (answers(predictor, _texts(), None, size) for size in (100, 4))
    np.testing.assert_array_equal(whole.top, cut.top)
    np.testing.assert_allclose(whole.probability, cut.probability, atol=1e-6)
    assert [predictor.cat_ids[label] for label in whole.top[:, 0]] == [cat_id for _, cat_id in NAMES]


def test_answers_are_repeatable_so_dropout_is_off(predictor: Predictor) -> None:
    first, second = (predictor.logits(_inputs(predictor))["output"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_main_logits_are_those_of_the_answering_head(predictor: Predictor) -> None:
    inputs = _inputs(predictor)
    np.testing.assert_allclose(predictor.main_logits(inputs), predictor.logits(inputs)["output"], atol=1e-5)


def test_temperature_is_applied_to_confidences(predictor: Predictor) -> None:
    logits = predictor.main_logits(_inputs(predictor)) / predictor.saved.temperature
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    found = answers(predictor, _texts(), None, 100)
    np.testing.assert_allclose(found.probability[:, 0], expected.max(axis=1), rtol=1e-5)
    assert predictor.saved.temperature == 1.25


def test_answers_are_those_of_a_recorded_row(predictor: Predictor) -> None:
    """Labels, probabilities and entropy as evaluation makes them of whole rows of probabilities."""
    inputs = _inputs(predictor)
    probabilities = softmax(predictor.main_logits(inputs), predictor.saved.temperature)
    top, probability, entropy = predictor.answers(inputs)
    labels, best = top_labels(probabilities)
    np.testing.assert_array_equal(top, labels)
    np.testing.assert_allclose(probability, best, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(entropy, entropy_of(probabilities), atol=1e-6)


def test_tokens_of_another_tokenizer_are_refused(predictor: Predictor) -> None:
    check_same_tokens(predictor, [TOKENIZER_KEY])
    with pytest.raises(UserError, match="okt/9"):
        check_same_tokens(predictor, [TOKENIZER_KEY, "okt/9"])


def test_sampled_names_are_recorded_for_every_head(predictor: Predictor) -> None:
    texts, given = _texts(), np.array([cat_id for _, cat_id in NAMES], object)
    columns = (texts.name_tokens, texts.category_tokens, texts.brand_fields)
    sample = Sample(np.array(TEXTS, object), np.array(TEXTS, object), *columns, given, None, 6)
    labels = np.array([predictor.labels[cat_id] for _, cat_id in NAMES[:5]] + [-1], np.int32)
    seen = recorded.on_names(predictor, recorded.hierarchy_of(predictor), sample, labels, 4)
    assert set(seen) == {"text_prod_output", "text_cat_output", "output"}
    assert seen["output"].correct.tolist() == [True] * 5 + [False]
