"""The frontier of a month's crawl: what there is to fetch, derived from seeds and from the pages that are stored.

Its rows follow from `pages` but for what was tried without an answer, so a crawl that died between storing a round's
pages and merging them here makes up for it from the pages themselves.
"""

from collections.abc import Collection, Iterable

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import months, tables
from lib.crawl.request import Link
from schemas.frontier import FRONTIER
from schemas.pages import PAGES

# Canonical addresses carry no user and no default port, so this is lib.crawl.urls.host_of as an expression.
HOST_PATTERN = "^https?://([^/?#]+)"
# Which kinds of page are fetched first among addresses of one depth: what leads to others before what does not.
KINDS_IN_ORDER = ("tree", "list", "api", "product")


class Frontier:
    """The month's rows of table `frontier`, and the month's pages they follow from."""

    def __init__(self, spark: SparkSession, warehouse: str, month: str, max_depth: int) -> None:
        self.spark, self.warehouse, self.month, self.max_depth = spark, warehouse, month, max_depth
        tables.create(spark, warehouse, FRONTIER)
        tables.create(spark, warehouse, PAGES)
        self._is_first = self.last_months_pages().isEmpty()

    def rows(self) -> DataFrame:
        """All addresses of the month."""
        return tables.read(self.spark, self.warehouse, FRONTIER, month=self.month)

    def rows_of_all_months(self) -> DataFrame:
        """All addresses there are."""
        return tables.read(self.spark, self.warehouse, FRONTIER)

    def pages(self) -> DataFrame:
        """All pages of the month."""
        return tables.read(self.spark, self.warehouse, PAGES, month=self.month)

    def next_round(self) -> int:
        """1 + the largest round that any page or address of the month carries, or ever carried."""
        last = self.rows().select("round").unionByName(self.pages().select("round")).agg(F.max("round"))
        ever = tables.last_round(self.spark, self.warehouse, PAGES, transaction(self.month))
        return max(int(last.collect()[0][0] or 0), ever) + 1

    def add_seeds(self, seeds: Iterable[Link]) -> None:
        """Enter the seeds that are not known yet, at depth 0."""
        links = self.spark.createDataFrame([(seed.url, seed.kind) for seed in seeds], "url string, kind string")
        self._merge(self._discovered(links.withColumn("depth", F.lit(0))))

    def reconcile(self) -> None:
        """Make up for rounds whose pages were stored and whose addresses were not merged."""
        merged = self.rows().agg(F.max("round")).collect()[0][0] or 0
        stored = self.pages().where(F.col("round") > merged)
        if not stored.isEmpty():
            self._merge(self._from_pages(stored))

    def merge_round(self, number: int, unanswered: DataFrame) -> None:
        """Merge a round whose pages are stored.

        Args:
            unanswered: rows of `frontier` for what the round tried, or did not get to, without storing a page.
        """
        self._merge(self._from_pages(self.pages().where(F.col("round") == number)).unionByName(unanswered))

    def try_again(self, number: int) -> None:
        """Let failed and forbidden addresses wait once more, as of the given round."""
        again = self.rows().where(F.col("state").isin("failed", "forbidden"))
        fresh = {"state": F.lit("waiting"), "attempts": F.lit(0), "round": F.lit(number), "not_before": _no_time()}
        self._merge(again.withColumns({**fresh, "error": F.lit(None).cast("string")}))

    def give_up(self, hosts: Collection[str], number: int, error: str, *, apis: bool) -> None:
        """Fail all pages that wait on the hosts, and API requests too if so asked, as of the given round."""
        waiting = self.rows().where((F.col("state") == "waiting") & F.col("host").isin(*hosts))
        waiting = waiting if apis else waiting.where("kind != 'api'")
        failed = {"state": F.lit("failed"), "round": F.lit(number), "not_before": _no_time(), "error": F.lit(error)}
        self._merge(waiting.withColumns(failed))

    def last_months_pages(self) -> DataFrame:
        """The previous month's answers that hold a body or refer to one: what a 304 of this month stands for."""
        earlier = tables.read(self.spark, self.warehouse, PAGES, month=months.shift(self.month, -1))
        return earlier.where("status IN (200, 304) AND body_month IS NOT NULL")

    def _from_pages(self, pages: DataFrame) -> DataFrame:
        """Rows that follow from stored pages: the address itself, and the links found in it."""
        stored = pages.select(
            "month", "url", "kind", "host", "depth", F.lit("stored").alias("state"), "attempts",
            F.col("attempts").alias("requests"), "round",
            _no_time().alias("not_before"), "requested_at", "status", "etag", "last_modified",
            F.lit(None).cast("string").alias("error"),
        )  # fmt: skip
        links = pages.select(F.explode("links").alias("link"), (F.col("depth") + 1).alias("depth"))
        links = links.where(F.col("depth") <= self.max_depth).select("link.url", "link.kind", "depth")
        return stored.unionByName(self._discovered(links))

    def _discovered(self, links: DataFrame) -> DataFrame:
        """Waiting rows for url, kind, depth; with what last month's page says of itself, to ask whether it changed."""
        nearest = links.groupBy("url").agg(F.min(F.struct("depth", "kind")).alias("found"))
        nothing = F.lit(None).cast("string")
        return self._with_validators(nearest).select(
            F.lit(self.month).alias("month"), "url", "found.kind",
            F.regexp_extract("url", HOST_PATTERN, 1).alias("host"),
            "found.depth", F.lit("waiting").alias("state"), F.lit(0).alias("attempts"), F.lit(0).alias("requests"),
            F.lit(0).alias("round"),
            _no_time().alias("not_before"), _no_time().alias("requested_at"),
            F.lit(None).cast("int").alias("status"), "etag", "last_modified", nothing.alias("error"),
        )  # fmt: skip

    def _with_validators(self, nearest: DataFrame) -> DataFrame:
        """Add etag and last_modified of last month's pages."""
        if self._is_first:
            nothing = F.lit(None).cast("string")
            return nearest.withColumns({"etag": nothing, "last_modified": nothing})
        earlier = self.last_months_pages().where("etag IS NOT NULL OR last_modified IS NOT NULL")
        # Few links of many pages: found in the pages first, so that the pages are not shuffled.
        known = earlier.select("url", "etag", "last_modified").join(F.broadcast(nearest), "url", how="left_semi")
        return nearest.join(known, "url", how="left")

    def _merge(self, rows: DataFrame) -> None:
        """Merge; of several rows for one address that of the latest round counts."""
        others = [name for name in FRONTIER.columns if name not in ("url", "round")]
        latest = rows.groupBy("url").agg(F.max(F.struct("round", *others)).alias("row"))
        tables.merge(latest.select("url", "row.*"), self.warehouse, FRONTIER, {"month": self.month})


def transaction(month: str) -> str:
    """What the month's rounds of pages are stored as."""
    return f"crawl/{month}"


def is_due(now: float) -> Column:
    """Whether an address may be asked for at this time (Unix seconds)."""
    late_enough = F.coalesce(F.unix_micros("not_before") / 1e6 <= now, F.lit(True))
    return (F.col("state") == "waiting") & late_enough


def in_order() -> list[Column]:
    """The order in which a host's addresses are fetched."""
    place = F.array_position(F.lit(list(KINDS_IN_ORDER)), F.col("kind"))
    # By hash: a list's pages are asked for in no order that a site would take for a scan of its numbers.
    return [F.col("depth"), place, F.xxhash64("url"), F.col("url")]


def _no_time() -> Column:
    return F.lit(None).cast("timestamp")
