"""Batch prediction on Spark: rows of tokens, or of plain texts, in; category, confidence and top five out.

Every step is the one that training used: the same normalisation, tokenizer, word ids, grams and temperature, all taken
from the model's own artefact. The model is loaded once per Python worker process.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from lib.config import TextSettings
from lib.errors import UserError
from lib.scoring.predictor import Predictor, Texts, token_lists, worker_predictor
from lib.scoring.thresholds import routed
from lib.text.normalize import normalize
from lib.text.tokenizers import Tokenizer, TokenizerSettings
from lib.text.tokenizers import load as load_tokenizer
from schemas.predictions import PREDICTIONS

Batches = Iterable[pa.RecordBatch]
TOKEN_COLUMNS = ("name", "name_tokens", "category_tokens", "brand_fields")
TEXT_COLUMNS = ("name", "category", "brand_fields")
# Features or JPEG, whichever the model takes; where rows have it (lib/scoring/pictures.py).
PICTURE = "picture"
# Malls have few categories: most rows repeat one that was just tokenized.
REMEMBERED_CATEGORIES = 10_000
ANSWER_COLUMNS = ("cat_id", "path", "confidence", "entropy", "top", "with_picture", "route")
ANSWER = StructType([PREDICTIONS.struct[name] for name in ANSWER_COLUMNS])
STRINGS = pa.list_(pa.field("element", pa.string(), nullable=False))
TOP_ENTRY = pa.struct([pa.field("cat_id", pa.string()), pa.field("probability", pa.float32())])
TOP_LIST = pa.list_(pa.field("element", TOP_ENTRY, nullable=False))


@dataclass(frozen=True)
class Scorer:
    """What travels to the workers.

    Attributes:
        folder: the model's artefact, readable from every worker.
        batch_size: rows the model labels at once.
        threads: TensorFlow threads of a worker.
        thresholds: by label, the confidence from which on an answer goes unseen; None: none does.
    """

    folder: str
    batch_size: int
    threads: int
    thresholds: tuple[float, ...] | None = None

    def score_tokens(self, rows: DataFrame, kept: Sequence[str]) -> DataFrame:
        """Label rows that have TOKEN_COLUMNS, made by the model's own tokenizer, and perhaps PICTURE.

        Returns:
            The columns `kept`, then ANSWER.
        """
        wanted = rows.select(*kept, *TOKEN_COLUMNS, *_picture_of(rows))
        return wanted.mapInArrow(_mapper(self, tuple(kept), _token_columns), _schema(wanted, kept))

    def score_texts(self, rows: DataFrame, kept: Sequence[str]) -> DataFrame:
        """Label rows that have TEXT_COLUMNS: a name and a mall category (may be null), both as the mall wrote them, and
        brand fields as `tokens` has them; and perhaps PICTURE.

        Returns:
            The columns `kept`, then ANSWER.
        """
        wanted = rows.select(*kept, *TEXT_COLUMNS, *_picture_of(rows))
        return wanted.mapInArrow(_mapper(self, tuple(kept), _tokenized), _schema(wanted, kept))


@dataclass(frozen=True)
class Answers:
    """What the model says of some rows.

    Attributes:
        top: int32 [rows, 5], labels, best first; -1 where there are fewer classes.
        probability: float32 [rows, 5], calibrated.
        entropy: float32 [rows], nats.
    """

    top: NDArray[np.int32]
    probability: NDArray[np.float32]
    entropy: NDArray[np.float32]


def answers(predictor: Predictor, texts: Texts, pictures: pa.Array | None, batch_size: int) -> Answers:
    """Label rows, `batch_size` at a time.

    Args:
        pictures: as `Predictor.with_pictures` takes them.
    """
    ids = predictor.ids(texts)
    parts = []
    step = predictor.rows_at_once(batch_size)
    for start in range(0, len(texts), step):
        piece = {name: values[start : start + step] for name, values in ids.items()}
        seen = None if pictures is None else pictures.slice(start, step)
        parts.append(predictor.answers(predictor.with_pictures(piece, seen)))
    top, probability, entropy = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Answers(top, probability, entropy)


def text_settings(tokenizer: Mapping[str, Any]) -> TextSettings:
    """The `text` section that a model was trained with, out of its artefact."""
    return TextSettings.model_validate({name: value for name, value in tokenizer.items() if name != "key"})


@lru_cache(maxsize=4)
def model_tokenizer(text: str, key: str) -> Tokenizer:
    """The model's tokenizer, loaded once per process.

    Args:
        text: the `text` section as JSON.
        key: the tokenizer_key the model was trained with.

    Raises:
        UserError: what is installed here would cut names otherwise.
    """
    settings = TokenizerSettings.of(TextSettings.model_validate_json(text))
    if settings.key != key:
        raise UserError(
            f"the model was trained on tokens of {key} but this environment makes {settings.key}; install that version "
            "and dictionary, or tokenize and train again"
        )
    return load_tokenizer(settings)


def _picture_of(rows: DataFrame) -> list[str]:
    return [PICTURE] if PICTURE in rows.columns else []


def _mapper(
    scorer: Scorer, kept: tuple[str, ...], texts_of: Callable[[Predictor, pa.RecordBatch], Texts]
) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def score(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            predictor = worker_predictor(scorer.folder, scorer.threads)
            pictures = batch.column(PICTURE) if PICTURE in batch.schema.names else None
            said = answers(predictor, texts_of(predictor, batch), pictures, scorer.batch_size)
            seen = pa.array(np.zeros(batch.num_rows, bool)) if pictures is None else pictures.is_valid()
            routes = routed(scorer.thresholds, said.top[:, 0], said.probability[:, 0])
            found = {**_columns(predictor, said), "with_picture": seen, "route": pa.array(routes, pa.string())}
            columns = [*(batch.column(name) for name in kept), *found.values()]
            yield pa.RecordBatch.from_arrays(columns, names=[*kept, *found])

    return score


def _token_columns(_: Predictor, batch: pa.RecordBatch) -> Texts:
    names, *lists = (batch.column(name) for name in TOKEN_COLUMNS)
    return Texts(names.to_pylist(), *lists)


def _tokenized(predictor: Predictor, batch: pa.RecordBatch) -> Texts:
    settings = text_settings(predictor.saved.tokenizer)
    analyse = model_tokenizer(settings.model_dump_json(), str(predictor.saved.tokenizer["key"])).tokenize
    length = settings.max_name_length
    names = [normalize(name, length) for name in batch.column("name").to_pylist()]
    remembered = lru_cache(maxsize=REMEMBERED_CATEGORIES)(lambda text: analyse(normalize(text, length)))
    categories = [remembered(category) for category in batch.column("category").to_pylist()]
    tokens = token_lists([analyse(name) for name in names])
    return Texts(names, tokens, token_lists(categories), batch.column("brand_fields"))


def _columns(predictor: Predictor, said: Answers) -> dict[str, pa.Array]:
    """ANSWER as Arrow columns, but for the last two."""
    best = said.top[:, 0]
    cat_ids, paths = predictor.cat_ids, predictor.paths
    confidence = np.minimum(said.probability[:, 0], np.float32(1))
    return {
        "cat_id": pa.array([cat_ids[label] for label in best], pa.string()),
        "path": pa.array([paths[label] for label in best], STRINGS),
        "confidence": pa.array(confidence, pa.float32()),
        "entropy": pa.array(said.entropy, pa.float32()),
        "top": _top_column(cat_ids, said),
    }


def _top_column(cat_ids: Sequence[str], said: Answers) -> pa.Array:
    present = said.top >= 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    named = pa.array([cat_ids[label] for label in said.top[present]], pa.string())
    entries = pa.StructArray.from_arrays(
        [named, pa.array(said.probability[present], pa.float32())], fields=list(TOP_ENTRY)
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), entries).cast(TOP_LIST)


def _schema(rows: DataFrame, kept: Sequence[str]) -> StructType:
    return StructType([rows.schema[name] for name in kept] + ANSWER.fields)
