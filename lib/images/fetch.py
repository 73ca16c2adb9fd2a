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
from pyspark.sql.types import StringType, StructField, StructType

from lib.config import CrawlSettings, ImagesSettings
from lib.crawl import host_states
from lib.crawl.crawl import asking_alone, check_speculation
from lib.crawl.host_states import dead_hosts
from lib.crawl.patience import Patience
from lib.crawl.plan import Waiting, deal, limits, next_turn, planned, survey
from lib.crawl.request import HostState
from lib.crawl.rounds import complete_rounds, fetch_round, stage
from lib.crawl.urls import Scope, api_host, canonical, host_of
from lib.images.delivery import Delivery
from lib.images.known import as_staged, frontier_rows, known, outcomes

LOG = logging.getLogger(__name__)
# What there is to ask for of a product, or why there is nothing.
TO_ASK = StructType([StructField("asked", StringType()), StructField("refused", StringType())])


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
    bounds = {"max_body_bytes": images.max_bytes, "max_decoded_bytes": images.max_bytes}
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
        addresses = self._written(asked)
        with asking_alone(self.warehouse):
            self._recover()
            while self._step(addresses):
                pass
        return outcomes(addresses, self._known())

    def _recover(self) -> None:
        """Go on from what a killed run left staged whole, and forget what it did not."""
        states: dict[str, HostState] = {}
        for whole in complete_rounds(self.spark, self.folder):
            states = whole.states
            self.rounds.append(whole.number)
        # Kept after every round, so that only the last one can know better.
        self.states = host_states.read(self.warehouse, self.month, self.settings) | states
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
            stage(as_staged(failed), self._round_folder(number))
            self.rounds.append(number)
            self._keep_states({host: self.states[host].to_be_asked_anew() for host in dead})

    def _keep_states(self, states: dict[str, HostState]) -> None:
        self.states |= states
        host_states.write(self.warehouse, self.month, self.states)

    def _written(self, asked: DataFrame) -> DataFrame:
        """The same as `url`, written down: every round is planned from them."""
        place = str(self.folder / "addresses")
        asked.select(F.col("asked").alias("url")).write.mode("overwrite").parquet(place)
        return self.spark.read.schema("url string").parquet(place)

    def _known(self) -> DataFrame:
        folders = [self._round_folder(number) for number in self.rounds]
        return known(self.spark, folders, self.month, self._not_allowed)

    def _rows(self, addresses: DataFrame) -> DataFrame:
        return frontier_rows(addresses, self._known(), self.month)

    def _next_round(self) -> int:
        return max(self.rounds, default=0) + 1

    def _round_folder(self, number: int) -> Path:
        return self.folder / f"round-{number}"


def _scope(settings: CrawlSettings) -> Scope:
    """The hosts of pictures: an API's, which is asked by a quota and with a secret, only if images.hosts says so."""
    return Scope(settings.model_copy(update={"apis": []}))
