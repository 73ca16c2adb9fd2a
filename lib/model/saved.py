"""A trained model as it lies in its artefact's folder: weights, vocabularies, label map, temperature.

Nothing in the folder is executed: weights are plain HDF5 arrays, everything else is JSON or Parquet. The manifest's
hashes are checked before anything is read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras

from lib import artefact as artefacts
from lib.artefact import Artefact
from lib.categories.brand_names import BRANDS_FILE, BrandDictionary
from lib.errors import UserError
from lib.model.architecture import Architecture
from lib.model.build import build
from lib.text.grams import GramVocabulary
from lib.text.vocabulary import Vocabulary

KIND = "model"
WEIGHTS, WORDS, GRAMS, LABEL_MAP, MODEL = (
    "weights.weights.h5",
    "words.parquet",
    "grams.parquet",
    "label_map.json",
    "model.json",
)


@dataclass(frozen=True)
class Description:
    """What model.json says.

    Attributes:
        architecture: what the model is built from.
        temperature: divide the main head's logits by it before the softmax.
        tokenizer: the `text` section it was trained with, and "key", the tokenizer_key.
        facts: the rest of model.json: months, shards, how it was trained.
    """

    architecture: Architecture
    temperature: float
    tokenizer: dict[str, Any]
    facts: dict[str, Any]


@dataclass(frozen=True)
class SavedModel:
    """Everything that scoring needs.

    Attributes:
        model: with its weights; a dict of inputs to a dict of logits (`lib.model.build`).
        words, grams: how names become its inputs.
        brands: how brand fields and names do; None for a model that reads no brands.
        label_map: dense label -> {"label", "label_id", "cat_id", "path"}.
        artefact: where it was read from.
        architecture, temperature, tokenizer, facts: as in `Description`.
    """

    model: keras.Model
    architecture: Architecture
    words: Vocabulary
    grams: GramVocabulary
    brands: BrandDictionary | None
    label_map: list[dict[str, Any]]
    temperature: float
    tokenizer: dict[str, Any]
    facts: dict[str, Any]
    artefact: Artefact


def load(folder: Path | str) -> SavedModel:
    """Read a model's folder.

    Raises:
        UserError: it is unfinished, no model, was changed after it was written, or its parts do not fit each other.
    """
    found = artefacts.load(Path(folder))
    check_is_model(found)
    found.verify()
    described = describe(found)
    label_map = _json(found, LABEL_MAP)
    words, grams = Vocabulary.read(found.path(WORDS)), GramVocabulary.read(found.path(GRAMS))
    brands = BrandDictionary.read(found.path(BRANDS_FILE)) if described.architecture.brand is not None else None
    _check_sizes(found, described.architecture, words, grams, brands, label_map)
    model = build(described.architecture)
    _load_weights(model, found.path(WEIGHTS))
    return SavedModel(
        model, words=words, grams=grams, brands=brands, label_map=label_map, artefact=found, **vars(described)
    )


def check_is_model(found: Artefact) -> None:
    """Raise UserError when it is another kind of artefact."""
    if found.kind != KIND:
        raise UserError(
            f"{found.folder} is a {found.kind} artefact, not a model; give a folder that jobs/train.py made"
        )


def describe(found: Artefact) -> Description:
    """What model.json of a model's artefact says; its hash is the caller's to check (`Artefact.verify`).

    Raises:
        UserError: it does not describe a model.
    """
    record = _json(found, MODEL)
    try:
        architecture = Architecture.from_json(record["architecture"])
        return Description(
            architecture, float(record["temperature"]), dict(record["tokenizer"]), dict(record["facts"])
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{found.path(MODEL)} does not describe a model ({error!r}); train again") from None


def cat_ids(found: Artefact) -> list[str]:
    """The category of each of a model's labels; the file's hash is the caller's to check (`Artefact.verify`)."""
    return [str(entry["cat_id"]) for entry in _json(found, LABEL_MAP)]


def model_json(
    architecture: Architecture, temperature: float, tokenizer: Mapping[str, Any], facts: Mapping[str, Any]
) -> str:
    """What `load` expects in model.json."""
    record = {
        "architecture": architecture.to_json(),
        "temperature": temperature,
        "tokenizer": dict(tokenizer),
        "facts": dict(facts),
    }
    return json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True)


def _json(found: Artefact, name: str) -> Any:
    try:
        return json.loads(found.path(name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{found.path(name)} is no JSON ({error}); train again") from None


def _check_sizes(
    found: Artefact,
    architecture: Architecture,
    words: Vocabulary,
    grams: GramVocabulary,
    brands: BrandDictionary | None,
    label_map: list[Any],
) -> None:
    sizes = {
        WORDS: (words.size, architecture.words),
        GRAMS: (grams.size, architecture.grams),
        LABEL_MAP: (len(label_map), architecture.classes),
    }
    if brands is not None and architecture.brand is not None:
        sizes[BRANDS_FILE] = (brands.size, architecture.brand.brands)
    for name, (has, expected) in sizes.items():
        if has != expected:
            raise UserError(
                f"{found.folder}: {name} has {has} entries, the network {expected}; the parts of this model do not "
                "belong together, train again"
            )


def _load_weights(model: keras.Model, path: Path) -> None:
    """Read the weights; files that point outside themselves are refused."""
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: _refuse_external(path, name, item))
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the weights in {path} do not fit the network ({reason}); train again") from None


def _refuse_external(path: Path, name: str, item: Any) -> None:
    """HDF5 datasets can be stored in, or be views of, any other file of the machine."""
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        raise UserError(f"{path} takes {name} from another file, which no model of ours does; do not use it")
