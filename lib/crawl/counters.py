"""What a month's crawl did, counted from its tables: so a crawl that was killed and resumed counts all of it."""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lib.crawl.frontier import Frontier

# Hosts and error codes named in the manifest; the others are counted together.
MOST_HOSTS = 50
MOST_ERRORS = 30
# A host's speed over time is drawn with so many points at most.
POINTS = 60


def states(frontier: Frontier) -> dict[str, int]:
    """Addresses by state."""
    counted = frontier.rows().groupBy("state").count()
    return {row.state: row["count"] for row in counted.orderBy("state").collect()}


def counters(frontier: Frontier) -> dict[str, Any]:
    """Figures for the manifest and the report; their number does not grow with the pages."""
    rows, pages = frontier.rows(), frontier.pages()
    asked = rows.agg(
        F.sum("requests").alias("requests"),
        F.sum(F.greatest(F.col("requests") - 1, F.lit(0))).alias("retried"),
        F.count_if(F.col("state") == "forbidden").alias("robots_forbidden"),
        F.count_if(F.col("depth") == 0).alias("seeds"),
        F.count(F.lit(1)).alias("addresses"),
    ).collect()[0]
    kept = pages.agg(
        F.count(F.lit(1)).alias("pages"),
        F.sum("sent_bytes").alias("bytes_sent"),
        F.sum("body_bytes").alias("bytes_unpacked"),
        F.count_if(F.col("status") == 304).alias("not_modified"),
        F.count_if(F.col("status").between(300, 399) & (F.col("status") != 304)).alias("redirects"),
        F.sum(F.size("links")).alias("links"),
    ).collect()[0]
    figures = {name: int(value or 0) for name, value in {**asked.asDict(), **kept.asDict()}.items()}
    figures["deduplicated"] = figures["links"] + figures["seeds"] - figures["addresses"]
    return {
        **figures,
        # The last answer of each address, be it a page or the failure that was left of it.
        "by_status": _counted(rows.where("status IS NOT NULL"), "status"),
        "by_kind": _counted(pages, "kind"),
        "errors": _counted(rows.where("error IS NOT NULL AND state != 'stored'"), "error"),
        "hosts": _hosts(pages),
    }


def _counted(rows: DataFrame, column: str) -> dict[str, int]:
    most = rows.groupBy(column).count().orderBy(F.desc("count"), column).limit(MOST_ERRORS).collect()
    return {str(row[column]): row["count"] for row in most}


def _hosts(pages: DataFrame) -> list[dict[str, Any]]:
    """The busiest hosts: pages, bytes, and pages a second over the crawl's time."""
    at = F.unix_micros("requested_at") / 1e6
    first, last = pages.agg(F.min(at), F.max(at)).collect()[0]
    if first is None:
        return []
    step = max(1.0, (last - first) / POINTS)
    busiest = (
        pages.groupBy("host")
        .agg(
            F.count(F.lit(1)).alias("pages"), F.sum("sent_bytes").alias("bytes"),
            F.percentile_approx("seconds", 0.5).alias("median_seconds"),
        )
        .orderBy(F.desc("pages"), "host").limit(MOST_HOSTS)
    )  # fmt: skip
    slots = pages.groupBy("host", F.floor((at - first) / step).alias("slot")).count()
    series: dict[str, dict[int, int]] = {}
    for row in slots.join(F.broadcast(busiest.select("host")), "host", how="left_semi").collect():
        series.setdefault(row.host, {})[row.slot] = row["count"]
    return [
        {
            **row.asDict(),
            "speed": [[round(slot * step, 1), round(series[row.host].get(slot, 0) / step, 3)]
                      for slot in range(int((last - first) / step) + 1)],
        }
        for row in busiest.collect()
    ]  # fmt: skip
