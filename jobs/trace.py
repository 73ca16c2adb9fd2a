"""Tell what a prediction came of: model version, shards, vocabulary, tables, code and configuration of every stage.

spark-submit jobs/trace.py --conf conf/local.yaml --product-id nuri:17 --month 2026-01     (--json for programs)
"""

import json
from argparse import Namespace

from lib import command, config
from lib.operation.trace import render, trace
from lib.session import open_session


def main() -> None:
    """Parse the command line and print the tree."""
    parser = command.parser(__doc__ or "")
    parser.add_argument("--product-id", required=True, help="'<mall_id>:<the mall's own id>', as in the table products")
    parser.add_argument("--month", required=True, type=command.month, help="the month of the prediction, YYYY-MM")
    parser.add_argument("--json", action="store_true", help="print JSON with everything, instead of the tree")
    command.guarded(lambda: run(parser.parse_args()))


def run(given: Namespace) -> None:
    """Print what the product's predictions came of."""
    loaded = config.load(given.conf, given.overrides)
    spark = open_session(loaded.spark, f"catmatch trace {given.month}")
    found = trace(spark, loaded, given.product_id, given.month)
    print(json.dumps(found.to_json(), ensure_ascii=False, indent=1) if given.json else render(found))


if __name__ == "__main__":
    main()
