"""A saved model as a function from rows of ids to logits, and from names to rows of ids."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.errors import UserError
from lib.model.architecture import (
    CATEGORY_INPUT,
    GRAM_WEIGHTS_INPUT,
    GRAMS_INPUT,
    HEADS,
    MAIN_HEAD,
    NAME_INPUT,
)
from lib.model.saved import SavedModel, load

# Column of a shard -> input of the model.
INPUT_OF_COLUMN = {
    "name_ids": NAME_INPUT,
    "cat_ids": CATEGORY_INPUT,
    "gram_ids": GRAMS_INPUT,
    "gram_weights": GRAM_WEIGHTS_INPUT,
}
Arrays = dict[str, NDArray[Any]]
# Scoring with two models at a time is the most a process does.
KEPT_MODELS = 2


class Predictor:
    """Runs a saved model without training behaviour, compiled once for any number of rows.

    Attributes:
        saved: the model and everything kept beside it.
        labels: cat_id -> dense label.
        cat_ids, paths: of each label.
    """

    def __init__(self, saved: SavedModel) -> None:
        self.saved = saved
        self.cat_ids = [str(entry["cat_id"]) for entry in saved.label_map]
        self.paths = [[str(name) for name in entry["path"]] for entry in saved.label_map]
        self.labels = {cat_id: label for label, cat_id in enumerate(self.cat_ids)}
        signature = {
            INPUT_OF_COLUMN[column]: tf.TensorSpec((None, length), _kind(column), INPUT_OF_COLUMN[column])
            for column, length in self._lengths().items()
        }
        model = saved.model
        self._all_heads = tf.function(lambda x: model(x, training=False), input_signature=[signature])
        # What the other heads alone need is pruned from the graph.
        self._main_head = tf.function(lambda x: model(x, training=False)[MAIN_HEAD], input_signature=[signature])

    def logits(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """Logits [rows, classes] of every head."""
        said = self._all_heads(dict(inputs))
        return {head: said[head].numpy() for head in HEADS}

    def main_logits(self, inputs: Mapping[str, Any]) -> NDArray[np.float32]:
        """Logits [rows, classes] of the answering head alone."""
        found: NDArray[np.float32] = self._main_head(dict(inputs)).numpy()
        return found

    def vectorised(
        self,
        names: Sequence[str],
        name_tokens: Sequence[Sequence[str]],
        category_tokens: Sequence[Sequence[str]],
    ) -> Arrays:
        """The model's inputs for normalised names and their tokens: the ids that the shards hold for training."""
        words, grams, lengths = self.saved.words, self.saved.grams, self._lengths()
        vectors = [grams.gram_vec(name, lengths["gram_ids"]) for name in names]
        rows: dict[str, list[Any]] = {
            "name_ids": [words.token_to_vec(tokens, lengths["name_ids"]) for tokens in name_tokens],
            "cat_ids": [words.token_to_vec(tokens, lengths["cat_ids"]) for tokens in category_tokens],
            "gram_ids": [ids for ids, _, _ in vectors],
            "gram_weights": [weights for _, weights, _ in vectors],
        }
        return {
            INPUT_OF_COLUMN[column]: np.array(values, _kind(column)).reshape(len(values), lengths[column])
            for column, values in rows.items()
        }

    def _lengths(self) -> dict[str, int]:
        sizes = self.saved.architecture
        return {
            "name_ids": sizes.name_length,
            "cat_ids": sizes.category_length,
            "gram_ids": sizes.gram_length,
            "gram_weights": sizes.gram_length,
        }


@lru_cache(maxsize=KEPT_MODELS)
def worker_predictor(folder: str, threads: int) -> Predictor:
    """The predictor of a Spark Python worker, loaded at its first batch and kept while the process lives.

    Args:
        threads: of TensorFlow in this process; Spark runs one process a core.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow already runs here, because a worker scores with its second model: its threads are set.
        pass
    return Predictor(load(folder))


def shared_predictor(folder: str) -> Predictor:
    """A predictor in the driver, with all of TensorFlow's threads.

    Raises:
        UserError: the folder holds no whole model.
    """
    return Predictor(load(folder))


def check_same_tokens(predictor: Predictor, tokenizer_keys: Sequence[str]) -> None:
    """Refuse tokens that another tokenizer made than the one the model learnt from.

    Raises:
        UserError: names both.
    """
    own = str(predictor.saved.tokenizer["key"])
    other = [key for key in tokenizer_keys if key != own]
    if other:
        raise UserError(f"the model was trained on tokens of {own} but these were made by {other[0]}; tokenize again")


def _kind(column: str) -> type:
    return np.float32 if column == "gram_weights" else np.int32
