"""Show the months running themselves: a real Airflow and a Spark cluster on this machine, from nothing to two models.

.venv/bin/python jobs/airflow_demo.py [--months 2]      (make airflow-demo installs what it needs; Ctrl-C ends all)
"""

import shutil
import signal
import sys
import time
from argparse import ArgumentParser, Namespace

from lib import config, months
from lib.command import guarded
from lib.errors import UserError
from lib.operation.demonstration import ROOT, Demonstration, demonstrated, summary

OVERLAY = ROOT / "conf" / "airflow_demo.toml"
FOLDER = ROOT / ".run" / "airflow_demo"


def run(given: Namespace) -> None:
    """Begin with an empty folder, run the months, print what came of them; end with 1 if a task is red."""
    names = demonstrated(OVERLAY)
    market = config.load(ROOT / names["conf"]).market
    if market is None:
        raise UserError(f"{names['conf']} has no market section to demonstrate")
    shutil.rmtree(FOLDER, ignore_errors=True)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    wanted = months.window(months.shift(market.first_month, given.months - 1), given.months)
    done = Demonstration(OVERLAY, FOLDER, say).run(wanted)
    print(f"\n{summary(done, str(ROOT / names['warehouse']))}\n\nreports: {FOLDER / 'reports'}")
    say("done" if all(month.state == "success" for month in done) else "a task is red")
    sys.exit(any(month.state != "success" for month in done))


def main() -> None:
    """Parse the command line; a SIGTERM ends the demonstration as Ctrl-C does."""
    arguments = ArgumentParser(description=__doc__)
    arguments.add_argument("--months", type=int, default=2, choices=range(1, 13), metavar="N", help="how many months")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = arguments.parse_args()
    try:
        guarded(lambda: run(given))
    except KeyboardInterrupt:
        sys.exit("ended")


if __name__ == "__main__":
    main()
