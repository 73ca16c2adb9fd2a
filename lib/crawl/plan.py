"""What the next round asks for: how many addresses of which host, and which task each host is dealt to.

A host is in exactly one task, whose lane for it keeps the delay; what it may ask for is bounded by its rate, by its
budget and the whole crawl's, and for an API by what is left of the day's quota.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lib.config import CrawlSettings
from lib.crawl.frontier import in_order, is_due
from lib.crawl.request import HostState
from lib.crawl.urls import Scope, api_host


@dataclass(frozen=True)
class Waiting:
    """The addresses of one host, pages and API requests apart.

    Attributes:
        host, api: whose they are.
        asked: asked for so far this month.
        requests_today: requests made since the API's midnight; 0 for pages.
        due: may be asked for now.
        later: wait for a time to come.
        next_due: the earliest of these times (Unix seconds).
    """

    host: str
    api: bool
    asked: int
    requests_today: int
    due: int
    later: int
    next_due: float | None


@dataclass(frozen=True)
class Share:
    """What one host gets of a round: the task it is dealt to and how many addresses."""

    host: str
    api: bool
    task: int
    limit: int


def survey(rows: DataFrame, all_months: DataFrame, settings: CrawlSettings) -> list[Waiting]:
    """One entry a host (bounded by crawl.hosts), from the month's rows of `frontier`.

    Args:
        all_months: rows of every month, as an API's day knows of none.
    """
    api, now = F.col("kind") == "api", time.time()
    waits = (F.col("state") == "waiting") & ~is_due(now)
    counted = rows.groupBy("host", api.alias("api")).agg(
        F.count_if(F.col("attempts") > 0).alias("asked"),
        F.count_if(is_due(now)).alias("due"),
        F.count_if(waits).alias("later"),
        (F.min(F.when(waits, F.unix_micros("not_before"))) / 1e6).alias("next_due"),
    )
    today = _requests_today(all_months, settings)
    return [
        Waiting(**row.asDict(), requests_today=today.get(row.host, 0) if row.api else 0)
        for row in counted.orderBy("host", "api").collect()
    ]


def _requests_today(all_months: DataFrame, settings: CrawlSettings) -> dict[str, int]:
    """API's host -> requests made since its midnight, those of addresses begun before it included."""
    if not settings.apis:
        return {}
    today = F.unix_micros("requested_at") / 1e6 >= _midnights(settings)
    counted = all_months.where((F.col("kind") == "api") & today).groupBy("host").agg(F.sum("requests").alias("made"))
    return {row.host: int(row.made) for row in counted.collect()}


def _midnights(settings: CrawlSettings) -> Column:
    """Unix seconds at which the day of the address's API began."""
    began = F.lit(0.0)
    for api in settings.apis:
        here = datetime.now(ZoneInfo(api.quota_time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        began = F.when(F.col("host") == api_host(api), here.timestamp()).otherwise(began)
    return began


def quota_left(waiting: Waiting, settings: CrawlSettings) -> int | None:
    """Requests that the API of the host serves today; None for pages."""
    if not waiting.api:
        return None
    quotas = [api.daily_quota for api in settings.apis if api_host(api) == waiting.host]
    # What conf's APIs were asked for before conf left one out is given up by its lane.
    return max(0, min(quotas) - waiting.requests_today) if quotas else None


def plannable_from(host: str, settings: CrawlSettings, states: Mapping[str, HostState]) -> float:
    """When a round may begin that has a turn for the host (Unix seconds)."""
    known = states.get(host)
    return 0.0 if known is None else known.next_turn - settings.round_seconds


def next_turn(waiting: Sequence[Waiting], settings: CrawlSettings, states: Mapping[str, HostState]) -> float | None:
    """When the next address may be asked for (Unix seconds); None: none that waits may be, however long one waits."""
    if sum(one.asked for one in waiting) >= settings.max_pages:
        return None
    times = [one.next_due for one in waiting if one.next_due is not None and not is_exhausted(one, settings)]
    times += [plannable_from(one.host, settings, states) for one in waiting if _has_to_wait(one, settings, states)]
    return min(times, default=None)


def is_exhausted(waiting: Waiting, settings: CrawlSettings) -> bool:
    """Whether it is an API's that has served its quota of the day."""
    return waiting.api and waiting.due > 0 and quota_left(waiting, settings) == 0


def _has_to_wait(one: Waiting, settings: CrawlSettings, states: Mapping[str, HostState]) -> bool:
    """Whether the host could be asked but for the time of its next turn."""
    comes = plannable_from(one.host, settings, states)
    return one.due > 0 and comes > time.time() and quota_left(one, settings) != 0


def limits(
    waiting: Sequence[Waiting], settings: CrawlSettings, states: Mapping[str, HostState]
) -> dict[tuple[str, bool], int]:
    """(host, api) -> how many of its addresses the round asks for; hosts with none are left out."""
    scope, now = Scope(settings), time.time()
    wanted: dict[tuple[str, bool], int] = {}
    for one in waiting:
        allowed = scope.settings_for(one.host)
        known = states.get(one.host)
        delay = max(settings.delay if allowed is None or allowed.delay is None else allowed.delay,
                    (known.pace if known is not None else None) or 0.0)  # fmt: skip
        seconds = min(settings.round_seconds, now - plannable_from(one.host, settings, states))
        by_rate = 0 if seconds <= 0 else one.due if delay <= 0 else math.ceil(seconds / delay) + 1
        most = allowed.max_pages if allowed is not None and allowed.max_pages else settings.max_pages_per_host
        quota = quota_left(one, settings)
        wanted[one.host, one.api] = max(0, min(one.due, by_rate, most - one.asked, one.due if quota is None else quota))
    left = settings.max_pages - sum(one.asked for one in waiting)
    return _shared(wanted, max(0, min(settings.round_pages, left)))


def _shared(wanted: Mapping[tuple[str, bool], int], total: int) -> dict[tuple[str, bool], int]:
    """Nobody gets more than wanted, and who wants little gets all of it before others get more."""
    shares: dict[tuple[str, bool], int] = {}
    for place, (host, want) in enumerate(sorted(wanted.items(), key=lambda item: (item[1], item[0]))):
        share = min(want, total // (len(wanted) - place))
        total -= share
        if share:
            shares[host] = share
    return shares


def deal(limited: Mapping[tuple[str, bool], int], tasks: int) -> list[Share]:
    """Deal hosts to tasks so that each has about as many addresses; a host's API requests go where its pages go."""
    by_host: dict[str, int] = {}
    for (host, _), limit in limited.items():
        by_host[host] = by_host.get(host, 0) + limit
    load = [0] * tasks
    task_of = {}
    for host in sorted(by_host, key=lambda name: (-by_host[name], name)):
        task_of[host] = load.index(min(load))
        load[task_of[host]] += by_host[host]
    return [Share(host, api, task_of[host], limit) for (host, api), limit in sorted(limited.items())]


def planned(rows: DataFrame, shares: Sequence[Share], tasks: int) -> DataFrame:
    """The addresses of the round, each host's in one of `tasks` partitions and in the order to fetch them."""
    spark = rows.sparkSession
    keys = partition_keys(spark, tasks)
    dealt = [(share.host, share.api, keys[share.task], share.limit) for share in shares]
    frame = spark.createDataFrame(dealt, "host string, api boolean, task int, share int")
    due = rows.where(is_due(time.time())).withColumn("api", F.col("kind") == "api")
    ranked = due.join(F.broadcast(frame), ["host", "api"], how="inner").withColumn(
        "rank", F.row_number().over(Window.partitionBy("host", "api").orderBy(*in_order()))
    )
    chosen = ranked.where(F.col("rank") <= F.col("share"))
    wanted = chosen.select("task", "rank", "url", "kind", "host", "depth", "attempts", "etag", "last_modified")
    return wanted.repartition(tasks, "task").sortWithinPartitions("rank").drop("task", "rank")


@cache
def partition_keys(spark: SparkSession, tasks: int) -> list[int]:
    """For each of `tasks` partitions a number that Spark's hash partitioning sends there."""
    if tasks == 1:
        return [0]
    # Some 20 numbers a partition: that one gets none is less likely than one in a hundred million.
    numbers = spark.range(20 * tasks).select(F.col("id").cast("int").alias("key"))
    placed = numbers.groupBy(F.pmod(F.hash("key"), F.lit(tasks)).alias("place")).agg(F.min("key").alias("key"))
    keys = {row.place: row.key for row in placed.collect()}
    return [keys[place] for place in range(tasks)]
