"""Word vectors by gensim over a corpus that Spark exports and gensim streams.

Memory is bounded by the vocabulary: the corpus is a text file, and its words were counted before (token_counts), so
gensim makes no counting pass.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import Word2Vec
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lib.config import Word2vecSettings
from lib.errors import UserError
from lib.text.counts import WORD
from lib.text.vocabulary import RESERVED, UNKNOWN

# gensim splits lines at newlines and words at blanks; a token that holds either would come back as others.
BREAKS_LINES = r"[\s\p{Z}\p{Cc}]"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Corpus:
    """A text file of one product a line, tokens separated by single spaces.

    Attributes:
        path: the file, UTF-8.
        sentences: its lines.
        words: all their tokens.
    """

    path: Path
    sentences: int
    words: int


def export(train: DataFrame, folder: Path) -> Corpus:
    """Write the train rows' name and category tokens to one file in `folder`.

    The order of lines is that of a hash of the product, so the file is the same whatever the table's files and the
    number of Spark's tasks are, and categories are mixed as stochastic gradient descent wants them.
    """
    tokens = F.filter(F.concat("name_tokens", "category_tokens"), _is_one_word)
    lines = train.select("month", "product_id", F.array_join(tokens, " ").alias("line")).where("line <> ''")
    ordered = lines.orderBy(F.xxhash64("product_id"), "product_id", "month").select("line")
    parts = folder / "parts"
    ordered.write.mode("overwrite").text(str(parts))
    corpus = _concatenated(sorted(parts.glob("part-*")), folder / "corpus.txt")
    shutil.rmtree(parts)
    return corpus


def frequencies(counts: DataFrame, min_count: int) -> dict[str, int]:
    """Words that occur at least so often and their counts, the most frequent first, equals by their text.

    Args:
        counts: field, token, count over the history.

    Raises:
        UserError: there is none.
    """
    one_word = _is_one_word(F.col("token"))
    frequent = counts.where((F.col("field") == WORD) & (F.col("count") >= min_count) & one_word)
    ordered = frequent.orderBy(F.desc("count"), "token").select("token", "count").toArrow()
    found = dict(zip(ordered.column("token").to_pylist(), ordered.column("count").to_pylist(), strict=True))
    if not found:
        raise UserError(f"no word occurs word2vec.min_count = {min_count} times; lower it for a small corpus")
    return found


def train(corpus: Corpus, counts: Mapping[str, int], settings: Word2vecSettings) -> NDArray[np.float32]:
    """Word vectors: float32 [len(counts) + 2, dimensions].

    Row 0 (padding) is zeros, row 1 (unknown words) the mean of all words, row i + 2 the i-th word of `counts`. With one
    worker the result is the same at every run.
    Method: Mikolov et al., Distributed Representations of Words and Phrases, NIPS 2013.
    """
    model = Word2Vec(
        vector_size=settings.dimensions,
        window=settings.window,
        min_count=settings.min_count,
        negative=settings.negative,
        sg=int(settings.skip_gram),
        epochs=settings.epochs,
        workers=settings.workers,
        seed=settings.seed,
    )
    model.build_vocab_from_freq(dict(counts), corpus_count=corpus.sentences)
    model.train(
        corpus_file=str(corpus.path),
        total_examples=corpus.sentences,
        total_words=corpus.words,
        epochs=settings.epochs,
    )
    vectors = np.zeros((len(counts) + RESERVED, settings.dimensions), np.float32)
    vectors[RESERVED:] = model.wv[list(counts)]
    vectors[UNKNOWN] = vectors[RESERVED:].mean(axis=0)
    return vectors


def figures(corpus: Corpus, counts: Mapping[str, int], settings: Word2vecSettings) -> dict[str, Any]:
    """What the report says of the vectors: the last step of R5's funnel, and what they were learnt from."""
    step = {
        "name": "word2vec",
        "note": f"at least {settings.min_count} times",
        "entries": len(counts),
        "coverage": sum(counts.values()) / corpus.words if corpus.words else 0.0,
    }
    return {"funnel": [step], "sentences": corpus.sentences, "words": corpus.words}


def _is_one_word(token: Column) -> Column:
    return ~token.rlike(BREAKS_LINES) & (token != "")


def _concatenated(parts: list[Path], target: Path) -> Corpus:
    """One file of all parts in order, counted on the way; it grows on disk and never in memory."""
    lines = spaces = 0
    with target.open("wb") as whole:
        for part in parts:
            with part.open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    lines += chunk.count(b"\n")
                    spaces += chunk.count(b" ")
                    whole.write(chunk)
    return Corpus(target, lines, lines + spaces)
