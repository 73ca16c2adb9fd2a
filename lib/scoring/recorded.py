"""A saved model's answers as evaluation records them: on a split of the shards, and on names held in memory."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from lib.artefact import Artefact
from lib.config import FeedSettings
from lib.evaluation.figures import WITHOUT_PICTURE
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.record import Predictions, record
from lib.evaluation.replacement import merged, merged_labels
from lib.evaluation.sample import Sample, labels_of
from lib.feed.reader import batches, read_ahead
from lib.model.architecture import IMAGE_INPUT, MAIN_HEAD
from lib.model.layers.present import present
from lib.scoring.predictor import Arrays, Predictor, Texts

Logits = dict[str, NDArray[np.float32]]
Pictured = NDArray[np.bool_] | None
Recorded = tuple[Logits, NDArray[np.int32], NDArray[np.int32] | None, Pictured]


def hierarchy_of(predictor: Predictor, shards: Artefact | None = None) -> Hierarchy:
    """The levels above a model's labels, numbered as the shards number them where they are given."""
    return Hierarchy(predictor.paths, None if shards is None else shards.facts["level_names"])


def on_split(
    predictor: Predictor, hierarchy: Hierarchy, shards: Artefact, split: str, batch_size: int
) -> dict[str, Predictions]:
    """Head -> record of every row of a split; empty records where the split has no rows."""
    if not shards.facts["splits"].get(split, {}).get("rows"):
        return record([], hierarchy, _temperatures(predictor))
    columns = (*predictor.columns, "label", "level_labels")
    found = batches(shards, split, predictor.rows_at_once(batch_size), columns=columns, seed=0, epoch=0)

    def answered() -> Iterator[Recorded]:
        for batch in read_ahead(found, FeedSettings().prefetch):
            logits, pictured = _answer(predictor, predictor.of_rows(batch))
            yield logits, batch["label"].numpy(), batch["level_labels"].numpy(), pictured

    return record(answered(), hierarchy, _temperatures(predictor))


def on_names(
    predictor: Predictor, hierarchy: Hierarchy, sample: Sample, labels: NDArray[np.int32], batch_size: int
) -> dict[str, Predictions]:
    """Head -> record of sampled names.

    Args:
        labels: int32 [rows], the given labels in the model's label map, -1 where it has none.
    """

    def answered() -> Iterator[Recorded]:
        step, texts = predictor.rows_at_once(batch_size), texts_of(sample)
        for start in range(0, len(sample), step):
            pictures = None if sample.pictures is None else sample.pictures.slice(start, step)
            inputs = predictor.vectorised(texts.slice(start, step), pictures)
            logits, pictured = _answer(predictor, inputs)
            yield logits, labels[start : start + step], None, pictured

    return record(answered(), hierarchy, _temperatures(predictor))


def of_older(
    predictor: Predictor, sample: Sample, replaced_by: Mapping[str, str], batch_size: int
) -> tuple[Predictions, dict[str, int]]:
    """A model's answers on a later month's names, replaced categories followed on both sides (the sample's are).

    Returns:
        the answering head's record, and the model's labels by living cat_id.
    """
    labels, stands_for = merged_labels(predictor.cat_ids, replaced_by)
    given = labels_of(sample.cat_ids, labels)
    seen = on_names(predictor, hierarchy_of(predictor), sample, given, batch_size)
    return merged(seen[MAIN_HEAD], stands_for), labels


def texts_of(sample: Sample) -> Texts:
    """What a model reads of sampled rows."""
    return Texts(sample.names.tolist(), sample.name_tokens, sample.category_tokens, sample.brand_fields)


def _answer(predictor: Predictor, inputs: Arrays) -> tuple[Logits, Pictured]:
    """Logits of every head, and of the answering one had it seen no picture; which rows have one."""
    logits = predictor.logits(inputs)
    if predictor.picture is None:
        return logits, None
    shown = inputs[IMAGE_INPUT]
    logits[WITHOUT_PICTURE] = predictor.main_logits({**inputs, IMAGE_INPUT: np.zeros_like(shown)})
    return logits, np.asarray(present(shown))[:, 0] > 0


def _temperatures(predictor: Predictor) -> dict[str, float]:
    """The temperature was fitted on the answering head; the others keep their own confidences."""
    heads = predictor.heads if predictor.picture is None else (*predictor.heads, WITHOUT_PICTURE)
    return {head: predictor.saved.temperature if head in (MAIN_HEAD, WITHOUT_PICTURE) else 1.0 for head in heads}
