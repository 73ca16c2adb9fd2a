"""Which rule moves which table, and how fast."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lib.config import TrainSettings
from lib.model.build import networks
from lib.training.optimizer import GRAM_START, Optimizer
from lib.training.row_sparse import SparseTable
from lib.training.rules import SGD, Adagrad, Adam
from tests.training import toy


def tables(**settings: object) -> dict[str, SparseTable]:
    """The tables of a network with words, by name."""
    network = networks(toy.architecture(text_branch="grams_and_words")).scoring
    made = Optimizer(network, TrainSettings(**{"batch_size": 10, "learning_rate": 0.01, **settings}), 100)
    names = {layer.table.value.ref(): layer.name for layer in network.layers if hasattr(layer, "table")}
    return {names[table.variable.ref()]: table for table in made.tables}


def test_grams_have_a_rule_and_rates_of_their_own() -> None:
    found = tables(optimizer="adam", gram_rate=0.05, margin_rate=0.2, table_rate=3.0)
    assert found["word_table"].rule == Adam()
    assert found["gram_table"].rule == found["margin_table"].rule == Adagrad(start=GRAM_START / 100, epsilon=0.0)
    rates = {name: table.rate for name, table in found.items()}
    assert rates == pytest.approx({"word_table": 3.0, "gram_table": 5.0, "margin_table": 20.0})


def test_one_rule_for_all_where_asked_for() -> None:
    found = tables(optimizer="sgd", momentum=0.5, gram_optimizer=None)
    assert {name: table.rule for name, table in found.items()} == dict.fromkeys(found, SGD(0.5))


def test_from_a_small_start_a_rare_gram_moves_less_than_a_frequent_one_but_more_than_under_kerass_start() -> None:
    def moved(start: float, gradient: float) -> float:
        table = SparseTable(tf.Variable(np.zeros((1, 1), np.float32)), Adagrad(start, epsilon=0.0))
        table.apply(tf.constant([0]), tf.constant([[gradient]]), tf.constant(0.2), tf.constant(1))
        return abs(float(table.variable.numpy()[0, 0]))

    small, rare, frequent = GRAM_START / 512**2, 0.05 / 512, 5.0 / 512
    assert moved(small, rare) < 0.5 * moved(small, frequent)
    assert moved(keras.optimizers.Adagrad().initial_accumulator_value, rare) < 0.01 * moved(small, rare)
