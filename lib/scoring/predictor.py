"""A saved model as a function from rows of ids to logits, and from names to rows of ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray

from lib.errors import UserError
from lib.evaluation.record import TOP
from lib.images.pixels import pixels
from lib.model.architecture import IMAGE_INPUT, INPUT_OF_COLUMN, MAIN_HEAD, Picture
from lib.model.saved import SavedModel, load
from lib.shards.row import feature_matrix

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Texts:
    """The texts of some rows, columns of equal length.

    Attributes:
        names: normalised.
        name_tokens, category_tokens: lists of tokens, none null.
        brand_fields: as `tokens` has them.
    """

    names: Sequence[str]
    name_tokens: pa.ListArray
    category_tokens: pa.ListArray
    brand_fields: pa.StructArray

    def __len__(self) -> int:
        return len(self.names)

    def slice(self, start: int, rows: int) -> "Texts":
        """Some of the rows."""
        lists = (self.name_tokens, self.category_tokens, self.brand_fields)
        return Texts(self.names[start : start + rows], *(one.slice(start, rows) for one in lists))


# Scoring with two models at a time is the most a process does.
KEPT_MODELS = 2
# Pictures that a backbone within the model sees at once: its first layers make some 10 MB of each.
MOST_PIXELS = 64


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
        if self.picture is not None:
            signature[IMAGE_INPUT] = _image_spec(self.picture)
        model = saved.model
        self._all_heads = tf.function(lambda x: model(x, training=False), input_signature=[signature])
        temperature = np.float32(saved.temperature)
        self._answers = tf.function(
            lambda x: _answers(model(x, training=False)[MAIN_HEAD], temperature), input_signature=[signature]
        )
        # What the other heads alone need is pruned from the graph.
        self._main_head = tf.function(lambda x: model(x, training=False)[MAIN_HEAD], input_signature=[signature])

    @property
    def picture(self) -> Picture | None:
        """What the model sees of pictures; None for a model of texts."""
        return self.saved.architecture.picture

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a training row that are the model's inputs."""
        return self.saved.architecture.columns

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of its heads."""
        return self.saved.architecture.heads

    def rows_at_once(self, batch_size: int) -> int:
        """Rows of a call, `batch_size` or fewer."""
        raw = self.picture is not None and self.picture.kind == "raw"
        return min(batch_size, MOST_PIXELS) if raw else batch_size

    def logits(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """Logits [rows, classes] of every head."""
        said = self._all_heads(dict(inputs))
        return {head: said[head].numpy() for head in self.heads}

    def main_logits(self, inputs: Mapping[str, Any]) -> NDArray[np.float32]:
        """Logits [rows, classes] of the answering head alone."""
        found: NDArray[np.float32] = self._main_head(dict(inputs)).numpy()
        return found

    def answers(self, inputs: Mapping[str, Any]) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """The answering head's best labels and their calibrated probabilities [rows, TOP], and entropy [rows] in nats.

        As `top_labels`, `softmax` and `entropy_of` give them, in one call: no row of probabilities leaves it.
        """
        top, probability, entropy = (found.numpy() for found in self._answers(dict(inputs)))
        missing = ((0, 0), (0, TOP - top.shape[1]))
        return np.pad(top, missing, constant_values=-1), np.pad(probability, missing), entropy

    def ids(self, texts: Texts) -> Arrays:
        """The model's inputs but for the picture: the ids that the shards hold for training."""
        lengths, words = self._lengths(), self.saved.words
        gram_ids, gram_weights = self.saved.grams.matrices(texts.names, lengths["gram_ids"])
        found = {
            "name_ids": words.matrix(texts.name_tokens, lengths["name_ids"]),
            "cat_ids": words.matrix(texts.category_tokens, lengths["cat_ids"]),
            "gram_ids": gram_ids,
            "gram_weights": gram_weights,
        }
        if self.saved.brands is not None:
            found["brand_ids"] = self.saved.brands.matrix(texts.brand_fields, texts.names, lengths["brand_ids"])
        return {INPUT_OF_COLUMN[column]: values for column, values in found.items()}

    def vectorised(self, texts: Texts, pictures: pa.Array | None = None) -> Arrays:
        """All of the model's inputs.

        Args:
            pictures: as `with_pictures` takes them.
        """
        return self.with_pictures(self.ids(texts), pictures)

    def with_pictures(self, ids: Arrays, pictures: pa.Array | None) -> Arrays:
        """`ids` and the picture, for a model that sees it.

        Args:
            pictures: of each row its features or its JPEG, as the model takes it, null where it has none; None where
                no row has one.
        """
        if self.picture is None:
            return ids
        rows = len(next(iter(ids.values())))
        return {**ids, IMAGE_INPUT: self._image_input(pictures, rows)}

    def of_rows(self, batch: Mapping[str, Any]) -> Arrays:
        """The model's inputs from a batch of training rows."""
        found = {INPUT_OF_COLUMN[column]: batch[column] for column in self.columns}
        if self.picture is not None and self.picture.kind == "raw":
            found[IMAGE_INPUT] = pixels(found[IMAGE_INPUT], self.picture.size)
        return found

    def _image_input(self, pictures: pa.Array | None, rows: int) -> Any:
        picture = self.picture
        assert picture is not None
        if picture.kind == "features":
            none = np.zeros((rows, picture.width), np.float32)
            return none if pictures is None else feature_matrix(pictures, picture.width)
        jpegs = [b""] * rows if pictures is None else [jpeg or b"" for jpeg in pictures.to_pylist()]
        return pixels(tf.constant(jpegs, tf.string), picture.size)

    def _lengths(self) -> dict[str, int]:
        sizes = self.saved.architecture
        brand = {} if sizes.brand is None else {"brand_ids": sizes.brand.length}
        return {
            "name_ids": sizes.name_length,
            "cat_ids": sizes.category_length,
            "gram_ids": sizes.gram_length,
            "gram_weights": sizes.gram_length,
            **brand,
        }


def token_lists(tokens: Sequence[Sequence[str]]) -> pa.ListArray:
    """Tokens of each row as `Predictor.ids` takes them."""
    return pa.array(tokens, pa.list_(pa.string()))


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


def _answers(logits: tf.Tensor, temperature: np.float32) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Labels [rows, TOP] best first (of equals the smaller), probabilities, entropy in nats."""
    logarithm = tf.nn.log_softmax(logits / temperature)
    best, top = tf.math.top_k(logarithm, min(TOP, logits.shape[1]))
    return top, tf.exp(best), -tf.reduce_sum(tf.exp(logarithm) * logarithm, axis=1)


def _image_spec(picture: Picture) -> tf.TensorSpec:
    if picture.kind == "features":
        return tf.TensorSpec((None, picture.width), tf.float32, IMAGE_INPUT)
    return tf.TensorSpec((None, picture.size, picture.size, 3), tf.uint8, IMAGE_INPUT)


def _kind(column: str) -> type:
    return np.float32 if column == "gram_weights" else np.int32
