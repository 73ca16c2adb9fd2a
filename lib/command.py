"""What every job's command line shares: --conf, --set, --month, --force, logging, and errors as one sentence."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from lib import config as configuration
from lib.errors import UserError
from lib.session import open_session
from schemas.table import is_month

StageRun = Callable[..., object]


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments every job takes."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--conf", default="conf/local.yaml", help="configuration file (default: %(default)s)")
    made.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one value, for instance train.epochs=3; may be repeated",
    )
    return made


def month(text: str) -> str:
    """An argparse type: a month written YYYY-MM."""
    if not is_month(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a month; write it as YYYY-MM, for instance 2026-01")
    return text


def run_stage_job(
    name: str, description: str | None, run: StageRun, argv: Sequence[str] | None = None,
    short: Mapping[str, str] | None = None, session: bool = True, **options: str,
) -> None:  # fmt: skip
    """Parse the command line of a monthly stage, open the session, run it; end with 2 on a user's mistake.

    Args:
        short: options that are short for --set, each with the key that it sets.
        session: False: the stage does without Spark and gets None.
        options: further options of this stage, each with its help; `run` gets them by name, None where not given.
    """
    arguments_parser = parser(description or name)
    arguments_parser.add_argument("--month", required=True, type=month, help="the month to work on, YYYY-MM")
    arguments_parser.add_argument("--force", action="store_true", help="run even if nothing changed")
    for option, meaning in options.items():
        arguments_parser.add_argument(f"--{option}", help=meaning)
    for option, key in (short or {}).items():
        arguments_parser.add_argument(
            f"--{option}", dest="overrides", action="append", type=partial("{}={}".format, key),
            metavar="VALUE", help=f"short for --set {key}=VALUE",
        )  # fmt: skip
    arguments = arguments_parser.parse_args(argv)

    def body() -> None:
        loaded = configuration.load(arguments.conf, arguments.overrides)
        run(
            open_session(loaded.spark, f"catmatch {name} {arguments.month}") if session else None,
            loaded,
            arguments.month,
            arguments.force,
            **{option: getattr(arguments, option) for option in options},
        )

    guarded(body)


def guarded(body: Callable[[], None]) -> None:
    """Run a job's body; print a UserError as its one sentence and exit with 2."""
    start_logging()
    try:
        body()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def start_logging(*, quiet: bool = False) -> None:
    """Progress of our own stages on standard error, unless quiet; libraries only from warnings up."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Petastorm is frozen upstream: what it uses will stay old, and the lock keeps it working.
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for package in ("lib", "jobs"):
        logging.getLogger(package).setLevel(logging.WARNING if quiet else logging.INFO)
