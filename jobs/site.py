"""Serve a month of the simulated market as a site on loopback, to look at it or to crawl it by hand.

.venv/bin/python jobs/site.py --conf conf/local.yaml --month 2026-01 [--port 8000]     (Ctrl-C ends it)
"""

import threading

from lib import command, config
from lib.errors import UserError
from lib.marketplace.site.process import serving


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = command.parser(__doc__ or "")
    parser.add_argument("--month", required=True, type=command.month, help="the month to show, YYYY-MM")
    parser.add_argument("--port", type=int, help="where it is served (default: market.site.port; 0 is a free one)")
    arguments = parser.parse_args()
    port = [] if arguments.port is None else [f"market.site.port={arguments.port}"]

    def body() -> None:
        market = config.load(arguments.conf, [*arguments.overrides, *port]).market
        if market is None:
            raise UserError(f"{arguments.conf} has no market section to serve; take conf/local.yaml")
        with serving(market, arguments.month) as chosen:
            print(f"http://127.0.0.{market.site.first_address}:{chosen}/category/category.nhn")
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print("ended")

    command.guarded(body)


if __name__ == "__main__":
    main()
