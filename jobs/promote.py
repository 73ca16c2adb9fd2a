"""Let a month's candidate take the champion's place where no gate speaks against it; ends with 0 whatever it decides.

spark-submit jobs/promote.py --conf conf/local.yaml --month 2026-01      (--keep-champion only judges)
spark-submit jobs/promote.py --conf conf/local.yaml --month 2026-01 --override-drift --who NAME --why TEXT
spark-submit jobs/promote.py --conf conf/local.yaml --rollback --who NAME --why TEXT
"""

from argparse import Namespace

from pyspark.sql import SparkSession

from lib import command, config
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest, Stage, run_stage
from lib.promotion.override import BRAKES, Override, noted
from lib.session import open_session

STAGE = Stage("promote", revision=1, config_keys=("promote",))


def run(
    spark: SparkSession, config: Config, month: str, force: bool = False, override: Override | None = None
) -> Manifest:
    """The month's model against the champion -> the manifest's decision, and the aliases champion and previous."""
    # Here, so that what imports every job does not start TensorFlow for Spark-only stages.
    from lib.promotion import month_promotion, unfinished

    with month_promotion.alone(config):
        judged = month_promotion.of(spark, config, month, override)
        again = force or judged.left is not None
        done = run_stage(spark, STAGE, config, month, judged.inputs(), judged.work, force=again)
        unfinished.ended(config.storage.warehouse, month)
    return done


def main() -> None:
    """Parse the command line; --month and --rollback exclude each other."""
    parser = command.parser(__doc__ or "")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--month", type=command.month, help="judge this month's model")
    what.add_argument("--rollback", action="store_true", help="let champion and previous change places")
    parser.add_argument("--force", action="store_true", help="judge anew even if nothing changed")
    parser.add_argument(
        "--keep-champion", dest="overrides", action="append_const", const="promote.keep_champion=true",
        help="only judge; short for --set promote.keep_champion=true",
    )  # fmt: skip
    for gate in BRAKES:
        parser.add_argument(f"--override-{gate}", action="store_true", help=f"let gate '{gate}' stop nothing")
    parser.add_argument("--who", help="who overrides a gate or rolls back")
    parser.add_argument("--why", help="and why")
    command.guarded(lambda: _run(parser.parse_args()))


def _run(given: Namespace) -> None:
    loaded = config.load(given.conf, given.overrides)
    overridden = frozenset(gate for gate in BRAKES if getattr(given, f"override_{gate}"))
    if given.rollback:
        if overridden or given.force:
            raise UserError("--rollback judges no month; leave out --force and --override-…, or give --month instead")
        from lib.promotion import month_promotion

        print(month_promotion.roll_back(loaded, noted(given.who, given.why, "--rollback")))
        return
    if not overridden and (given.who or given.why):
        raise UserError(
            f"--who and --why say who overrides a gate; give --override-{' or --override-'.join(BRAKES)} too"
        )
    override = None
    if overridden:
        override = Override(overridden, noted(given.who, given.why, f"--override-{min(overridden)}"))
    done = run(
        open_session(loaded.spark, f"catmatch promote {given.month}"), loaded, given.month, given.force, override
    )
    print(done.facts["words"])


if __name__ == "__main__":
    main()
