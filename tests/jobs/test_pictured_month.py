"""A month whose names say nothing and whose pictures say all: from kept pictures to the report, and what is refused.

All products have the same name and mall category; half are red and half are blue, some have no picture.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from jobs import evaluate, image_features, normalize, report, score, shards, train
from lib import artefact, tables
from lib.artefact import ArtefactWriter
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, artefact_of, run_stage
from lib.text.grams import GRAMS_SCHEMA
from lib.text.tokenizers import TokenizerSettings
from lib.text.vocabulary import write_words
from schemas.image_features import IMAGE_FEATURES
from schemas.images import IMAGES
from schemas.predictions import PREDICTIONS
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS
from tests.jobs.killed import kill_job

MONTH, BATCH, SIZE = "2026-01", "2026-01-05", 32
KEY = f"mobilenet-{SIZE}-random"
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
SIDES = {"train": 40, "validation": 10, "test": 20}
# Of each side and colour, so many products have no picture.
WITHOUT = 2


@dataclass(frozen=True)
class Month:
    """A warehouse whose month has been gone through to its predictions."""

    spark: SparkSession
    config: Config
    stages: dict[str, Manifest]


def config_in(root: Path, kind: str = "features") -> Config:
    """The settings of all stages."""
    places = {name: str(root / name) for name in ("warehouse", "state", "reports")}
    (root / "taxonomy.csv").write_text("cat_id,level1,level2,level3,level4\nred,옷,빨강,,\nblue,옷,파랑,,\n")
    small = {"embedding_size": 4, "widths": [1], "filters": 4, "fcl_dim": 4, "bag_size": 4, "gram_fcl_dim": 4}
    return Config.model_validate(
        {
            "storage": places,
            "text": {"tokenizer": "whitespace"},
            "categories": {"taxonomy": {"path": str(root / "taxonomy.csv")}},
            "images": {"source": "folder", "path": str(root), "size": SIZE, "staging": str(root / "staging")},
            "backbone": {"name": "mobilenet", "weights": "none"},
            "image_features": {"batch_size": 8, "chunk_rows": 40},
            "shards": {"months_back": 1, "file_multiple": 2, "word_vocabulary": "min_count", "name_length": 3,
                       "category_length": 2, "gram_length": 4, "image": kind},
            "model": {**small, "image_fcl_dim": 16, "image_dropout": 0.0, "margin": False},
            "train": {"batch_size": 16, "epochs": 3, "learning_rate": 0.02, "tensorboard": False},
            "evaluate": {"bootstrap_rounds": 100},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def month(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Month:
    """All stages from the pictures on."""
    config = config_in(tmp_path_factory.mktemp("pictured"))
    put_month(spark, config)
    stages = {}
    for name, job in (("image_features", image_features), ("normalize", normalize), ("shards", shards),
                      ("train", train), ("evaluate", evaluate), ("score", score)):  # fmt: skip
        model = (stages["train"].facts["version"],) if name == "score" else ()
        stages[name] = job.run(spark, config, MONTH, False, *map(str, model))
    return Month(spark, config, stages)


def products() -> list[tuple[str, str, str, bool]]:
    """product_id, colour, side, whether it has a picture."""
    return [
        (f"m:{side}-{colour}-{number}", colour, side, number >= WITHOUT)
        for side, count in SIDES.items()
        for colour in COLOURS
        for number in range(count // 2)
    ]


def jpeg(colour: str, shade: int) -> bytes:
    """A picture in about that colour."""
    stream = io.BytesIO()
    tint = tuple(min(255, value + shade) for value in COLOURS[colour])
    Image.new("RGB", (SIZE, SIZE), tint).save(stream, "JPEG")
    return stream.getvalue()


def put_month(spark: SparkSession, config: Config, size: int = SIZE) -> None:
    """What ingest, images, tokenize and vocabulary would leave."""
    warehouse, where = config.storage.warehouse, {"month": MONTH, "batch": BATCH}
    tokenizer = TokenizerSettings.of(config.text).key
    rows = [
        (MONTH, BATCH, one, "상품", ["상품"], ["옷"], NO_BRANDS, colour, side, tokenizer)
        for one, colour, side, _ in products()
    ]
    tables.write(spark.createDataFrame(rows, TOKENS.struct), warehouse, TOKENS, where)
    # Twenty shades of each colour: products share pictures.
    kept = [
        (MONTH, BATCH, one, jpeg(colour, place % 20) if has else None, size, f"{colour}{place % 20}" if has else None,
         None if has else "missing_file")
        for place, (one, colour, _, has) in enumerate(products())
    ]  # fmt: skip
    finish(spark, config, "images", lambda _: stored(spark, warehouse, kept, where))
    finish(spark, config, "vocabulary", lambda key: vocabulary(warehouse, key, tokenizer))


def stored(spark: SparkSession, warehouse: str, kept: list[Any], where: dict[str, str]) -> Outcome:
    tables.write(spark.createDataFrame(kept, IMAGES.struct), warehouse, IMAGES, where)
    return Outcome(exits={"images": 1, "without": 1, "sampled_out": 0}, facts={"distinct": 40, "reasons": {"x": 1}})


def vocabulary(warehouse: str, key: str, tokenizer: str) -> Outcome:
    def build(writer: ArtefactWriter) -> None:
        write_words(writer.file("words.parquet"), ["상품", "옷"], [20, 20])
        grams = pa.table({"token": ["상", "품"], "documents": [9, 9], "idf": [1.0, 1.0]}).cast(GRAMS_SCHEMA)
        pq.write_table(grams, writer.file("grams.parquet"))
        writer.facts = {"tokenizer_key": tokenizer}

    return Outcome(artefacts={"vocabulary": artefact.make(warehouse, "vocabulary", MONTH, key, build)})


def finish(spark: SparkSession, config: Config, stage: str, work: Callable[[str], Outcome]) -> None:
    run_stage(spark, Stage(stage, 1, ()), config, MONTH, {}, work)


def test_each_distinct_picture_is_looked_at_once(month: Month) -> None:
    made = month.stages["image_features"]
    with_picture = sum(has for *_, has in products())
    assert made.exits == {"image_features": with_picture, "without": len(products()) - with_picture}
    assert made.facts["backbone"] == KEY
    assert made.facts["pictures"] == made.facts["looked_at"] < with_picture
    rows = tables.read_month(month.spark, month.config.storage.warehouse, IMAGE_FEATURES, MONTH).collect()
    found = {row.product_id: np.array(row.features) for row in rows}
    assert set(found) == {one for one, *_, has in products() if has}
    assert {vector.shape for vector in found.values()} == {(1024,)}
    # Where the same picture belongs to two products, they have the same numbers.
    assert len({vector.tobytes() for vector in found.values()}) == made.facts["pictures"]


def test_it_is_skipped_when_nothing_changed_and_gives_the_same_when_forced(month: Month) -> None:
    assert image_features.run(month.spark, month.config, MONTH).skipped
    again = image_features.run(month.spark, month.config, MONTH, force=True)
    assert not again.skipped
    before = month.stages["image_features"].written
    assert [{**one, "version": None} for one in again.written] == [{**one, "version": None} for one in before]


@pytest.mark.soak
def test_killed_while_it_looks_it_goes_on(month: Month, tmp_path: Path) -> None:
    """Chunks that were looked at are not looked at again, and the rows are those of an undisturbed run."""
    config = config_in(tmp_path)
    config = config.model_copy(update={"image_features": config.image_features.model_copy(update={"chunk_rows": 3})})
    put_month(month.spark, config)
    staged, done_chunks = tmp_path / "staging", "*/done/chunk=*/_SUCCESS"
    kill_job("image_features", config, MONTH, tmp_path, when=lambda: len(list(staged.glob(done_chunks))) >= 2)
    assert not tables.exists(month.spark, config.storage.warehouse, IMAGE_FEATURES)
    done = image_features.run(month.spark, config, MONTH)
    assert 0 < done.facts["looked_at"] < done.facts["pictures"] == month.stages["image_features"].facts["pictures"]
    assert done.exits == month.stages["image_features"].exits
    assert features(month.spark, config) == features(month.spark, month.config)
    assert not list(staged.iterdir())


def features(spark: SparkSession, config: Config) -> dict[str, bytes]:
    """Product -> its features' bytes."""
    rows = tables.read_month(spark, config.storage.warehouse, IMAGE_FEATURES, MONTH).collect()
    return {row.product_id: np.array(row.features, np.float32).tobytes() for row in rows}


def test_rows_hold_features_and_zeros_where_there_is_no_picture(month: Month) -> None:
    made = artefact_of(month.config.storage.warehouse, "shards", MONTH, "shards")
    assert made.facts["picture"] == {
        "kind": "features", "size": SIZE, "backbone": "mobilenet", "key": KEY, "width": 1024,
    }  # fmt: skip
    names = [name for name in made.files if name.startswith("train/")]
    rows = [row for name in names for row in pq.read_table(made.path(name)).to_pylist()]
    seen = {row["product_id"]: any(row["image_features"]) for row in rows}
    assert seen == {one: has for one, _, side, has in products() if side == "train"}
    assert {len(row["image_features"]) for row in rows} == {1024}


def test_the_model_learns_from_the_picture_what_names_do_not_say(month: Month) -> None:
    figures = {name: value[0] for name, value in month.stages["evaluate"].facts["figures"]["test"].items()}
    assert figures["picture=with rows"] == SIDES["test"] - 2 * WITHOUT
    assert figures["picture=without rows"] == 2 * WITHOUT
    assert figures["picture=with accuracy"] == 1.0
    assert figures["head=img_output accuracy"] >= 0.7
    assert figures["head=img_output rows"] == SIDES["test"] - 2 * WITHOUT
    # Names and categories are all alike, so without the picture one colour is always said.
    assert figures["picture=with accuracy_hidden"] == figures["head=text_prod_output accuracy"] == 0.5
    assert figures["picture=with gain"] == 0.5


def test_predictions_say_whether_a_picture_was_seen(month: Month) -> None:
    rows = tables.read_month(month.spark, month.config.storage.warehouse, PREDICTIONS, MONTH).collect()
    assert {row.product_id: row.with_picture for row in rows} == {one: has for one, *_, has in products()}
    colours = {one: colour for one, colour, *_ in products()}
    assert all(row.cat_id == colours[row.product_id] for row in rows if row.with_picture)
    assert month.stages["score"].facts["with_picture"] == sum(has for *_, has in products())


def test_the_report_shows_figures_and_thumbnails(month: Month) -> None:
    page = report.run(month.spark, month.config, MONTH).read_text(encoding="utf-8")
    assert "With and without the picture" in page
    assert "From the picture alone" in page
    assert "Why there is none" in page
    # The mistakes are products without a picture or with a hidden one; those shown are of the former here.
    assert "img-src data:" in page


def test_features_of_another_backbone_are_refused_with_both_names(month: Month) -> None:
    other = month.config.model_copy(update={"backbone": month.config.backbone.model_copy(update={"name": "resnet50"})})
    with pytest.raises(UserError, match=rf"by resnet50-{SIZE}-random and were looked at only by {KEY}"):
        shards.run(month.spark, other, MONTH)


def test_pictures_of_another_size_are_refused_with_both_sizes(month: Month) -> None:
    images = month.config.images
    assert images is not None
    larger = month.config.model_copy(update={"images": images.model_copy(update={"size": 48})})
    with pytest.raises(UserError, match=f"of {SIZE} pixels where images.size is 48"):
        image_features.run(month.spark, larger, MONTH)


def test_rows_hold_the_jpegs_where_the_backbone_is_within_the_model(
    month: Month, spark: SparkSession, tmp_path: Path
) -> None:
    config = config_in(tmp_path, "raw")
    put_month(spark, config)
    normalize.run(spark, config, MONTH)
    shards.run(spark, config, MONTH)
    made = artefact_of(config.storage.warehouse, "shards", MONTH, "shards")
    assert (made.facts["picture"]["kind"], made.facts["picture"]["size"]) == ("raw", SIZE)
    trained = train.run(spark, config, MONTH)
    validation = trained.facts["members"][0]["epochs"][-1]["validation"]["accuracy"]
    assert validation["img_output"] >= 0.7
    figures = evaluate.run(spark, config, MONTH).facts["figures"]["test"]
    assert figures["picture=with accuracy"][0] == 1.0
    assert score.run(spark, config, MONTH, False, str(trained.facts["version"])).facts["with_picture"] == sum(
        has for *_, has in products()
    )
