"""The text part of the multimodal multitask model: name and mall category in, logits of three heads out.

`textcnn` is the published model: embedding, filters of several widths, max-over-time pooling, dropout, dense, softmax.
`grams_and_words` puts beside its name branch what wins on short noisy names: a bag of character grams through a hidden
layer, and a wide path from gram vectors straight to the classes.
"""

from typing import Any

import keras
from numpy.typing import NDArray

from lib.model.architecture import CATEGORY_INPUT, GRAM_WEIGHTS_INPUT, GRAMS_INPUT, NAME_INPUT, Architecture
from lib.model.layers.bag import WeightedBag
from lib.model.layers.gram_dropout import GramDropout
from lib.model.layers.table import Lookup, Tensor
from lib.model.layers.text_cnn import TextCNN


def build(architecture: Architecture, embedding: NDArray[Any] | None = None) -> keras.Model:
    """A fresh model.

    Args:
        architecture: sizes and settings.
        embedding: word vectors [words, embedding_size] to start from (and to keep, if the settings freeze them);
            random ones where None.

    Returns:
        A model from a dict of the four inputs (int32 ids [batch, length], float32 weights) to a dict of logits
        [batch, classes], one entry per head.
    """
    inputs = _inputs(architecture)
    words = _word_table(architecture, embedding)
    name = _text("name", inputs[NAME_INPUT], words, architecture)
    category = _text("category", inputs[CATEGORY_INPUT], words, architecture)
    of_name = [name]
    if architecture.settings.text_branch == "grams_and_words":
        of_name = [name, *_grams(inputs[GRAMS_INPUT], inputs[GRAM_WEIGHTS_INPUT], architecture)]
    heads = {
        "text_prod_output": _head("text_prod_output", of_name, architecture),
        "text_cat_output": _head("text_cat_output", [category], architecture),
        "output": _head("output", [*of_name, category], architecture),
    }
    return keras.Model(inputs, heads, name="catmatch")


def _inputs(architecture: Architecture) -> dict[str, Any]:
    grams = (architecture.gram_length,)
    return {
        NAME_INPUT: keras.Input((architecture.name_length,), dtype="int32", name=NAME_INPUT),
        CATEGORY_INPUT: keras.Input((architecture.category_length,), dtype="int32", name=CATEGORY_INPUT),
        GRAMS_INPUT: keras.Input(grams, dtype="int32", name=GRAMS_INPUT),
        GRAM_WEIGHTS_INPUT: keras.Input(grams, dtype="float32", name=GRAM_WEIGHTS_INPUT),
    }


def _word_table(architecture: Architecture, embedding: NDArray[Any] | None) -> Lookup:
    """One word table for names and mall categories: both are vectorised by the same vocabulary."""
    settings = architecture.settings
    return Lookup(
        architecture.words,
        settings.embedding_size,
        values=embedding,
        trainable=not settings.freeze_embedding,
        name="word_table",
    )


def _text(name: str, ids: Tensor, words: Lookup, architecture: Architecture) -> Tensor:
    """One TextCNN branch: [batch, fcl_dim]."""
    settings = architecture.settings
    vectors = keras.layers.Dropout(settings.embedding_dropout, name=f"{name}_embedding_dropout")(words(ids))
    cnn = TextCNN(settings.widths, settings.filters, settings.cnn_activation, name=f"{name}_cnn")
    pooled = keras.layers.Dropout(settings.cnn_dropout, name=f"{name}_cnn_dropout")(cnn((vectors, ids)))
    return _dense(name, pooled, settings.fcl_dim, architecture)


def _grams(ids: Tensor, weights: Tensor, architecture: Architecture) -> list[Tensor]:
    """The hidden and the wide path over one table, whose rows hold both paths' vectors side by side."""
    settings = architecture.settings
    kept = GramDropout(settings.gram_dropout, name="gram_dropout")(weights)
    width = settings.bag_size + settings.wide_size
    bag = WeightedBag(architecture.grams, width, spread=settings.gram_spread, name="gram_table")((ids, kept))
    paths = []
    if settings.bag_size:
        paths.append(_dense("grams", bag[:, : settings.bag_size], settings.gram_fcl_dim, architecture))
    if settings.wide_size:
        paths.append(bag[:, settings.bag_size :])
    return paths


def _dense(name: str, features: Tensor, size: int, architecture: Architecture) -> Tensor:
    settings = architecture.settings
    hidden = keras.layers.Dense(size, activation=settings.fcl_activation, name=f"{name}_dense")(features)
    return keras.layers.Dropout(settings.fcl_dropout, name=f"{name}_dropout")(hidden)


def _head(name: str, features: list[Tensor], architecture: Architecture) -> Tensor:
    """Logits [batch, classes] on the concatenated features."""
    joined = (
        features[0] if len(features) == 1 else keras.layers.Concatenate(name=f"{name}_features")(features)
    )
    return keras.layers.Dense(architecture.classes, name=name)(joined)
