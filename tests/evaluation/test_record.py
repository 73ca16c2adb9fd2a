"""The record kept of each row: top five, temperature, joining of batches."""

import numpy as np

from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Recorder, entropy_of, join, record, softmax, top_labels

PATHS = [["a", str(leaf)] for leaf in range(8)]


def test_softmax_divides_by_the_temperature() -> None:
    logits = np.array([[0.0, np.log(3.0)]], np.float32)
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(softmax(2 * logits, 2.0), [[0.25, 0.75]], rtol=1e-6)
    assert np.isfinite(softmax(np.array([[1e4, -1e4]], np.float32))).all()


def test_entropy_is_in_nats() -> None:
    probabilities = np.array([[0.25] * 4, [1.0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(entropy_of(probabilities), [np.log(4), 0.0], atol=1e-6)


def test_top_labels_best_first_padded_where_classes_run_out() -> None:
    labels, values = top_labels(np.array([[0.1, 0.5, 0.4]], np.float32))
    assert labels.tolist() == [[1, 2, 0, -1, -1]]
    np.testing.assert_allclose(values, [[0.5, 0.4, 0.1, 0, 0]], rtol=1e-6)


def test_top_labels_agree_with_a_full_sort() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(40), 30).astype(np.float32)
    labels, _ = top_labels(probabilities)
    np.testing.assert_array_equal(labels, np.argsort(-probabilities, axis=1)[:, :5])


def test_batches_join_to_what_one_batch_gives() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(20, 8)).astype(np.float32)
    label = generator.integers(-1, 8, 20).astype(np.int32)
    hierarchy = Hierarchy(PATHS)
    whole, cut = Recorder(hierarchy, 1.7), Recorder(hierarchy, 1.7)
    whole.add(logits, label)
    for rows in (slice(0, 7), slice(7, 20)):
        cut.add(logits[rows], label[rows])
    for name, values in vars(whole.finish()).items():
        np.testing.assert_allclose(getattr(cut.finish(), name), values, rtol=1e-5, err_msg=name)


def test_rows_with_an_unknown_leaf_are_errors() -> None:
    recorder = Recorder(Hierarchy(PATHS))
    recorder.add(np.zeros((2, 8), np.float32), np.array([-1, 0], np.int32))
    seen = recorder.finish()
    assert seen.correct.tolist() == [False, True]
    assert seen.level_labels.tolist() == [[-1] * 4, [0, 0, -1, -1]]


def test_one_record_per_head() -> None:
    batches = [({"output": np.eye(8, dtype=np.float32)[:2], "other": np.zeros((2, 8), np.float32)},
                np.array([0, 1], np.int32), None, None)]  # fmt: skip
    seen = record(batches, Hierarchy(PATHS), {"output": 1.0, "other": 1.0})
    assert seen["output"].correct.tolist() == [True, True]
    assert seen["other"].correct.tolist() == [True, False]


def test_no_batch_gives_an_empty_record() -> None:
    assert len(join([])) == 0
    assert join([]).levels.shape == (0, 4)
