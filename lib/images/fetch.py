"""Fetches pictures as the crawl fetches pages: the same lanes, rounds, politeness, robots.txt and checks of addresses.

Of each round all that came of it is staged as Parquet, and nothing else is kept: what is still to be asked for follows
from the addresses and the rounds that are staged whole. So a fetch that was killed goes on with the next round.
"""

import logging
import shutil
import time
from pathlib import Path

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType

from lib.config import CrawlSettings, ImagesSettings
from lib.crawl import host_states
from lib.crawl.crawl import asking_alone, check_speculation
from lib.crawl.frontier import HOST_PATTERN
from lib.crawl.host_states import dead_hosts
from lib.crawl.patience import Patience
from lib.crawl.plan import Waiting, deal, limits, next_turn, planned, survey
from lib.crawl.request import PICTURE, HostState
from lib.crawl.rounds import STAGED, complete_rounds, fetch_round, stage
from lib.crawl.urls import Scope, api_host, canonical, host_of
from lib.images.delivery import DELIVERED, Delivery
from schemas.frontier import FRONTIER

LOG = logging.getLogger(__name__)
# Hops that a redirect may lead on: shops have one or two, from an old address or to a store of pictures.
MOST_HOPS = 5
OK = 200
# What there is to ask for of a product, or why there is nothing.
TO_ASK = StructType([StructField("asked", StringType()), StructField("refused", StringType())])
# The latest that is known of an address: what `frontier` says of pages, where it leads on, and where its body lies.
KNOWN = StructType(
    [
        *FRONTIER.struct.fields,
        StructField("target", StringType()),
        StructField("body_hash", StringType()),
        StructField("file", StringType()),
        StructField("row", LongType()),
    ]
)


def from_hosts(
    spark: SparkSession, images: ImagesSettings, crawl: CrawlSettings, warehouse: str, month: str, folder: Path
) -> Delivery:
    """Pictures at the addresses that `products.image_url` names, each address asked for once.

    Args:
        folder: of lib.images.month_images.taking.
    """
    settings = fetch_settings(crawl, images)
    return Delivery(images, to_ask(settings), Fetch(spark, settings, warehouse, month, folder).run)


def to_ask(settings: CrawlSettings) -> Column:
    """Of products.image_url, struct of `asked`, its canonical address, and `refused`: no_address, bad_address,
    not_allowed."""
    scope = _scope(settings)

    def judge(batch: pd.Series) -> pd.DataFrame:
        judged = [_judged(url, scope) for url in batch]
        return pd.DataFrame(judged, columns=TO_ASK.names, dtype=object)

    applied: Column = pandas_udf(judge, TO_ASK)(F.col("image_url"))  # type: ignore[call-overload]
    return applied


def _judged(url: str | None, scope: Scope) -> tuple[str | None, str | None]:
    if url is None:
        return None, "no_address"
    address = canonical(url)
    if address is None:
        return None, "bad_address"
    return (None, "not_allowed") if scope.settings_for(host_of(address)) is None else (address, None)


def fetch_settings(crawl: CrawlSettings, images: ImagesSettings) -> CrawlSettings:
    """The crawl's settings with the pictures' hosts and bounds."""
    bounds = {"max_body_bytes": images.max_bytes, "max_decoded_bytes": images.max_bytes, "max_depth": MOST_HOPS}
    return crawl.model_copy(update={"hosts": images.hosts, "staging": images.staging, **bounds})


class Fetch:
    """The pictures of a month, held by one driver."""

    def __init__(self, spark: SparkSession, settings: CrawlSettings, warehouse: str, month: str, folder: Path) -> None:
        """`settings` are of `fetch_settings`; `folder` (which driver and workers see) is where rounds are staged."""
        self.spark, self.settings, self.warehouse, self.month = spark, settings, warehouse, month
        self.folder = folder.resolve()
        self.patience = Patience(f"pictures {month}")
        self.tasks = max(1, spark.sparkContext.defaultParallelism)
        self.states: dict[str, HostState] = {}
        self.rounds: list[int] = []
        allowed = _scope(settings)
        # What no redirect may lead to: lanes would ask it, as they do for pages.
        self._not_allowed = sorted(
            {api_host(api) for api in settings.apis if allowed.settings_for(api_host(api)) is None}
        )

    def run(self, asked: DataFrame) -> DataFrame:
        """Ask for all of them, until nothing is left that may be asked for.

        Args:
            asked: column of that name, canonical addresses of hosts that are allowed, each once.

        Returns:
            DELIVERED, one row an address.

        Raises:
            UserError: a crawl, or another fetch, of the warehouse runs, or speculation is on.
        """
        check_speculation(self.spark)
        addresses = self._addresses(asked)
        with asking_alone(self.warehouse):
            self._recover()
            while self._step(addresses):
                pass
        return self._outcomes(addresses)

    def _recover(self) -> None:
        """Go on from what a killed run left staged whole, and forget what it did not."""
        self.states = host_states.read(self.warehouse, self.month, self.settings)
        for known in complete_rounds(self.spark, self.folder):
            self.states |= known.states
            self.rounds.append(known.number)
        for place in self.folder.glob("round-*"):
            if place.name not in {f"round-{number}" for number in self.rounds}:
                shutil.rmtree(place)
        if self.rounds:
            LOG.info("pictures %s: %d rounds are there from a run that was stopped", self.month, len(self.rounds))

    def _step(self, addresses: DataFrame) -> bool:
        """Fetch one more round, or wait for a host's turn; False when the fetch is over."""
        self._give_up_dead_hosts(addresses)
        rows = self._rows(addresses).persist()
        waiting = survey(rows, rows, self.settings)
        shares = deal(limits(waiting, self.settings, self.states), self.tasks)
        if shares:
            self._fetch(planned(rows, shares, self.tasks), waiting)
        rows.unpersist()
        if shares:
            return True
        comes = next_turn(waiting, self.settings, self.states)
        if comes is not None:
            self.patience.wait(waiting, comes)
        return comes is not None

    def _fetch(self, requests: DataFrame, waiting: list[Waiting]) -> None:
        started, number = time.monotonic(), self._next_round()
        fetched = fetch_round(requests, self.states, self.settings, number, self._round_folder(number))
        self._keep_states(fetched.states)
        self.rounds.append(number)
        counts = {row.state: row["count"] for row in fetched.staged.groupBy("state").count().collect()}
        done = sum(count for state, count in counts.items() if state != "waiting")
        LOG.info(
            "pictures %s, round %d: %s answers, %.0f a second; %s were asked for before, %s wait%s",
            self.month, number, f"{counts.get('stored', 0):,}", done / max(time.monotonic() - started, 1e-3),
            f"{sum(one.asked for one in waiting):,}", f"{sum(one.due + one.later for one in waiting) - done:,}",
            "".join(f", {counts[state]:,} {state}" for state in ("failed", "forbidden") if state in counts),
        )  # fmt: skip

    def _give_up_dead_hosts(self, addresses: DataFrame) -> None:
        """Fail all that waits on hosts that are not to be asked any more, as a round of its own."""
        for error, dead in dead_hosts(self.states.values(), self.settings).items():
            LOG.warning("pictures %s: given up (%s): %s", self.month, error, ", ".join(dead))
            number = self._next_round()
            waiting = self._rows(addresses).where((F.col("state") == "waiting") & F.col("host").isin(*dead))
            failed = waiting.withColumns({"state": F.lit("failed"), "error": F.lit(error)})
            stage(_as_staged(failed), self._round_folder(number))
            self.rounds.append(number)
            self._keep_states({host: self.states[host].to_be_asked_anew() for host in dead})

    def _keep_states(self, states: dict[str, HostState]) -> None:
        self.states |= states
        host_states.write(self.warehouse, self.month, self.states)

    def _next_round(self) -> int:
        return max(self.rounds, default=0) + 1

    def _round_folder(self, number: int) -> Path:
        return self.folder / f"round-{number}"

    # --- what is known

    def _addresses(self, asked: DataFrame) -> DataFrame:
        """The same as `url`, written down: every round is planned from them."""
        place = str(self.folder / "addresses")
        asked.select(F.col("asked").alias("url")).write.mode("overwrite").parquet(place)
        return self.spark.read.schema("url string").parquet(place)

    def _rows(self, addresses: DataFrame) -> DataFrame:
        """All addresses as rows of `frontier`: those given, and those that redirects lead to."""
        known = self._known()
        found = addresses.select("url", F.lit(0).alias("depth"))
        if self.rounds:
            further = known.where(F.col("target").isNotNull() & (F.col("depth") < MOST_HOPS))
            found = found.unionByName(further.select(F.col("target").alias("url"), (F.col("depth") + 1).alias("depth")))
        fresh = found.groupBy("url").agg(F.min("depth").alias("depth"))
        fresh = fresh.join(known.select("url"), "url", how="left_anti") if self.rounds else fresh
        return self._as_waiting(fresh).unionByName(known.select(FRONTIER.columns))

    def _as_waiting(self, fresh: DataFrame) -> DataFrame:
        """Rows of `frontier` for url and depth that no round has dealt with yet."""
        given = {
            "month": F.lit(self.month), "url": F.col("url"), "kind": F.lit(PICTURE),
            "host": F.regexp_extract("url", HOST_PATTERN, 1), "depth": F.col("depth"), "state": F.lit("waiting"),
            "attempts": F.lit(0), "requests": F.lit(0), "round": F.lit(0),
        }  # fmt: skip
        nothing = F.lit(None)
        return fresh.select(
            *(given.get(field.name, nothing).cast(field.dataType).alias(field.name) for field in FRONTIER.struct)
        )

    def _known(self) -> DataFrame:
        """KNOWN, of the last round that dealt with each address."""
        if not self.rounds:
            return self.spark.createDataFrame([], KNOWN)
        folders = [str(self._round_folder(number)) for number in self.rounds]
        rows = self.spark.read.schema(STAGED).parquet(*folders).where("host_state IS NULL")
        place = F.col("_metadata.file_path")
        target = F.get("links", F.lit(0))["url"]
        told = rows.withColumns(
            {
                "month": F.lit(self.month),
                "round": F.regexp_extract(place, "/round-([0-9]+)/[^/]*$", 1).cast(IntegerType()),
                "requests": F.col("attempts"),
                "target": F.when(~F.regexp_extract(target, HOST_PATTERN, 1).isin(self._not_allowed), target),
                "file": place,
                "row": F.col("_metadata.row_index"),
                "body_hash": F.col("hash"),
            }
        )
        others = [name for name in KNOWN.names if name not in ("url", "round")]
        latest = told.groupBy("url").agg(F.max(F.struct("round", *others)).alias("row_of"))
        return latest.select("url", "row_of.*").select(KNOWN.names)

    def _outcomes(self, addresses: DataFrame) -> DataFrame:
        """What `run` returns."""
        known = self._known()
        at = self._followed(addresses.select(F.col("url").alias("asked"), F.col("url").alias("at")), known)
        nothing = F.lit(None).cast("string")
        status, state = F.col("status"), F.col("state")
        reason = (
            F.when((state == "stored") & (status == OK), nothing)
            .when(state == "stored", F.when(status.between(300, 399), "redirects").otherwise(_status()))
            .when(F.col("error") == "redirect_to_itself", "redirects")
            .when(state == "forbidden", "forbidden")
            .when(state == "failed", F.coalesce(F.col("error"), _status()))
            .otherwise("over_budget")
        )
        found = at.join(known, at["at"] == known["url"], how="left").withColumn("reason", reason)
        has_body = F.col("reason").isNull()
        bodies = [F.when(has_body, F.col(name)).alias(name) for name in ("file", "row", "body_hash")]
        return found.select("asked", *bodies, "reason").select(DELIVERED.names)

    def _followed(self, at: DataFrame, known: DataFrame) -> DataFrame:
        """asked, and where its redirects lead in the end, or `MOST_HOPS` of them."""
        redirects = known.where("target IS NOT NULL").select(F.col("url").alias("at"), "target")
        if redirects.isEmpty():
            return at
        for _ in range(MOST_HOPS):
            at = at.join(redirects, "at", how="left").select("asked", F.coalesce("target", "at").alias("at"))
        return at


def _scope(settings: CrawlSettings) -> Scope:
    """The hosts of pictures: an API's, which is asked by a quota and with a secret, only if images.hosts says so."""
    return Scope(settings.model_copy(update={"apis": []}))


def _as_staged(rows: DataFrame) -> DataFrame:
    """Rows of `frontier` in the columns of a staged round."""
    known = set(rows.columns)
    return rows.select(
        *(
            (F.col(field.name) if field.name in known else F.lit(None)).cast(field.dataType).alias(field.name)
            for field in STAGED
        )
    )


def _status() -> Column:
    return F.concat(F.lit("status_"), F.col("status").cast("string"))
