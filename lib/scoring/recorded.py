"""A saved model's answers as evaluation records them: on a split of the shards, and on names held in memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Predictions, record
from lib.evaluation.sample import Sample
from lib.feed.reader import batches, read_ahead
from lib.model.architecture import HEADS, MAIN_HEAD
from lib.scoring.predictor import INPUT_OF_COLUMN, Predictor

COLUMNS = (*INPUT_OF_COLUMN, "label", "level_labels")
Logits = dict[str, NDArray[np.float32]]
Recorded = tuple[Logits, NDArray[np.int32], NDArray[np.int32] | None]


def hierarchy_of(predictor: Predictor, shards: Artefact | None = None) -> Hierarchy:
    """The levels above a model's labels, numbered as the shards number them where they are given."""
    return Hierarchy(predictor.paths, None if shards is None else shards.facts["level_names"])


def on_split(
    predictor: Predictor, hierarchy: Hierarchy, shards: Artefact, split: str, batch_size: int
) -> dict[str, Predictions]:
    """Head -> record of every row of a split; empty records where the split has no rows."""
    if not shards.facts["splits"].get(split, {}).get("rows"):
        return record([], hierarchy, _temperatures(predictor))
    read = read_ahead(batches(shards, split, batch_size, columns=COLUMNS, seed=0, epoch=0), FeedSettings().prefetch)

    def answered() -> Iterator[Recorded]:
        for batch in read:
            inputs = {name: batch[column] for column, name in INPUT_OF_COLUMN.items()}
            yield predictor.logits(inputs), batch["label"].numpy(), batch["level_labels"].numpy()

    return record(answered(), hierarchy, _temperatures(predictor))


def on_names(
    predictor: Predictor, hierarchy: Hierarchy, sample: Sample, labels: NDArray[np.int32], batch_size: int
) -> dict[str, Predictions]:
    """Head -> record of sampled names.

    Args:
        labels: int32 [rows], the given labels in the model's label map, -1 where it has none.
    """

    def answered() -> Iterator[Recorded]:
        for start in range(0, len(sample), batch_size):
            piece = slice(start, start + batch_size)
            columns = (sample.names, sample.name_tokens, sample.category_tokens)
            inputs = predictor.vectorised(*(list(column[piece]) for column in columns))
            yield predictor.logits(inputs), labels[piece], None

    return record(answered(), hierarchy, _temperatures(predictor))


def _temperatures(predictor: Predictor) -> dict[str, float]:
    """The temperature was fitted on the answering head; the others keep their own confidences."""
    return {head: predictor.saved.temperature if head == MAIN_HEAD else 1.0 for head in HEADS}
