"""The images job: every sampled product has a picture or a reason, from hosts, folders and zips, killed or not."""

import zipfile
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from jobs import crawl, images, ingest
from lib import tables
from lib.config import Config, ImagesSettings
from lib.errors import UserError
from lib.images import month_images
from lib.images.delivery import DELIVERED
from lib.images.month_images import in_sample
from schemas.images import IMAGES
from schemas.products import PRODUCTS
from tests.crawl.market_site import MONTH, Served, local
from tests.crawl.server import answer, running
from tests.images.samples import body, noise, pixels, png, settings
from tests.jobs.killed import kill_job
from tests.jobs.test_crawl import deliver

FIRST, SECOND = f"{MONTH}-10", f"{MONTH}-20"


def configured(folder: Path, **given: Any) -> Config:
    """conf/local.yaml without market and crawl of its own, with these images."""
    made = local(folder)
    section = {"size": 32, "staging": str(folder / "images"), **given}
    return made.model_copy(update={"market": None, "images": ImagesSettings.model_validate(section)})


def store(spark: SparkSession, config: Config, batch: str, products: Mapping[str, str | None]) -> None:
    """Write a batch of products: id -> image_url."""
    rows = [
        Row(**dict.fromkeys(PRODUCTS.columns)
            | {"month": MONTH, "batch": batch, "product_id": name, "prod_nm": "이름", "mall_id": name.partition(":")[0],
               "image_url": url, "source": "test"})
        for name, url in products.items()
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, PRODUCTS.struct)
    tables.write(frame, config.storage.warehouse, PRODUCTS, {"month": MONTH, "batch": batch})


def stored(spark: SparkSession, config: Config) -> dict[str, Row]:
    """product_id -> its row of `images`; checks what holds of all rows."""
    rows = tables.read(spark, config.storage.warehouse, IMAGES, month=MONTH).collect()
    for row in rows:
        assert row.size == 32
        assert (row.image is None) == (row.hash is None) == (row.reason is not None)
        assert row.image is None or row.hash == sha256(row.image).hexdigest()
    assert len({row.product_id for row in rows}) == len(rows)
    return {row.product_id: row for row in rows}


def files(**more: bytes) -> dict[str, bytes]:
    """What a mall delivers, by the name of the file."""
    picture = body(noise(1), "JPEG")
    return {
        "1.jpg": picture, "2.jpg": picture, "3.jpg": body(noise(2), "PNG"), "4.jpg": picture[:500],
        "5.jpg": b"<html>", "6.jpg": png(20_000, 20_000), "7.jpg": body(noise(3, 1), "GIF"),
        "8.jpg": png(64, 64, pixels=bytes(65 * 64)), "9.jpg": bytes(200_000), **more,
    }  # fmt: skip


REASONS = {"4": "damaged", "5": "not_a_picture", "6": "too_many_pixels", "7": "too_small", "8": "black",
           "9": "too_large", "10": "missing_file", "../secret": "unsafe_name", "x\0": "unsafe_name"}  # fmt: skip
IDS = ["1", "2", "3", *REASONS]


def test_pictures_of_a_folder(spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two batches, of which the later counts; a picture of several malls is one."""
    place = tmp_path / "pictures"
    place.mkdir()
    for name, content in files().items():
        (place / name).write_bytes(content)
    (tmp_path / "secret.jpg").write_bytes(body(noise(9)))
    config = configured(tmp_path, source="folder", path=str(place), max_bytes=100_000)
    store(spark, config, FIRST, {"a:1": None, "b:1": None, "b:old": None})
    store(spark, config, SECOND, {f"a:{name}": None for name in IDS})
    with caplog.at_level("INFO"):
        done = images.run(spark, config, MONTH)
    found = stored(spark, config)
    reasons = {f"a:{name}": reason for name, reason in REASONS.items()} | {"b:old": "missing_file"}
    assert {name: row.reason for name, row in found.items() if row.reason is not None} == reasons
    assert {row.batch for name, row in found.items() if name.startswith("a:")} == {SECOND}
    assert found["a:1"].image == found["a:2"].image == found["b:1"].image
    assert pixels(found["a:1"].image).shape == (32, 32, 3)
    assert done.exits == {"images": 4, "without": 10, "sampled_out": 0}
    assert done.rows_in == 14
    assert done.facts["reasons"] == dict(sorted(Counter(reasons.values()).items()))
    # Thirteen files, of which two are the same and six are there; b:1 is a:1's.
    assert (done.facts["asked"], done.facts["distinct"], done.facts["share"]) == (13, 7, 1.0)
    assert "for 14 of 14 products (100 %)" in caplog.text
    assert not list((tmp_path / "images").iterdir())
    assert images.run(spark, config, MONTH).skipped
    (place / "1.jpg").write_bytes(body(noise(4)))
    store(spark, config, FIRST, {})  # withdrawn
    assert images.run(spark, config, MONTH).exits == {"images": 3, "without": 9, "sampled_out": 0}
    assert set(stored(spark, config)) == {f"a:{name}" for name in IDS}


def test_pictures_of_a_zip_and_a_share_of_the_products(spark: SparkSession, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as made:
        for name, content in {**files(), "../secret.jpg": body(noise(9)), "/etc/passwd.jpg": body(noise(9))}.items():
            made.writestr(name, content)
    given = {"source": "zip", "path": str(tmp_path / "pictures.zip"), "max_bytes": 100_000}
    config = configured(tmp_path, **given)
    store(spark, config, FIRST, {f"a:{name}": None for name in [*IDS, "/etc/passwd"]})
    images.run(spark, config, MONTH)
    whole = stored(spark, config)
    reasons = {f"a:{name}": reason for name, reason in REASONS.items()} | {"a:/etc/passwd": "unsafe_name"}
    assert {name: row.reason for name, row in whole.items() if row.reason is not None} == reasons
    part = images.run(spark, configured(tmp_path, **given, share=0.5), MONTH)
    kept = stored(spark, config)
    assert part.exits["sampled_out"] == 13 - len(kept)
    assert 0 < len(kept) < 13
    assert all(whole[name] == row for name, row in kept.items())
    none = images.run(spark, configured(tmp_path, **given, share=0), MONTH)
    assert none.exits == {"images": 0, "without": 0, "sampled_out": 13}
    assert not stored(spark, config)
    assert not (tmp_path / "secret.jpg").exists()


def test_a_sample_is_part_of_every_larger_one(spark: SparkSession) -> None:
    products = spark.range(20_000).selectExpr("concat('m:', id) AS product_id")
    drawn = [{row.product_id for row in products.where(in_sample(share)).collect()} for share in (0, 0.1, 0.3, 1)]
    assert [len(one) / 20_000 for one in drawn] == pytest.approx([0, 0.1, 0.3, 1], abs=0.01)
    assert drawn[0] <= drawn[1] <= drawn[2] <= drawn[3]


def test_the_same_bytes_are_decoded_once(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses they are behind: the tasks' own function is run here, and its decodings are counted."""
    (tmp_path / "1.jpg").write_bytes(body(noise(1)))
    (tmp_path / "2.jpg").write_bytes(body(noise(2)))
    rows = [(f"{number}", f"{number % 2 + 1}.jpg", 0, f"{number % 2}", None) for number in range(10)]
    decoded: list[bytes] = []

    def counted(given: bytes, _settings: ImagesSettings) -> bytes:
        decoded.append(given)
        return b"jpeg"

    monkeypatch.setattr(month_images, "jpeg", counted)
    frame = spark.createDataFrame([*rows, ("x", None, None, None, "timeout")], DELIVERED)
    monkeypatch.setattr(
        type(frame), "mapInArrow", lambda places, function, _schema: function(places.toArrow().to_batches())
    )
    batches: Any = month_images.decoded(frame, settings(tmp_path), 2)
    made = [row for batch in batches for row in batch.to_pylist()]
    assert sorted(row["body_hash"] for row in made) == ["0", "1"]
    assert sorted(decoded) == sorted([body(noise(1)), body(noise(2))])


def test_a_configuration_that_cannot_be_is_said_at_once(spark: SparkSession, tmp_path: Path) -> None:
    config = configured(tmp_path, source="folder", path=str(tmp_path / "gone"))
    store(spark, config, FIRST, {"a:1": None})
    with pytest.raises(UserError, match=r"images\.path .*gone is no folder"):
        images.run(spark, config, MONTH)
    with pytest.raises(UserError, match="this configuration has no images section"):
        images.run(spark, config.model_copy(update={"images": None}), MONTH)
    hosts = configured(tmp_path, source="url", hosts={"a.example": {}})
    with pytest.raises(UserError, match=r"images\.source url asks hosts as the crawl section says"):
        images.run(spark, hosts.model_copy(update={"crawl": None}), MONTH)


def test_pictures_of_the_embedded_site(spark: SparkSession, tmp_path: Path) -> None:
    """Crawled, ingested, and its pictures fetched, with the site started for each and its port in no configuration."""
    hosts = '{"127.0.0.*:{port}": {delay: 0.0, in_flight: 4}}'
    section = f"{{hosts: {hosts}, size: 32, share: 0.5, staging: {tmp_path}/images}}"
    config = local(tmp_path, market__offers_per_month=120, crawl__detail_share=0, images=section)
    assert config.market is not None
    deliver(Served(config, config.market, tmp_path / "none"))
    crawl.run(spark, config, MONTH)
    products = ingest.run(spark, config, MONTH).exits["products"]
    done = images.run(spark, config, MONTH)
    assert done.exits["sampled_out"] + done.exits["images"] == products
    assert done.exits["without"] == 0
    assert 0.3 < done.facts["share"] < 0.7
    # Some are sold by several malls, each with an address of its own.
    assert done.facts["distinct"] < done.facts["asked"] <= done.exits["images"]
    assert len({row.hash for row in stored(spark, config).values()}) == done.facts["distinct"]


ROUND, PICTURES = 10, 30


@pytest.mark.soak
def test_killed_while_it_fetches_it_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    answers = {f"/{number}.jpg": answer(body(noise(number % 7))) for number in range(PICTURES)}
    with running(dict(answers), latency=0.02) as server:
        config = configured(tmp_path, source="url", hosts={"127.0.0.*:*": {}})
        assert config.crawl is not None
        politely = {"round_pages": ROUND, "delay": 0.02, "category_url": None, "seeds": ["http://pages.example/"]}
        config = config.model_copy(update={"crawl": config.crawl.model_copy(update=politely)})
        store(spark, config, FIRST, {f"a:{number}": server.url(f"/{number}.jpg") for number in range(PICTURES)})
        kill_job("images", config, MONTH, tmp_path, when=lambda: len(server.asked) >= ROUND + 4)
        done = images.run(spark, config, MONTH)
    asked = Counter(path for _, path, _ in server.asked if path != "/robots.txt")
    assert set(asked) == set(answers)
    assert set(asked.values()) <= {1, 2}
    assert sum(1 for times in asked.values() if times == 2) <= ROUND
    assert done.exits == {"images": PICTURES, "without": 0, "sampled_out": 0}
    assert done.facts["distinct"] == 7
    assert len({row.hash for row in stored(spark, config).values()}) == 7
