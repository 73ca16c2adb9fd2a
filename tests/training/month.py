"""A tiny month as the stages before training leave it: vocabulary, word2vec and shards artefacts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lib import artefact
from lib.artefact import Artefact, ArtefactWriter
from lib.config import Config
from lib.shards.row import ROW_SCHEMA, list_array
from lib.text.grams import GRAMS_SCHEMA
from lib.text.vocabulary import write_words
from lib.training import candidate
from lib.training.cluster import Cluster
from lib.training.injected_noise import WrongLabels
from tests.training import toy

MONTH = "2026-01"


def config(tmp_path: Path, members: int = 1, **train: Any) -> Config:
    """A configuration for the toy task."""
    return Config.model_validate(
        {
            "storage": {
                "warehouse": str(tmp_path / "warehouse"),
                "state": str(tmp_path / "state"),
                "reports": str(tmp_path / "reports"),
            },
            "model": {**toy.SMALL, **toy.NO_DROPOUT, "members": members},
            "train": {"batch_size": 32, "epochs": 2, "learning_rate": 0.03, **train},
        }
    )


def artefacts(
    warehouse: str, *, train: int = 96, validation: int = 40, test: int = 0, files: int = 1,
    train_files: list[int] | None = None, validation_files: list[int] | None = None, wrong: WrongLabels | None = None,
) -> Artefact:  # fmt: skip
    """Make all three; the shards, each split in that many files or in files of those rows, are returned.

    Args:
        wrong: makes labels wrong.
    """
    given = {"train": train_files, "validation": validation_files}
    vocabulary = artefact.make(warehouse, "vocabulary", MONTH, "v", _vocabulary)
    word2vec = artefact.make(warehouse, "word2vec", MONTH, "w", _word2vec)
    folders = {
        "vocabulary": vocabulary.folder.relative_to(warehouse).as_posix(),
        "word2vec": word2vec.folder.relative_to(warehouse).as_posix(),
    }
    splits = {
        split: given.get(split) or [len(part) for part in np.array_split(np.arange(rows), files)] if rows else []
        for split, rows in (("train", train), ("validation", validation), ("test", test))
    }
    return artefact.make(warehouse, "shards", MONTH, "s", lambda writer: _shards(writer, splits, folders, wrong))


def model(config: Config, **shape: Any) -> Artefact:
    """The model of a month with shards of that shape, trained here."""
    inputs = candidate.Inputs.of_shards(config, artefacts(config.storage.warehouse, **shape))
    build = lambda writer: candidate.build(writer, config, inputs, MONTH, "k", Cluster())  # noqa: E731
    return candidate.make(config, MONTH, "k", build, force=False)


def _vocabulary(writer: ArtefactWriter) -> None:
    _words(writer.file("words.parquet"))
    tokens = [f"g{number}" for number in range(toy.GRAMS - 1)]
    columns = {"token": tokens, "documents": [3] * len(tokens), "idf": [1.0] * len(tokens)}
    pq.write_table(pa.table(columns, schema=GRAMS_SCHEMA), writer.file("grams.parquet"))


def _word2vec(writer: ArtefactWriter) -> None:
    _words(writer.file("words.parquet"))
    vectors = np.random.default_rng(0).normal(size=(toy.WORDS, 8)).astype(np.float32)
    np.save(writer.file("vectors.npy"), vectors, allow_pickle=False)


def _words(path: Path) -> None:
    tokens = [f"낱말{number}" for number in range(toy.WORDS - 2)]
    write_words(path, tokens, list(range(len(tokens), 0, -1)))


def _shards(
    writer: ArtefactWriter, splits: dict[str, list[int]], folders: dict[str, str], wrong: WrongLabels | None
) -> None:  # fmt: skip
    first = 0
    for number, (split, counts) in enumerate(splits.items()):
        for file, count in enumerate(counts):
            rows = toy.rows(count, number + 10 * file)
            if wrong is not None:
                rows["label"] = wrong.of(first + np.arange(count), rows["label"])
            table = _table(rows, first)
            first += count
            pq.write_table(table, writer.file(f"{split}/{file:05d}.parquet"))
    leaves = [
        {"label": label, "label_id": label + 10, "cat_id": f"c{label}", "path": ["a", str(label)]}
        for label in range(toy.CLASSES)
    ]
    writer.file("label_map.json").write_text(json.dumps(leaves))
    writer.facts = {
        "months": [MONTH],
        "splits": {
            split: {"rows": sum(counts), "files": len(counts), "rows_per_file": counts}
            for split, counts in splits.items()
        },
        "name_length": 6,
        "category_length": 3,
        "gram_length": 8,
        "words": toy.WORDS,
        "grams": toy.GRAMS,
        "classes": toy.CLASSES,
        "words_from": "vocabulary",
        "tokenizer_key": "whitespace-1",
        **folders,
    }


def _table(rows: dict[str, Any], first: int) -> pa.Table:
    count = len(rows["label"])
    columns = {
        **rows,
        "level_labels": np.full((count, 4), -1, np.int32),
        "row_id": first + np.arange(count),
        "product_id": [f"m:{first + number}" for number in range(count)],
    }
    arrays = [
        list_array(columns[field.name], field)
        if pa.types.is_list(field.type)
        else pa.array(columns[field.name], type=field.type)
        for field in ROW_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=ROW_SCHEMA)
