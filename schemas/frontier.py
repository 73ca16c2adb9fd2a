"""What the month's crawl has to fetch, has fetched, or has given up."""

from pyspark.sql.types import IntegerType, StringType, StructField, StructType, TimestampType

from schemas.table import MONTH_CHECK, Table, WriteMode, column, month_column

# waiting: to be asked for, now or from `not_before` on; stored: answered, the page is in `pages`; failed: given up,
# `error` says why; forbidden: robots.txt does not allow it.
FRONTIER_STATES = ("waiting", "stored", "failed", "forbidden")


def address_columns() -> list[StructField]:
    """What names an address of a month, in `frontier` and in `pages`."""
    return [
        month_column(),
        column("url", StringType(), "canonical address", nullable=False),
        column("kind", StringType(), "tree, list, product or api", nullable=False),
        column("host", StringType(), "host, with the port where it is not the scheme's", nullable=False),
        column("depth", IntegerType(), "links from a seed", nullable=False),
    ]


FRONTIER = Table(
    name="frontier",
    row="one address to fetch this month and its state",
    key=("month", "url"),
    struct=StructType(
        [
            *address_columns(),
            column("state", StringType(), f"one of {', '.join(FRONTIER_STATES)}", nullable=False),
            column("attempts", IntegerType(), "requests made for it since it was last given up", nullable=False),
            column("requests", IntegerType(), "requests made for it in all", nullable=False),
            column("round", IntegerType(), "round that last dealt with it; 0: none yet", nullable=False),
            column("not_before", TimestampType(), "earliest time of the next attempt; null: any time"),
            column("requested_at", TimestampType(), "time of the last request"),
            column("status", IntegerType(), "HTTP status of the last answer"),
            column(
                "etag", StringType(), "ETag of last month's page, sent back to ask whether it changed; then its own"
            ),
            column("last_modified", StringType(), "Last-Modified of last month's page, likewise"),
            column("error", StringType(), "why the last attempt failed: a code, no text of the site's"),
        ]
    ),
    write_mode=WriteMode.MERGE,
    slice=("month",),
    checks={**MONTH_CHECK, "state_is_known": f"state IN {FRONTIER_STATES!r}"},
    # An address found again is not asked for again; only a later round knows better.
    merge_updates={
        **{
            name: f"new.{name}"
            for name in ("state", "attempts", "round", "not_before", "status", "error", "etag", "last_modified")
        },
        "requests": "old.requests + greatest(new.attempts - old.attempts, 0)",
        # A round that did not come to it takes nothing from what an API has counted today.
        "requested_at": "coalesce(new.requested_at, old.requested_at)",
    },
    merge_when="new.round > old.round",
    keep_months=12,
)
