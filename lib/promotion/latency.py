"""Times two models by turns in one process, so that what slows the machine slows both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.evaluation.sample import Sample, draw
from lib.scoring.chosen import Chosen
from lib.scoring.pictures import with_pictures
from lib.scoring.predictor import Predictor, shared_predictor
from lib.scoring.recorded import texts_of
from schemas.tokens import TOKENS


@dataclass(frozen=True)
class Times:
    """Seconds of each model's batches, and the rows of a batch."""

    candidate: list[float]
    champion: list[float]
    rows: int


def by_turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each call, `rounds` of each, after one that is not counted; who goes first changes every round."""
    times: tuple[list[float], list[float]] = ([], [])
    calls = (first, second)
    for call in calls:
        call()
    for number in range(rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            started = time.perf_counter()
            calls[which]()
            times[which].append(time.perf_counter() - started)
    return times


def measured(
    spark: SparkSession, warehouse: str, month: str, models: Sequence[Chosen], rows: int, rounds: int
) -> Times:  # fmt: skip
    """Seconds from words and grams to answers on the same test names of the month, for the candidate and the champion.

    The month's tokens stand for the champion's where another tokenizer made those: asked is how long the model takes,
    and not how long its tokenizer does.
    """
    calls, sizes = [], []
    for model in models:
        tokens = tables.read(spark, warehouse, TOKENS, month=month).where(F.col("split") == "test")
        sample = draw(with_pictures(tokens, warehouse, month, model.picture), None, rows)
        calls.append(_call(shared_predictor(str(model.folder)), sample))
        sizes.append(len(sample))
    return Times(*by_turns(calls[0], calls[1], rounds), rows=sizes[0])


def _call(predictor: Predictor, sample: Sample) -> Callable[[], object]:
    """One batch, in pieces where the model sees raw pictures."""

    texts = texts_of(sample)

    def answer() -> None:
        step = predictor.rows_at_once(max(len(sample), 1))
        for start in range(0, len(sample), step):
            shown = None if sample.pictures is None else sample.pictures.slice(start, step)
            predictor.main_logits(predictor.vectorised(texts.slice(start, step), shown))

    return answer
