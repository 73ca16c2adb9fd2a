"""The crawl of a month: rounds of fetching until nothing waits, each committed while the next one fetches.

Pages are stored first and the frontier after them, so that a crawl killed anywhere takes up where its pages end: every
address ends in `pages` once, and what is asked for again is at most the round that was being fetched.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import tables
from lib.config import CrawlSettings
from lib.crawl import host_states
from lib.crawl.frontier import Frontier, transaction
from lib.crawl.host_states import OVERLOADED, UNREACHABLE, dead_hosts
from lib.crawl.patience import Patience
from lib.crawl.plan import Waiting, deal, is_exhausted, limits, next_turn, planned, quota_left, survey
from lib.crawl.request import HostState
from lib.crawl.rounds import Round, complete_rounds, fetch_round
from lib.crawl.seeds import seeds
from lib.errors import UserError
from lib.lock import only_one
from schemas.pages import PAGES

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """A round that is not committed yet.

    Attributes:
        round: what came of it.
        waiting: what waited when it was planned.
        seconds: that it took.
    """

    round: Round
    waiting: list[Waiting]
    seconds: float


class Crawl:
    """One month's crawl, held by one driver."""

    def __init__(self, spark: SparkSession, settings: CrawlSettings, warehouse: str, month: str) -> None:
        self.spark, self.settings, self.warehouse, self.month = spark, settings, warehouse, month
        self.frontier = Frontier(spark, warehouse, month, settings.max_depth)
        # By the table's id as well: what another warehouse left in the folder is none of this month's.
        self.folder = Path(settings.staging).resolve() / f"{month}-{tables.table_id(spark, warehouse, PAGES)}"
        self.number = 0
        self.patience = Patience(f"crawl {month}")
        self.states: dict[str, HostState] = {}
        self.fetched: Fetched | None = None
        # One slot is left to the commit of the round before, which else would wait until the fetching ends.
        self.tasks = max(1, spark.sparkContext.defaultParallelism - 1)

    def run(self, leaves: Iterable[tuple[str, str]], *, try_again: bool = False) -> None:
        """Crawl until nothing is left that may be asked for.

        Args:
            leaves: cat_id and name of every leaf category.
            try_again: ask once more for what failed or was forbidden.

        Raises:
            UserError: another crawl of the month runs, speculation is on, an API's secret is not set, a seed may not be
                followed, or an API's quota of the day is used up before all is fetched.
        """
        check_speculation(self.spark)
        _check_secrets(self.settings)
        with asking_alone(self.warehouse):
            self._recover()
            self.frontier.add_seeds(seeds(self.settings, leaves))
            self.number = self.frontier.next_round()
            if try_again:
                self.frontier.try_again(self.number)
                self.number += 1
            with ThreadPoolExecutor(1) as committer:
                while self._step(committer):
                    pass
            shutil.rmtree(self.folder, ignore_errors=True)

    def _recover(self) -> None:
        """Commit what a killed run had fetched whole, and forget what it had not."""
        self.states = host_states.read(self.warehouse, self.month, self.settings)
        for fetched in complete_rounds(self.spark, self.folder):
            self.states |= fetched.states
            self._commit(fetched)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.frontier.reconcile()

    def _step(self, committer: ThreadPoolExecutor) -> bool:
        """Fetch one more round, or wait for what has to come first; False when the crawl is over."""
        self._give_up_dead_hosts()
        rows = self._rows()
        waiting = survey(rows, self.frontier.rows_of_all_months(), self.settings)
        shares = deal(limits(waiting, self.settings, self.states), self.tasks)
        if shares:
            self._fetch_and_commit(planned(rows, shares, self.tasks), waiting, committer)
            return True
        if self.fetched is not None:
            self._settle()
            return True
        return self._sleep(waiting)

    def _fetch_and_commit(self, requests: DataFrame, waiting: list[Waiting], committer: ThreadPoolExecutor) -> None:
        """Fetch the next round while the one before is committed."""
        requests = requests.persist()
        # Planned before the commit begins: side by side both take longer, and meanwhile nobody fetches.
        requests.count()
        commit = committer.submit(self._commit_fetched)
        fetched = self._fetch(requests, waiting)
        commit.result()
        requests.unpersist()
        self._forget()
        self.fetched = fetched
        if self.settings.apis:
            # The quota is counted in the frontier; it must know of every request before the next is planned.
            self._settle()

    def _rows(self) -> DataFrame:
        """The frontier, and over it what the round that is not committed yet did to its addresses."""
        rows = self.frontier.rows()
        if self.fetched is None:
            return rows
        newer = self.fetched.round.frontier_rows(self.month)
        return rows.join(F.broadcast(newer.select("url")), "url", how="left_anti").unionByName(newer)

    def _fetch(self, requests: DataFrame, waiting: list[Waiting]) -> Fetched:
        started = time.monotonic()
        folder = self.folder / f"round-{self.number}"
        fetched = fetch_round(requests, self._with_quotas(waiting), self.settings, self.number, folder)
        self.states |= fetched.states
        host_states.write(self.warehouse, self.month, self.states)
        self.number += 1
        return Fetched(fetched, waiting, time.monotonic() - started)

    def _settle(self) -> None:
        """Leave nothing uncommitted."""
        self._commit_fetched()
        self._forget()

    def _commit_fetched(self) -> None:
        """Say how the last round went, and commit it."""
        if self.fetched is not None:
            self._tell(self.fetched)
            self._commit(self.fetched.round)

    def _forget(self) -> None:
        """Let the committed round's files go, which the plan of the next one was made from."""
        if self.fetched is not None:
            shutil.rmtree(self.fetched.round.folder, ignore_errors=True)
            self.fetched = None

    def _commit(self, fetched: Round) -> None:
        """Store a round: pages first, then the frontier."""
        tables.append_round(self._pages(fetched), self.warehouse, PAGES, transaction(self.month), fetched.number)
        unanswered = fetched.frontier_rows(self.month).where("state != 'stored'")
        self.frontier.merge_round(fetched.number, unanswered.unionByName(self._lost(fetched)))
        if self.settings.apis:
            _check_accepted(fetched)

    def _lost(self, fetched: Round) -> DataFrame:
        """Answers that became no page, as what a 304 stands for is gone: they are asked for without conditions."""
        answered = fetched.frontier_rows(self.month).where("state = 'stored'")
        landed = self.frontier.pages().where(F.col("round") == fetched.number).select("url")
        nothing = F.lit(None).cast("string")
        fresh = {"state": F.lit("waiting"), "etag": nothing, "last_modified": nothing, "error": F.lit("page_gone")}
        return answered.join(landed, "url", how="left_anti").withColumns(fresh)

    def _pages(self, fetched: Round) -> DataFrame:
        """Rows of `pages`; a 304 takes hash, links and the month of its body from last month's row."""
        labels = {"month": F.lit(self.month), "round": F.lit(fetched.number)}
        rows = fetched.stored().withColumns(labels)
        fresh = rows.where("status != 304").withColumn("body_month", F.when(F.col("body").isNotNull(), F.col("month")))
        taken = ("hash", "links", "body_bytes", "content_type", "body_month")
        earlier = self.frontier.last_months_pages().select("url", *taken)
        same = rows.where("status = 304").drop(*taken).join(earlier, "url", how="inner")
        return fresh.select(PAGES.columns).unionByName(same.select(PAGES.columns))

    def _with_quotas(self, waiting: list[Waiting]) -> dict[str, HostState]:
        """What the round is told of each host."""
        known = dict(self.states)
        for one in waiting:
            if one.api:
                state = known.get(one.host) or HostState(one.host)
                known[one.host] = state.with_quota(quota_left(one, self.settings))
        return known

    def _sleep(self, waiting: list[Waiting]) -> bool:
        """Wait for the next address's time; False when none comes."""
        comes = next_turn(waiting, self.settings, self.states)
        if comes is not None:
            self.patience.wait(waiting, comes)
            return True
        exhausted = [one for one in waiting if is_exhausted(one, self.settings)]
        if exhausted:
            left = sum(one.due + one.later for one in exhausted)
            raise UserError(
                f"crawl of {self.month}: the API at {exhausted[0].host} has served its daily quota (crawl.apis "
                f"daily_quota) and {left:,} requests are left; run this stage again after its midnight"
            )
        return False

    def _give_up_dead_hosts(self) -> None:
        """Fail all that waits on hosts that are not to be asked any more, so that a later run may ask them anew."""
        for error, dead in dead_hosts(self.states.values(), self.settings).items():
            self._settle()
            LOG.warning("crawl %s: given up (%s): %s", self.month, error, ", ".join(dead))
            self.frontier.give_up(dead, self.number, error, apis=error in (UNREACHABLE, OVERLOADED))
            self.number += 1
            self.states |= {host: self.states[host].to_be_asked_anew() for host in dead}
            host_states.write(self.warehouse, self.month, self.states)

    def _tell(self, fetched: Fetched) -> None:
        """One line of progress a round."""
        told = fetched.round.staged.groupBy("state").agg(
            F.count(F.lit(1)).alias("rows"), F.sum(F.size("links")).alias("links")
        )
        by_state = told.collect()
        counts, links = {row.state: row.rows for row in by_state}, sum(row.links for row in by_state)
        done = sum(count for state, count in counts.items() if state != "waiting")
        asked = sum(one.asked for one in fetched.waiting) + done
        queue = sum(one.due + one.later for one in fetched.waiting) - done
        LOG.info(
            "crawl %s, round %d: %s pages, %.0f a second; %s so far, %s wait, %s links were found%s",
            self.month, fetched.round.number, f"{counts.get('stored', 0):,}", done / max(fetched.seconds, 1e-3),
            f"{asked:,}",
            f"{queue:,}", f"{links:,}", "".join(f", {count:,} {state}" for state, count in sorted(counts.items())
                                  if state in ("failed", "forbidden")),
        )  # fmt: skip


def asking_alone(warehouse: str) -> AbstractContextManager[None]:
    """Hold the lock of who asks hosts for a warehouse: two would ask each twice as often as it allows, be they of one
    month or of two.

    Raises:
        UserError: another run holds it.
    """
    lock = Path(warehouse) / "manifests" / "crawl" / "lock"
    return only_one(lock, f"{warehouse} is being crawled into")


def _check_secrets(settings: CrawlSettings) -> None:
    """Each API's, here on the driver; workers must have them too."""
    for api in settings.apis:
        for variable in (api.client_id_variable, api.client_secret_variable):
            if not os.environ.get(variable):
                raise UserError(
                    f"environment variable {variable} is not set, which crawl.apis {api.name} is asked with; export it "
                    "for this job (and for the executors: spark.executorEnv)"
                )


def _check_accepted(fetched: Round) -> None:
    """Stop where an API does not accept who asks: no other request would do better."""
    refused = fetched.staged.where(
        "kind = 'api' AND state = 'waiting' AND error IN ('status_401', 'status_403')"
    ).first()
    if refused is not None:
        raise UserError(
            f"the API at {refused['host']} answered {refused['status']}: it does not accept the client id and secret "
            "that the environment variables of crawl.apis hold; correct them and run this stage again"
        )


def check_speculation(spark: SparkSession) -> None:
    """Refuse a session that may run a task twice at once.

    Raises:
        UserError: it may.
    """
    if spark.conf.get("spark.speculation", "false") == "true":
        raise UserError(
            "spark.speculation is on: a second copy of a task would ask its hosts twice; turn it off for the crawl"
        )
