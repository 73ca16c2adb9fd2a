"""The delivery on disk: what each mall sends, byte for byte the same however Spark cut the work; the job's skipping."""

import gzip
import lzma
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs import market as job
from lib import config as configuration
from lib import tables
from lib.config import Config, MarketSettings
from lib.errors import UserError
from lib.marketplace import feed
from lib.marketplace.ep import COLUMNS
from lib.marketplace.offers import Market
from schemas.truth import TRUTH
from tests.conftest import ROOT

MONTH = "2026-02"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def rows_of(data: bytes, name: str, encoding: str) -> list[list[str]]:
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    if name.endswith(".xz"):
        data = lzma.decompress(data)
    return [line.split("\t") for line in data.decode(encoding).splitlines()]


def test_a_delivery_holds_every_offer_once_in_each_malls_own_format(spark: SparkSession, small: MarketSettings) -> None:
    delivery = feed.deliver(spark, small, MONTH)
    market = Market(small)
    made = feed.offers(market, MONTH, np.arange(small.offers_per_month))
    files = contents(delivery.folder)
    assert set(files) == {feed.file_name(mall) for mall in small.malls} | {feed.TAXONOMY_FILE}
    assert {"dodam.tsv.gz", "onbit.tsv.xz", "hansol.tsv"} < set(files)
    for number, mall in enumerate(small.malls):
        header, *rows = rows_of(files[feed.file_name(mall)], feed.file_name(mall), mall.encoding)
        assert tuple(header) == COLUMNS
        assert rows == made[made["mall"] == number][list(COLUMNS)].to_numpy().tolist()
        assert delivery.rows[mall.id] == len(rows)
    with pytest.raises(UnicodeDecodeError):
        files["jangteo.tsv"].decode("utf-8")
    assert delivery.branded == pytest.approx((made["brand"] != "").mean())
    assert [path.name for path in delivery.folder.parent.iterdir()] == [MONTH]


def test_without_feeds_the_month_is_counted_alike_and_only_the_taxonomy_delivered(
    spark: SparkSession, small: MarketSettings
) -> None:
    with_feeds = feed.deliver(spark, small, MONTH)
    without = feed.deliver(spark, small.model_copy(update={"feeds": False}), MONTH)
    assert (without.rows, without.branded, without.wrong) == (with_feeds.rows, with_feeds.branded, with_feeds.wrong)
    assert list(contents(without.folder)) == [feed.TAXONOMY_FILE]


def test_the_bytes_do_not_depend_on_partitions(
    spark: SparkSession, small: MarketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = contents(feed.deliver(spark, small, MONTH).folder)
    monkeypatch.setattr(feed, "RANGE_ROWS", 70)
    again = feed.deliver(spark, small, MONTH)
    assert contents(again.folder) == first


def test_a_delivery_that_fails_leaves_the_earlier_one(
    spark: SparkSession, small: MarketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = contents(feed.deliver(spark, small, MONTH).folder)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(feed, "_put_in_place", fail)
    with pytest.raises(OSError, match="disk full"):
        feed.deliver(spark, small, MONTH)
    place = feed.folder(small, MONTH)
    assert contents(place) == first
    assert [path.name for path in place.parent.iterdir()] == [MONTH]


def test_runs_that_end_at_once_leave_one_whole_delivery(tmp_path: Path) -> None:
    def deliver(number: int) -> None:
        work = tmp_path / f".{MONTH}-{number}"
        work.mkdir()
        for name in ("first", "second"):
            (work / name).write_text(str(number))
        feed._put_in_place(work, tmp_path / MONTH)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, range(200)))
    assert [path.name for path in tmp_path.iterdir()] == [MONTH]
    kept = {file.name: file.read_text() for file in (tmp_path / MONTH).iterdir()}
    assert kept.keys() == {"first", "second"}
    assert kept["first"] == kept["second"]


def test_the_job_skips_what_is_there_and_delivers_again_what_is_gone(
    spark: SparkSession, small: MarketSettings, local: Config, warehouse: str
) -> None:
    storage = local.storage.model_copy(update={"warehouse": warehouse})
    config = local.model_copy(update={"storage": storage, "market": small})
    first = job.run(spark, config, MONTH)
    assert first.exits == {"deliveries": 600}
    assert first.facts["offers_by_mall"].keys() == {mall.id for mall in small.malls}
    stored = {row["product_id"]: row["cat_id"] for row in tables.read_month(spark, warehouse, TRUTH, MONTH).collect()}
    market = Market(small)
    listings = market.listings(MONTH, np.arange(600))
    expected = market.taxonomy.cat_ids[listings.leaf]
    assert stored == dict(zip(market.product_ids(listings), expected, strict=True))

    assert job.run(spark, config, MONTH).skipped
    before = contents(feed.folder(small, MONTH))
    shutil.rmtree(feed.folder(small, MONTH))
    again = job.run(spark, config, MONTH)
    assert not again.skipped
    assert contents(feed.folder(small, MONTH)) == before


def test_a_configuration_without_a_market_is_refused(spark: SparkSession, local: Config) -> None:
    with pytest.raises(UserError, match=r"market section"):
        job.run(spark, local.model_copy(update={"market": None}), MONTH)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("market.leaves=5001", "market.leaves"),
        ("market.label_noise=1.5", "market.label_noise"),
        ("market.malls.1.id=hansol", "same id"),
        ("market.malls.0.encoding=utf-16", "market.malls.0.encoding"),
        ("market.malls.0.id=../x", "market.malls.0.id"),
        ("market.first_month=2026-13", "market.first_month"),
    ],
)
def test_impossible_settings_are_refused(override: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        configuration.load(ROOT / "conf" / "local.yaml", [override])
