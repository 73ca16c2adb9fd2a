"""The multimodal multitask model: name, mall category, brands and picture in, logits of four heads out.

`textcnn` is the published model: embedding, filters of several widths, max-over-time pooling, dropout, dense, softmax.
`grams` and `grams_and_words` read the name as a bag of character grams, which wins on short noisy names, without or
with the TextCNN beside it: gram vectors through a hidden layer and straight to the classes, and (`margin`) a number for
each gram and class, trained one class against the rest and added to the softmax's log probabilities at the end. The
picture comes as a backbone's features, or as it is for a backbone within the model (lib/images/backbones.py); a row
without one has zeros in its place and adds nothing to `output`. Brands have ids of their own
(lib/categories/brand_names.py) and no head. A model may have several such networks, trained apart
(`ensemble`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib.config import BackboneSettings
from lib.images.backbones import network, trainable_from
from lib.model.architecture import (
    BRAND_INPUT,
    CATEGORY_INPUT,
    GRAM_WEIGHTS_INPUT,
    GRAMS_INPUT,
    IMAGE_HEAD,
    IMAGE_INPUT,
    NAME_INPUT,
    Architecture,
    Picture,
)
from lib.model.layers.bag import WeightedBag
from lib.model.layers.gram_dropout import GramDropout
from lib.model.layers.margin import Blend, Margin
from lib.model.layers.present import Present
from lib.model.layers.table import Lookup, Tensor
from lib.model.layers.text_cnn import TextCNN

MARGIN, JOINT_MARGIN = "margin", "joint_margin"
# Name of its layer, by which the optimizer gives it a rate of its own (lib/training/optimizer.py).
MARGIN_TABLE = "margin_table"


@dataclass(frozen=True)
class Networks:
    """Two views of the same layers.

    Attributes:
        scoring: a dict of the inputs (int32 ids [batch, length], float32 weights, and the picture as float32 features
            [batch, width] or uint8 pixels [batch, size, size, 3]) to a dict of logits [batch, classes], one entry per
            head.
        training: the same inputs to what the loss is taken of: the heads before the margins are added, and the margins
            where the settings have them (entry MARGIN; those of name and picture together in JOINT_MARGIN).
    """

    scoring: keras.Model
    training: keras.Model


@dataclass(frozen=True)
class _Grams:
    """What the bag of grams gives: features for the heads, and sums for margins or None."""

    features: list[Any]
    sums: Any


def build(architecture: Architecture) -> keras.Model:
    """A fresh scoring model with all members that the settings ask for."""
    return ensemble([networks(architecture).scoring for _ in range(architecture.settings.members)], architecture)


def ensemble(members: Sequence[keras.Model], architecture: Architecture) -> keras.Model:
    """One scoring model of several: of each head, the mean of the members' logits.

    Networks that differ only in their seed err on different rows; their mean errs on fewer (Lakshminarayanan, Pritzel,
    Blundell: Simple and scalable predictive uncertainty estimation using deep ensembles, NeurIPS 2017).
    """
    if len(members) == 1:
        return members[0]
    inputs = _inputs(architecture)
    for number, member in enumerate(members, 1):
        member.name = f"member_{number}"
    answers = [member(inputs) for member in members]
    heads = architecture.heads
    means = {head: keras.layers.Average(name=head)([answer[head] for answer in answers]) for head in heads}
    return keras.Model(inputs, means, name="catmatch")


def networks(
    architecture: Architecture, embedding: NDArray[np.float32] | None = None, weights: str = "none"
) -> Networks:
    """One fresh network, as a member of the model.

    Args:
        architecture: sizes and settings.
        embedding: word vectors [words, embedding_size] to start from (and to keep, if the settings freeze them);
            random ones where None.
        weights: of a backbone within the model, as backbone.weights of the configuration.
    """
    inputs, reads = _inputs(architecture), architecture.reads
    words = _word_table(architecture, embedding)
    grams = _Grams([], None)
    of_name: list[Any] = []
    if reads("prod_nm") and architecture.settings.text_branch != "grams":
        of_name.append(_text("name", inputs[NAME_INPUT], words, architecture))
    if reads("prod_nm") and architecture.settings.text_branch != "textcnn":
        grams = _grams(inputs[GRAMS_INPUT], inputs[GRAM_WEIGHTS_INPUT], architecture)
        of_name.extend(grams.features)
    of_category = [_text("category", inputs[CATEGORY_INPUT], words, architecture)] if reads("cat") else []
    of_brand = [_brand(inputs[BRAND_INPUT], architecture)] if architecture.brand is not None else []
    of_image = _image(inputs[IMAGE_INPUT], architecture, weights) if architecture.picture is not None else []
    features = {
        "text_prod_output": of_name,
        "text_cat_output": of_category,
        IMAGE_HEAD: of_image,
        "output": [*of_name, *of_category, *of_brand, *of_image],
    }
    heads = {head: _head(head, features[head], architecture) for head in architecture.heads}
    return _with_margins(inputs, heads, _margins(grams.sums, of_image, architecture), architecture)


def _margins(sums: Tensor, of_image: list[Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """[batch, classes] of the name, and of name and picture together; nothing where the settings have none."""
    if sums is None:
        return {}
    made = {MARGIN: Margin(dtype="float32", name=MARGIN)(sums)}
    if of_image:
        seen = keras.layers.Dense(architecture.classes, use_bias=False, dtype="float32", name="margin_image")
        both = keras.layers.Add(dtype="float32", name="margin_sums")([sums, seen(of_image[-1])])
        made[JOINT_MARGIN] = Margin(dtype="float32", name=JOINT_MARGIN)(both)
    return made


def _with_margins(
    inputs: Any, heads: dict[str, Any], margins: dict[str, Tensor], architecture: Architecture
) -> Networks:
    if not margins:
        model = keras.Model(inputs, heads, name="catmatch")
        return Networks(model, model)
    weight = architecture.settings.margin_weight
    of_head = {"text_prod_output": MARGIN, "output": JOINT_MARGIN if JOINT_MARGIN in margins else MARGIN}
    blended = {
        head: Blend(weight, dtype="float32", name=f"{head}_blend")((heads[head], margins[which]))
        for head, which in of_head.items()
    }
    scoring = keras.Model(inputs, {**heads, **blended}, name="catmatch")
    return Networks(scoring, keras.Model(inputs, {**heads, **margins}, name="catmatch_training"))


def _inputs(architecture: Architecture) -> dict[str, Any]:
    grams = (architecture.gram_length,)
    brand, picture = architecture.brand, architecture.picture
    return {
        NAME_INPUT: keras.Input((architecture.name_length,), dtype="int32", name=NAME_INPUT),
        CATEGORY_INPUT: keras.Input((architecture.category_length,), dtype="int32", name=CATEGORY_INPUT),
        GRAMS_INPUT: keras.Input(grams, dtype="int32", name=GRAMS_INPUT),
        GRAM_WEIGHTS_INPUT: keras.Input(grams, dtype="float32", name=GRAM_WEIGHTS_INPUT),
        **({BRAND_INPUT: keras.Input((brand.length,), dtype="int32", name=BRAND_INPUT)} if brand is not None else {}),
        **({IMAGE_INPUT: _image_input(picture)} if picture is not None else {}),
    }


def _image_input(picture: Picture) -> Any:
    if picture.kind == "features":
        return keras.Input((picture.width,), dtype="float32", name=IMAGE_INPUT)
    return keras.Input((picture.size, picture.size, 3), dtype="uint8", name=IMAGE_INPUT)


def _word_table(architecture: Architecture, embedding: NDArray[np.float32] | None) -> Lookup:
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
    return _dense(name, pooled, settings.fcl_dim, settings.fcl_dropout, architecture)


def _brand(ids: Tensor, architecture: Architecture) -> Tensor:
    """[batch, fcl_dim]; the given brand and each of those found have a part of the layer's weights of their own."""
    settings, brand = architecture.settings, architecture.brand
    assert brand is not None
    vectors = Lookup(brand.brands, settings.embedding_size, name="brand_table")(ids)
    dropped = keras.layers.Dropout(settings.embedding_dropout, name="brand_embedding_dropout")(vectors)
    flat = keras.layers.Flatten(name="brand_vectors")(dropped)
    return _dense("brand", flat, settings.fcl_dim, settings.fcl_dropout, architecture)


def _grams(ids: Tensor, weights: Tensor, architecture: Architecture) -> _Grams:
    """The softmax's paths over one table, whose rows hold their numbers side by side; and the margins over another."""
    settings = architecture.settings
    start = keras.initializers.RandomNormal(stddev=settings.gram_spread)
    kept = GramDropout(settings.gram_dropout, dtype="float32", name="gram_dropout")(weights)
    table = WeightedBag(architecture.grams, settings.bag_size + settings.wide_size, start=start, name="gram_table")
    scaled = keras.layers.Rescaling(settings.gram_scale, name="gram_scale")(table((ids, kept)))
    bag = keras.layers.Dropout(settings.bag_dropout, name="bag_dropout")(scaled[:, : settings.bag_size])
    features = [_dense("grams", bag, settings.gram_fcl_dim, settings.gram_fcl_dropout, architecture)]
    if settings.bag_straight:
        features.append(bag)
    if settings.wide_size:
        features.append(scaled[:, settings.bag_size :])
    return _Grams(features, _margin_sums(ids, weights, architecture) if settings.margin else None)


def _image(given: Tensor, architecture: Architecture, weights: str) -> list[Tensor]:
    """The picture's features for the heads: through a hidden layer, and straight; zeros for a row without a picture."""
    settings, present = architecture.settings, Present(name="img_present")(given)
    features = keras.layers.LayerNormalization(name="img_scale")(_seen(given, architecture, weights))
    features = keras.layers.Dropout(settings.image_dropout, name="img_features_dropout")(features)
    hidden = _dense("img", features, settings.image_fcl_dim, settings.image_fcl_dropout, architecture)
    masked = [hidden, features] if settings.image_straight else [hidden]
    return [keras.layers.Multiply(name=f"img_masked_{place}")([one, present]) for place, one in enumerate(masked, 1)]


def _seen(given: Tensor, architecture: Architecture, weights: str) -> Tensor:
    """The backbone's features [batch, width], given or made here."""
    picture, first = architecture.picture, architecture.settings.fine_tune_from
    assert picture is not None
    if picture.kind == "features":
        return given
    backbone = network(BackboneSettings(name=picture.backbone, weights=weights), picture.size)
    if first is not None:
        trainable_from(backbone, first)
    return backbone(given)


def _margin_sums(ids: Tensor, weights: Tensor, architecture: Architecture) -> Tensor:
    """[batch, classes]; all of a name's grams vote: dropping some while training made it worse."""
    table = WeightedBag(architecture.grams, architecture.classes, start=keras.initializers.Zeros(), name=MARGIN_TABLE)
    return table((ids, weights))


def _dense(name: str, features: Tensor, size: int, dropout: float, architecture: Architecture) -> Tensor:
    activation = architecture.settings.fcl_activation
    hidden = keras.layers.Dense(size, activation=activation, name=f"{name}_dense")(features)
    return keras.layers.Dropout(dropout, name=f"{name}_dropout")(hidden)


def _head(name: str, features: list[Tensor], architecture: Architecture) -> Tensor:
    """Logits [batch, classes] on the concatenated features; float32, as bfloat16 would make ties of near answers."""
    joined = features[0] if len(features) == 1 else keras.layers.Concatenate(name=f"{name}_features")(features)
    return keras.layers.Dense(architecture.classes, dtype="float32", name=name)(joined)
