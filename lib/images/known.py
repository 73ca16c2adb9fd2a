"""What a fetch's staged rounds tell: the latest of each address, what is still to be asked for, what it all came to."""

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType

from lib.crawl.frontier import HOST_PATTERN
from lib.crawl.request import PICTURE
from lib.crawl.rounds import STAGED
from lib.images.delivery import DELIVERED
from schemas.frontier import FRONTIER

# Hops that a redirect may lead on: shops have one or two, from an old address or to a store of pictures.
MOST_HOPS = 5
OK = 200
# What `frontier` says of pages, where a redirect leads, and where the body lies.
KNOWN = StructType(
    [
        *FRONTIER.struct.fields,
        StructField("target", StringType()),
        StructField("body_hash", StringType()),
        StructField("file", StringType()),
        StructField("row", LongType()),
    ]
)


def known(spark: SparkSession, rounds: Sequence[Path], month: str, no_targets: Sequence[str]) -> DataFrame:
    """KNOWN: of each address what the last round that dealt with it says.

    Args:
        rounds: folders of the rounds that are staged whole.
        no_targets: hosts that no redirect is followed to.
    """
    if not rounds:
        return spark.createDataFrame([], KNOWN)
    rows = spark.read.schema(STAGED).parquet(*map(str, rounds)).where("host_state IS NULL")
    place, target = F.col("_metadata.file_path"), F.get("links", F.lit(0))["url"]
    told = rows.withColumns(
        {
            "month": F.lit(month),
            "round": F.regexp_extract(place, "/round-([0-9]+)/[^/]*$", 1).cast(IntegerType()),
            "requests": F.col("attempts"),
            "target": F.when(~_host(target).isin(*no_targets), target),
            "body_hash": F.col("hash"),
            "file": place,
            "row": F.col("_metadata.row_index"),
        }
    )
    others = [name for name in KNOWN.names if name not in ("url", "round")]
    latest = told.groupBy("url").agg(F.max(F.struct("round", *others)).alias("last"))
    return latest.select("url", "last.*").select(KNOWN.names)


def frontier_rows(addresses: DataFrame, known_ones: DataFrame, month: str) -> DataFrame:
    """Rows of `frontier` for all addresses: those given (`url`), and those that redirects lead to."""
    further = known_ones.where(F.col("target").isNotNull() & (F.col("depth") < MOST_HOPS))
    found = addresses.select("url", F.lit(0).alias("depth")).unionByName(
        further.select(F.col("target").alias("url"), (F.col("depth") + 1).alias("depth"))
    )
    fresh = found.groupBy("url").agg(F.min("depth").alias("depth"))
    fresh = fresh.join(known_ones.select("url"), "url", how="left_anti")
    return _as_waiting(fresh, month).unionByName(known_ones.select(FRONTIER.columns))


def outcomes(addresses: DataFrame, known_ones: DataFrame) -> DataFrame:
    """DELIVERED, one row for each of the addresses (`url`), where their redirects led in the end."""
    ends = _followed(addresses.select(F.col("url").alias("asked"), F.col("url").alias("at")), known_ones)
    found = ends.join(known_ones, ends["at"] == known_ones["url"], how="left").withColumn("reason", _reason())
    bodies = [F.when(F.col("reason").isNull(), F.col(name)).alias(name) for name in ("file", "row", "body_hash")]
    return found.select("asked", *bodies, "reason").select(DELIVERED.names)


def as_staged(rows: DataFrame) -> DataFrame:
    """Rows of `frontier` in the columns of a staged round."""
    given = {name: F.col(name) for name in rows.columns}
    return rows.select(*_columns(given, STAGED))


def _as_waiting(fresh: DataFrame, month: str) -> DataFrame:
    """Rows of `frontier` for url and depth that no round has dealt with yet."""
    given = {
        "month": F.lit(month), "url": F.col("url"), "kind": F.lit(PICTURE), "host": _host(F.col("url")),
        "depth": F.col("depth"), "state": F.lit("waiting"), "attempts": F.lit(0), "requests": F.lit(0),
        "round": F.lit(0),
    }  # fmt: skip
    return fresh.select(*_columns(given, FRONTIER.struct))


def _columns(given: dict[str, Column], struct: StructType) -> list[Column]:
    """The columns of the struct, null where none is given."""
    return [given.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name) for field in struct]


def _host(url: Column) -> Column:
    return F.regexp_extract(url, HOST_PATTERN, 1)


def _followed(at: DataFrame, known_ones: DataFrame) -> DataFrame:
    """asked, and where its redirects lead in the end, or `MOST_HOPS` of them."""
    redirects = known_ones.where("target IS NOT NULL").select(F.col("url").alias("at"), "target")
    if redirects.isEmpty():
        return at
    for _ in range(MOST_HOPS):
        at = at.join(redirects, "at", how="left").select("asked", F.coalesce("target", "at").alias("at"))
    return at


def _reason() -> Column:
    """Why KNOWN has no body for an address; null where it has one, and over_budget where it has nothing."""
    state, status = F.col("state"), F.col("status")
    by_status = F.concat(F.lit("status_"), status.cast("string"))
    return (
        F.when((state == "stored") & (status == OK), F.lit(None).cast("string"))
        .when(state == "stored", F.when(status.between(300, 399), "redirects").otherwise(by_status))
        .when(F.col("error") == "redirect_to_itself", "redirects")
        .when(state == "forbidden", "forbidden")
        .when(state == "failed", F.coalesce(F.col("error"), by_status))
        .otherwise("over_budget")
    )
