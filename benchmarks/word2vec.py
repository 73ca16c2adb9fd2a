"""Our word2vec against bare gensim on the same corpus, and its memory when the corpus doubles.

python -m benchmarks.word2vec [--rows 20000]

The corpus is real names cut by mecab-ko (fast, and the tokenizer does not matter here), exported by the very function
of jobs/word2vec.py. Bare gensim counts the words itself, as it must; ours gets them from token_counts.
"""

import argparse
import json
import lzma
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from gensim.models import Word2Vec
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.result import ROOT, data_folder, finish
from lib.config import SparkSettings, TextSettings, Word2vecSettings
from lib.session import open_session
from lib.text import counts, word2vec
from lib.text.tokenizers import TokenizerSettings
from lib.text.tokens import PRODUCT_COLUMNS, tokenized

FULL_ROWS = 200_000
REPEATS = 3
# Small corpora keep few words at 50; 5 gives the vocabulary some 20,000 words, about R5's 20,344.
SETTINGS = Word2vecSettings(min_count=5, epochs=1, workers=1, seed=1)
BAR = "words/s >= 0.9 x bare gensim (ratio), peak memory with twice the sentences <= 1.15 x (memory_ratio)"


def main() -> None:
    """Export the corpus once, time both, then measure memory in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="only so many names (a trial)")
    parser.add_argument(
        "--memory-of", nargs=4, metavar=("CORPUS", "SENTENCES", "WORDS", "COUNTS"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(peak_memory(*arguments.memory_of))
        return
    data = data_folder() / "naver_names" / "names.tsv.xz"
    with tempfile.TemporaryDirectory(prefix="word2vec-") as scratch:
        names, corpus, frequencies = export(data, arguments.rows, Path(scratch))
        figures = speeds(corpus, frequencies)
        figures |= memory(corpus, frequencies, Path(scratch))
    held = figures["ratio"] >= 0.9 and figures["memory_ratio"] <= 1.15
    full = names >= FULL_ROWS
    finish("word2vec", figures, BAR, held if full else None, names, seeds=[SETTINGS.seed], data=[data])


def export(data: Path, rows: int | None, scratch: Path) -> tuple[int, word2vec.Corpus, dict[str, int]]:
    """Names, their corpus file and the counts of its words, by the code of the jobs."""
    spark = open_session(SparkSettings(driver_memory="2g", shuffle_partitions=4), "benchmark word2vec")
    text = TextSettings(tokenizer="mecab")
    products = names_as_products(spark, data, rows)
    with tokenized(products, str(scratch), text, TokenizerSettings.of(text), "2019-04") as made:
        corpus = word2vec.export(made.rows, scratch)
        frequencies = word2vec.frequencies(counts.counted(made.rows), SETTINGS.min_count)
    spark.stop()
    return made.products, corpus, frequencies


def names_as_products(spark: SparkSession, data: Path, rows: int | None) -> DataFrame:
    """The names as rows to tokenize."""
    with lzma.open(data, "rt", encoding="utf-8", newline="\n") as stream:
        place = next(stream).rstrip("\n").split("\t").index("name")
        names = [line.rstrip("\n").split("\t")[place] for line in stream][:rows]
    frame = spark.createDataFrame(pd.DataFrame({"prod_nm": names})).withColumns(
        {
            "month": F.lit("2019-04"),
            "batch": F.lit("2019-04-01"),
            "product_id": F.concat(F.lit("m:"), F.monotonically_increasing_id()),
        }
    )
    absent = {name: F.lit(None).cast("string") for name in PRODUCT_COLUMNS if name not in frame.columns}
    return frame.withColumns(absent)


def speeds(corpus: word2vec.Corpus, frequencies: dict[str, int]) -> dict[str, float]:
    """Words a second of both, in turns, medians of the repeats."""
    ours, peer = [], []
    for _ in range(REPEATS):
        ours.append(seconds(lambda: word2vec.train(corpus, frequencies, SETTINGS)))
        peer.append(seconds(lambda: bare(corpus)))
    words = corpus.words * SETTINGS.epochs
    figures = {"ours": words / statistics.median(ours), "peer": words / statistics.median(peer)}
    return {
        **figures,
        "ratio": figures["ours"] / figures["peer"],
        "words": words,
        "vocabulary": len(frequencies),
    }


def bare(corpus: word2vec.Corpus) -> None:
    """What a user of gensim would write."""
    Word2Vec(
        corpus_file=str(corpus.path),
        vector_size=SETTINGS.dimensions,
        window=SETTINGS.window,
        min_count=SETTINGS.min_count,
        negative=SETTINGS.negative,
        sg=int(SETTINGS.skip_gram),
        epochs=SETTINGS.epochs,
        workers=SETTINGS.workers,
        seed=SETTINGS.seed,
    )


def memory(corpus: word2vec.Corpus, frequencies: dict[str, int], scratch: Path) -> dict[str, float]:
    """Peak memory of training on the corpus and on the corpus twice, each in a process of its own."""
    listed = scratch / "counts.json"
    listed.write_text(json.dumps(frequencies, ensure_ascii=False), encoding="utf-8")
    content = corpus.path.read_bytes()
    twice = scratch / "twice.txt"
    twice.write_bytes(content + content)
    peaks = []
    for path, times in ((corpus.path, 1), (twice, 2)):
        sizes = [str(corpus.sentences * times), str(corpus.words * times)]
        command = [sys.executable, "-m", "benchmarks.word2vec", "--memory-of", str(path), *sizes, str(listed)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.splitlines()[-1]))
    return {"memory_mib": peaks[0], "memory_twice_mib": peaks[1], "memory_ratio": peaks[1] / peaks[0]}


def peak_memory(corpus: str, sentences: str, words: str, listed: str) -> float:
    """MiB at most resident in this process while it trains."""
    frequencies = json.loads(Path(listed).read_text(encoding="utf-8"))
    word2vec.train(word2vec.Corpus(Path(corpus), int(sentences), int(words)), frequencies, SETTINGS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of the work."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
