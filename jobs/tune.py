"""Search the best configuration by trials on a month's shards, and say what mattered (conf/tune.yaml).

spark-submit jobs/tune.py --conf conf/tune.yaml --month 2019-04 [--set train.epochs=3] [--output best.yaml]

The same command goes on with a search that was killed, or whose budget has been raised.
"""

import logging
from argparse import Namespace
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.month import make_shards
from lib import command, manifest, months
from lib.artefact import Artefact, write_whole
from lib.config import Config
from lib.config.tune import load_tuning
from lib.report import search_page
from lib.report.search_page import Searched
from lib.session import open_session
from lib.studies import space
from lib.studies.best import best_yaml
from lib.studies.finals import decide
from lib.studies.own_tables import of_its_own
from lib.studies.past import best_points
from lib.studies.search import Search
from lib.studies.search_storage import host_of, opened, proxy
from lib.studies.trial_runs import logged_to
from lib.studies.weights import weights

LOG = logging.getLogger(__name__)


def run(given: Namespace) -> None:
    """Trials, finals, the page and the best configuration."""
    settings, overrides = load_tuning(given.conf), list(given.overrides)
    space.check(settings, overrides)
    base, name = space.changed(settings, {}, overrides), f"{settings.name}/{given.month}"
    state = Path(base.storage.state)
    own = space.own_tables(settings, overrides)
    trials = of_its_own(base, state / "tune" / settings.name) if own else base
    with opened(settings.storage, state, name) as memory, memory.in_use():
        spark = open_session(base.spark, f"catmatch tune {name}")
        host = host_of(spark.conf.get("spark.driver.host"))
        with proxy(memory, host) as port:
            made = shards_of(spark, given.month)
            told = logged_to(base.registry_store, name)
            search = Search(spark, settings, overrides, trials, memory, name, (host, port), made, told)
            before = f"{settings.name}/{months.shift(given.month, -1)}"
            search.begin_with(best_points(memory, before, settings.warm_start), before)
            search.run()
            finals = decide(search)
            if not space.shared_shards(settings):
                # The month's shards are those that were made last; jobs/train.py is to find the winner's.
                make_shards(spark, search.config(finals.winner.point, settings.seed), given.month, False)
        best = best_yaml(settings, overrides, trials, name, finals)
        found = weights(search.study, settings.space)
        searched = Searched(name, settings, search.study.get_trials(deepcopy=False), found, finals, best)
        page = search_page.store(searched, base.storage.reports, manifest.code_version())
    output = Path(given.output or page.with_suffix(".yaml"))
    write_whole(output, best)
    LOG.info("search %s: trial %s is best; %s, %s", name, finals.winner.name, page, output)


def shards_of(spark: SparkSession, month: str) -> "space.ShardsOf":
    """Makes the shards that a trial's configuration learns from; those that are made already are not made again."""
    known: dict[str, Artefact] = {}

    def shards(config: Config) -> Artefact:
        key = space.key_of_shards(config)
        if key not in known:
            make_shards(spark, config, month, False)
            known[key] = manifest.artefact_of(config.storage.warehouse, "shards", month, "shards")
        return known[key]

    return shards


def main() -> None:
    """Parse the command line."""
    parser = command.parser(__doc__ or "")
    parser.set_defaults(conf="conf/tune.yaml")
    parser.add_argument("--month", required=True, type=command.month, help="whose shards are learnt from, YYYY-MM")
    parser.add_argument("--output", help="file of the best configuration (default: beside the page)")
    arguments = parser.parse_args()
    command.guarded(lambda: run(arguments))


if __name__ == "__main__":
    main()
