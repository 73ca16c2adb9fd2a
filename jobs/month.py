"""Run the stages of one month, or of several in order, in one process.

spark-submit jobs/month.py --conf conf/local.yaml --month 2026-01      (--months 3 goes on with the two months after)
"""

import logging
from argparse import Namespace
from collections.abc import Callable

from pyspark.sql import SparkSession

from jobs import (
    brands,
    crawl,
    drift,
    evaluate,
    image_features,
    images,
    ingest,
    market,
    normalize,
    promote,
    report,
    review,
    score,
    shards,
    tokenize,
    train,
    validation_set,
    vocabulary,
    word2vec,
)
from lib import command, config, manifest, months, registry
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest
from lib.report.summary import summary
from lib.session import open_session

LOG = logging.getLogger(__name__)
Run = Callable[[SparkSession, Config, str, bool], Manifest]
TEXT: tuple[Run, ...] = (tokenize.run, vocabulary.run)
LEARN: tuple[Run, ...] = (word2vec.run, brands.run, normalize.run, shards.run)


def run_month(spark: SparkSession, loaded: Config, month: str, force: bool) -> None:
    """All stages of one month; stages whose inputs did not change are skipped."""
    learn_month(spark, loaded, month, force)
    validation_set.run(spark, loaded, month, force)
    drift.run(spark, loaded, month, force)
    champion = _standing(loaded, promote.run(spark, loaded, month, force))
    if champion is None:
        LOG.warning("month %s: no version is champion, so nothing is scored; the report says why", month)
    else:
        score.run(spark, loaded, month, force, champion)
        review.run(spark, loaded, month, force)
    report.run(spark, loaded, month, force)


def _standing(loaded: Config, promoted: Manifest) -> str | None:
    """The champion that the month's decision left, as long as nobody rolled it back since: a month that is run again
    after later ones keeps its own champion's labels, so that nothing is done where nothing changed."""
    decided: str | None = promoted.facts["champion"]
    store, name = loaded.registry_store, loaded.registry.name
    rolled_back = decided is not None and registry.withdrawn(store, decided, name) is not None
    return registry.standing(store, name).champion if rolled_back else decided


def take_in(spark: SparkSession, loaded: Config, month: str, force: bool) -> None:
    """The stages that end with the month's offers as a model takes them, and their categories."""
    _offers(spark, loaded, month, force)
    tokenize.run(spark, loaded, month, force)
    normalize.run(spark, loaded, month, force)


def _offers(spark: SparkSession, loaded: Config, month: str, force: bool) -> None:
    """From the market or a crawl to products with pictures."""
    if loaded.market is not None:
        market.run(spark, loaded, month, force)
    if loaded.crawl is not None and loaded.crawl.asks_for_pages:
        crawl.run(spark, loaded, month, force)
    ingest.run(spark, loaded, month, force)
    if loaded.images is not None:
        images.run(spark, loaded, month, force)
    if loaded.shards.image == "features":
        image_features.run(spark, loaded, month, force)


def make_shards(spark: SparkSession, loaded: Config, month: str, force: bool) -> None:
    """The stages that end with the shards that the month's model learns from."""
    _offers(spark, loaded, month, force)
    bring_earlier_months_up_to_date(spark, loaded, month)
    for stage in (*TEXT, *LEARN):
        stage(spark, loaded, month, force)


def learn_month(spark: SparkSession, loaded: Config, month: str, force: bool) -> None:
    """The stages that end with an evaluated candidate, which is nobody's champion."""
    make_shards(spark, loaded, month, force)
    train.run(spark, loaded, month, force)
    evaluate.run(spark, loaded, month, force)


def bring_earlier_months_up_to_date(spark: SparkSession, loaded: Config, month: str) -> None:
    """Tokenise and count the window's earlier months again where the tokenizer changed; else nothing is done."""
    back = max(loaded.shards.months_back, loaded.vocabulary.history_months)
    for earlier in months.window(month, back)[:-1]:
        if manifest.find(loaded.storage.warehouse, "tokenize", earlier) is not None:
            for stage in TEXT:
                stage(spark, loaded, earlier, False)


def main() -> None:
    """Parse the command line and run each month."""
    parser = command.parser(__doc__ or "")
    parser.add_argument("--month", type=command.month, help="first month (default: market.first_month)")
    parser.add_argument("--months", type=int, default=1, help="how many months, in order (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="run every stage even if nothing changed")
    arguments = parser.parse_args()
    command.guarded(lambda: run(arguments))


def run(arguments: Namespace) -> None:
    """Run the months that the arguments name and print what came of them."""
    loaded = config.load(arguments.conf, arguments.overrides)
    first = arguments.month or (loaded.market.first_month if loaded.market else None)
    if first is None or arguments.months < 1:
        raise UserError(
            f"{arguments.conf}: give --month YYYY-MM and --months of at least 1 (it has no market to start with)"
        )
    wanted = months.window(months.shift(first, arguments.months - 1), arguments.months)
    spark = open_session(loaded.spark, f"catmatch month {first}")
    for month in wanted:
        run_month(spark, loaded, month, arguments.force)
    print(summary(spark, loaded, wanted))


if __name__ == "__main__":
    main()
