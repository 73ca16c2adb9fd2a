"""What a good afternoon with scikit-learn gives: character 1-4-gram TF-IDF and a linear SVM on the same
split.

It holds the names it learns from in memory, so whoever calls it bounds them (evaluate.peer_max_rows).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

PEER_VERSION = "peer-char-tfidf-linearsvc"
MIN_DOCUMENTS = 2
PENALTY = 0.5


@dataclass(frozen=True)
class PeerAnswer:
    """What the peer said of the test names, and the seconds its training took."""

    predicted: NDArray[np.str_]
    seconds: float


def answer(names: Sequence[str], cat_ids: Sequence[str], asked: Sequence[str]) -> PeerAnswer:
    """Train the peer and let it label names.

    Args:
        names, cat_ids: what it learns from, of at least one name with a gram that occurs twice.
        asked: names to label.

    Where all of `cat_ids` are one category there is nothing to learn: that one is the answer.
    """
    started = time.monotonic()
    if len(set(cat_ids)) < 2:
        return PeerAnswer(np.array([cat_ids[0]] * len(asked)), time.monotonic() - started)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), min_df=MIN_DOCUMENTS, sublinear_tf=True)
    machine = LinearSVC(C=PENALTY).fit(vectorizer.fit_transform(names), np.asarray(cat_ids))
    seconds = time.monotonic() - started
    return PeerAnswer(machine.predict(vectorizer.transform(asked)), seconds)
