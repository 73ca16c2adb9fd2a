"""A saved model small enough to be trained in a test: three leaves told apart by a word of the name."""

import json
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.config import ModelSettings, TextSettings
from lib.model import saved
from lib.model.architecture import INPUT_OF_COLUMN, Architecture
from lib.model.build import build
from lib.text.grams import GramVocabulary, grams
from lib.text.tokenizers import TokenizerSettings
from lib.text.vocabulary import Vocabulary, write_words

TEXT = TextSettings(tokenizer="whitespace", max_name_length=60)
TOKENIZER_KEY = TokenizerSettings.of(TEXT).key
LEAVES = [("100", ["식품", "과일"]), ("101", ["식품", "채소"]), ("200", ["의류"])]
WORDS = ["사과", "배추", "셔츠", "선물", "특가"]
NAMES = [
    ("사과 선물", "100"),
    ("사과 특가", "100"),
    ("배추 특가", "101"),
    ("배추 선물", "101"),
    ("셔츠 특가", "200"),
    ("셔츠 선물", "200"),
]
SMALL: dict[str, Any] = {
    "embedding_size": 8,
    "filters": 4,
    "fcl_dim": 8,
    "bag_size": 8,
    "gram_fcl_dim": 8,
    "wide_size": 8,
}
LENGTHS = {"name_length": 6, "category_length": 4, "gram_length": 24}


def make(
    warehouse: str, month: str = "2026-01", steps: int = 12, leaves: list[tuple[str, list[str]]] | None = None
) -> Artefact:
    """Train the model and write it as train does."""
    chosen = leaves or LEAVES
    label_map = [{"label": i, "label_id": i, "cat_id": cat_id, "path": path} for i, (cat_id, path) in enumerate(chosen)]

    def write(writer: ArtefactWriter) -> None:
        write_vocabularies(writer)
        words, known = vocabularies()
        sizes = {"words": words.size, "grams": known.size, "classes": len(chosen)}
        architecture = Architecture(**sizes, **LENGTHS, settings=ModelSettings(**SMALL))
        weights = writer.folder / f"weights-{writer.run}.weights.h5"
        writer.adopt(saved.WEIGHTS, weights)
        trained(architecture, [cat_id for cat_id, _ in chosen], steps).save_weights(weights)
        writer.file(saved.LABEL_MAP).write_text(json.dumps(label_map, ensure_ascii=False), encoding="utf-8")
        tokenizer = {**TEXT.model_dump(mode="json"), "key": TOKENIZER_KEY}
        writer.file(saved.MODEL).write_text(saved.model_json(architecture, 1.25, tokenizer, {}), encoding="utf-8")

    return artefacts.make(warehouse, saved.KIND, month, f"tiny{len(chosen)}{steps}", write)


def vocabularies() -> tuple[Vocabulary, GramVocabulary]:
    """Word and gram vocabularies of NAMES."""
    known = sorted({gram for name, _ in NAMES for gram in grams(name)})
    return Vocabulary.of(WORDS), GramVocabulary.of(known, [1.0] * len(known))


def write_vocabularies(writer: ArtefactWriter) -> None:
    """Both as files of the artefact."""
    write_words(writer.file(saved.WORDS), WORDS, [2] * len(WORDS))
    _, known = vocabularies()
    tokens = list(known.ids)
    columns = {
        "token": tokens,
        "documents": pa.array([2] * len(tokens), pa.int64()),
        "idf": pa.array([1.0] * len(tokens), pa.float32()),
    }
    pq.write_table(pa.table(columns), writer.file(saved.GRAMS))


def encoded(names: list[str]) -> dict[str, np.ndarray]:
    """Shard columns of names without a mall category."""
    words, known = vocabularies()
    vectors = [known.gram_vec(name, LENGTHS["gram_length"]) for name in names]
    return {
        "name_ids": np.array([words.token_to_vec(name.split(), LENGTHS["name_length"]) for name in names], np.int32),
        "cat_ids": np.zeros((len(names), LENGTHS["category_length"]), np.int32),
        "gram_ids": np.array([ids for ids, _, _ in vectors], np.int32),
        "gram_weights": np.array([weights for _, weights, _ in vectors], np.float32),
    }


def trained(architecture: Architecture, cat_ids: list[str], steps: int) -> keras.Model:
    """A model that has seen NAMES `steps` times."""
    keras.utils.set_random_seed(0)
    model = build(architecture)
    inputs = {INPUT_OF_COLUMN[name]: values for name, values in encoded([name for name, _ in NAMES]).items()}
    label = np.array([cat_ids.index(cat_id) if cat_id in cat_ids else 0 for _, cat_id in NAMES])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(0.1),
        run_eagerly=True,
        loss={"output": loss, "text_prod_output": loss, "text_cat_output": loss},
    )
    targets = dict.fromkeys(("output", "text_prod_output", "text_cat_output"), label)
    if steps:
        model.fit(inputs, targets, epochs=steps, batch_size=len(NAMES), verbose=0)
    return model
