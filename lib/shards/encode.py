"""Tokens of one file's rows -> one Parquet file of one row group, inside a Spark worker process."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lib.categories.brand_names import BrandDictionary
from lib.shards.cuts import File
from lib.shards.row import feature_matrix, lengths, list_array, row_schema
from lib.text.grams import GramVocabulary
from lib.text.vocabulary import Vocabulary

# Pages of 1 MiB, the default, take a tenth longer to read; nobody reads a part of a row group.
PAGE_BYTES = 16 << 20
# What `write_files` needs of each row, beside the picture and the brand.
COLUMNS = ("file", "name", "name_tokens", "category_tokens", "label", "level_labels", "weight", "product_id")
WRITTEN = "file int, path string, rows bigint, names_cut bigint, grams_cut bigint"


@dataclass(frozen=True)
class Encoding:
    """How text becomes ids.

    Attributes:
        words, grams: paths of words.parquet and grams.parquet, readable from every worker.
        name_length, category_length, gram_length: length of each list.
        picture: what rows hold of the picture, as the artefact's fact of that name; None for nothing.
        brands: path of brands.parquet; None where rows hold no brands.
        brand_length: length of their list.
    """

    words: str
    grams: str
    name_length: int
    category_length: int
    gram_length: int
    picture: Mapping[str, Any] | None = None
    brands: str | None = None
    brand_length: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """What `write_files` needs of each row, beside the picture."""
        return (*COLUMNS, *(["brand_fields"] if self.brands is not None else []))

    def facts(self) -> dict[str, Any]:
        """What readers of the rows must know."""
        names = ("name_length", "category_length", "gram_length", "brand_length")
        lengths = {name: getattr(self, name) for name in names}
        return {**lengths, "picture": dict(self.picture) if self.picture is not None else None}


@dataclass
class Cut:
    """How many names lost something to the fixed lengths."""

    names: int = 0
    grams: int = 0


def write_files(
    encoding: Encoding, files: Sequence[File], folder: str, compression: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for mapInArrow over partitions that each hold the rows of one file, in order.

    It holds one file in memory (`shards.file_bytes`) and yields one row of WRITTEN for it.
    """

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cut = Cut()
        encoded: list[pa.Table] = []
        index = -1
        for batch in batches:
            if batch.num_rows:
                index = batch.column("file")[0].as_py()
                start = files[index].row_id + sum(table.num_rows for table in encoded)
                encoded.append(encode(batch, encoding, start, cut))
        if encoded:
            path = _write(pa.concat_tables(encoded).combine_chunks(), files[index], folder, compression)
            rows = sum(table.num_rows for table in encoded)
            values = [[index], [path], [rows], [cut.names], [cut.grams]]
            yield pa.RecordBatch.from_arrays(
                [pa.array(v, type=t) for v, t in zip(values, _WRITTEN_TYPES, strict=True)],
                names=["file", "path", "rows", "names_cut", "grams_cut"],
            )

    return write


_WRITTEN_TYPES = (pa.int32(), pa.string(), pa.int64(), pa.int64(), pa.int64())


def encode(batch: pa.RecordBatch, encoding: Encoding, row_id: int, cut: Cut) -> pa.Table:
    """Rows of `row_schema`; the first gets `row_id`, the others follow."""
    schema = row_schema(encoding.facts())
    words, grams = vocabularies(encoding.words, encoding.grams)
    names = batch.column("name_tokens").to_pylist()
    cut.names += sum(len(tokens) > encoding.name_length for tokens in names)
    vectors = [grams.gram_vec(name, encoding.gram_length) for name in batch.column("name").to_pylist()]
    cut.grams += sum(was_cut for _, _, was_cut in vectors)
    categories = batch.column("category_tokens").to_pylist()
    columns = {
        "name_ids": _matrix([words.token_to_vec(t, encoding.name_length) for t in names], np.int32),
        "cat_ids": _matrix([words.token_to_vec(t, encoding.category_length) for t in categories], np.int32),
        "gram_ids": _matrix([ids for ids, _, _ in vectors], np.int32),
        "gram_weights": _matrix([weights for _, weights, _ in vectors], np.float32),
        "level_labels": _matrix(batch.column("level_labels").to_pylist(), np.int32),
    }
    if encoding.brands is not None:
        fields, names_of = batch.column("brand_fields"), batch.column("name").to_pylist()
        columns["brand_ids"] = brand_dictionary(encoding.brands).matrix(fields, names_of, encoding.brand_length)
    if "image_features" in schema.names:
        columns["image_features"] = feature_matrix(
            batch.column("image_features"), lengths(encoding.facts())["image_features"]
        )
    arrays = {name: list_array(values, schema.field(name)) for name, values in columns.items()}
    arrays |= {name: batch.column(name) for name in ("label", "weight", "product_id")}
    if "image" in schema.names:
        arrays["image"] = pc.fill_null(batch.column("image"), b"")
    arrays["row_id"] = pa.array(np.arange(row_id, row_id + batch.num_rows, dtype=np.int64))
    return pa.table([arrays[name] for name in schema.names], schema=schema)


@lru_cache(maxsize=2)
def vocabularies(words: str, grams: str) -> tuple[Vocabulary, GramVocabulary]:
    """The two vocabularies, read once per worker process."""
    return Vocabulary.read(words), GramVocabulary.read(grams)


@lru_cache(maxsize=1)
def brand_dictionary(path: str) -> BrandDictionary:
    """The dictionary of brands, read once per worker process."""
    return BrandDictionary.read(path)


def write_table(table: pa.Table, path: Path, compression: str) -> None:
    """One row group; no dictionaries and no statistics, which cost the feed time and save it nothing."""
    pq.write_table(
        table,
        path,
        row_group_size=max(1, table.num_rows),
        compression=compression,
        data_page_size=PAGE_BYTES,
        use_dictionary=False,
        write_statistics=False,
    )


def _write(table: pa.Table, file: File, folder: str, compression: str) -> str:
    """Write under a name of this attempt's own: Spark may run a task twice."""
    path = Path(folder) / file.split / f"{file.number:05d}-{uuid.uuid4().hex[:12]}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path, compression)
    return str(path)


def _matrix(rows: list[list[int]] | list[list[float]], kind: type) -> npt.NDArray[Any]:
    return np.array(rows, dtype=kind).reshape(len(rows), -1)
