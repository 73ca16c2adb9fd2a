"""Compare a month with the months before it: offers, malls, categories, words, brands, confidence.

spark-submit jobs/drift.py --conf conf/local.yaml --month 2026-03 [--fail]
"""

import sys
from argparse import Namespace

from pyspark.sql import SparkSession

from lib import command, config, tables
from lib.config import Config
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.session import open_session
from schemas.products import PRODUCTS

STAGE = Stage("drift", revision=2, config_keys=("drift",))
# As of a comparison that found a difference; 2 is a user's mistake.
DRIFTED = 3


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Say in the manifest whether the month has drifted; promotion reads it there."""
    from lib.scoring import month_counts, month_drift

    warehouse, settings = config.storage.warehouse, config.drift
    tables.read_month(spark, warehouse, PRODUCTS, month)
    against = month_counts.months_there(spark, warehouse, month, settings.months_back)
    inputs = month_counts.inputs_of(spark, warehouse, [*against, month])

    def work(key: str) -> Outcome:  # noqa: ARG001 no artefact
        return Outcome(facts=month_drift.month_drift(spark, warehouse, month, against, settings))

    return run_stage(spark, STAGE, config, month, inputs, work, force=force)


def main() -> None:
    """Parse the command line; with --fail, drift is an exit code."""
    parser = command.parser(__doc__ or "")
    parser.add_argument("--month", required=True, type=command.month, help="the month to look at, YYYY-MM")
    parser.add_argument("--force", action="store_true", help="compare even if nothing changed")
    parser.add_argument("--fail", action="store_true", help=f"end with {DRIFTED} when the month has drifted")
    command.guarded(lambda: _run(parser.parse_args()))


def _run(given: Namespace) -> None:
    loaded = config.load(given.conf, given.overrides)
    facts = run(open_session(loaded.spark, f"catmatch drift {given.month}"), loaded, given.month, given.force).facts
    if facts["drifted"] and given.fail:
        print(f"drift: {facts['words']}", file=sys.stderr)
        sys.exit(DRIFTED)
    print(facts["words"])


if __name__ == "__main__":
    main()
