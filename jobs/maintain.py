"""Upkeep of the warehouse: retention of every table, small files put together, artefacts that nobody needs removed.

spark-submit jobs/maintain.py --conf conf/local.yaml [--dry-run]
"""

from argparse import Namespace

from lib import command, config
from lib.operation.maintain import maintain
from lib.session import open_session


def main() -> None:
    """Parse the command line and say what went."""
    parser = command.parser(__doc__ or "")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go, with sizes")
    command.guarded(lambda: run(parser.parse_args()))


def run(given: Namespace) -> None:
    """Do the upkeep and print a line for each thing that went, or would go."""
    loaded = config.load(given.conf, given.overrides)
    done = maintain(open_session(loaded.spark, "catmatch maintain"), loaded, dry_run=given.dry_run)
    words = "would go" if given.dry_run else "done"
    print("\n".join([*done, f"{len(done)} things {words}" if done else "nothing to do"]))


if __name__ == "__main__":
    main()
