"""The artefacts that shards stand on: which vocabulary gives the ids, checked to be of the same window and tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.artefact import Artefact
from lib.categories.brand_names import BRANDS_FILE
from lib.config import ShardsSettings
from lib.errors import UserError
from lib.manifest import artefact_of
from lib.shards.encode import Encoding, brand_dictionary, vocabularies

WORDS, GRAMS = "words.parquet", "grams.parquet"


def sources_of(
    warehouse: str, month: str, settings: ShardsSettings, months: Sequence[str], tokenizer_key: str
) -> dict[str, Artefact]:
    """'vocabulary' -> its artefact, 'word2vec' -> its artefact where word ids are word2vec's, and 'brands' likewise.

    Raises:
        UserError: one is missing, or was made from tokens of another tokenizer.
    """
    found = {"vocabulary": artefact_of(warehouse, "vocabulary", month, "vocabulary")}
    if settings.word_vocabulary == "word2vec":
        found["word2vec"] = artefact_of(warehouse, "word2vec", month, "word2vec")
    if settings.brand_length:
        found["brands"] = artefact_of(warehouse, "brands", month, "brands")
    for kind, made in found.items():
        if made.facts.get("tokenizer_key", tokenizer_key) != tokenizer_key:
            raise UserError(
                f"artefact {made.folder} was made from tokens of {made.facts['tokenizer_key']} where those of "
                f"{', '.join(months)} are of {tokenizer_key}; run jobs/{kind}.py --month {month} again"
            )
    return found


def distribution_of(warehouse: str, month: str, months: Sequence[str]) -> Artefact:
    """The month's distribution, checked to be of the same months.

    Raises:
        UserError: it is missing, or of other months.
    """
    made = artefact_of(warehouse, "normalize", month, "distribution")
    if list(made.facts["months"]) != list(months):
        raise UserError(
            f"the distribution of {month} is of {', '.join(made.facts['months'])} and the window of "
            f"{', '.join(months)}; run jobs/normalize.py --month {month} again"
        )
    return made


def encoding_of(
    sources: Mapping[str, Artefact], settings: ShardsSettings, picture: Mapping[str, Any] | None = None
) -> Encoding:
    """Where the workers find the vocabularies, the lengths of the lists, and what rows hold of pictures."""
    return Encoding(
        words=str(_words(sources).path(WORDS).resolve()),
        grams=str(sources["vocabulary"].path(GRAMS).resolve()),
        name_length=settings.name_length,
        category_length=settings.category_length,
        gram_length=settings.gram_length,
        picture=picture,
        brands=str(sources["brands"].path(BRANDS_FILE).resolve()) if "brands" in sources else None,
        brand_length=settings.brand_length,
    )


def source_facts(warehouse: str, sources: Mapping[str, Artefact]) -> dict[str, Any]:
    """What training must know of the ids: sizes with the reserved ones, and which artefacts they come from."""
    words, grams = vocabularies(str(_words(sources).path(WORDS)), str(sources["vocabulary"].path(GRAMS)))
    brands = brand_dictionary(str(sources["brands"].path(BRANDS_FILE))).size if "brands" in sources else 0
    places = {kind: made.folder.relative_to(Path(warehouse)).as_posix() for kind, made in sources.items()}
    return {
        "words": words.size,
        "grams": grams.size,
        "words_from": "word2vec" if "word2vec" in sources else "vocabulary",
        "vocabulary": places["vocabulary"],
        "word2vec": places.get("word2vec"),
        "brands": brands,
        "brand_dictionary": places.get("brands"),
    }


def _words(sources: Mapping[str, Artefact]) -> Artefact:
    return sources.get("word2vec", sources["vocabulary"])
