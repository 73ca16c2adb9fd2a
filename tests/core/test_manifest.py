"""Stages: run once, skipped while nothing changed, checked against what is stored, balanced."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lib import artefact, config, manifest, tables
from lib.artefact import ArtefactWriter
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage
from schemas.taxonomy import TAXONOMY

MONTH = "2026-01"
STAGE = Stage("toys", revision=1, config_keys=("spark.shuffle_partitions",))


@pytest.fixture
def loaded(tmp_path: Path, warehouse: str) -> Config:
    place = tmp_path / "some.yaml"
    place.write_text(f"storage: {{warehouse: {warehouse}, state: s, reports: r}}\n")
    return config.load(place)


class CountingWork:
    """A stage's work that writes two leaves and counts how often it ran."""

    def __init__(self, spark: SparkSession, warehouse: str) -> None:
        self.spark, self.warehouse, self.runs = spark, warehouse, 0

    def __call__(self, key: str) -> Outcome:
        self.runs += 1
        rows = [(MONTH, "a", ["top"], None), (MONTH, "b", ["top"], None)]
        outcome = Outcome(rows_in=3, exits={"taxonomy": 2, "rejects": 1})
        written = tables.write(
            self.spark.createDataFrame(rows, TAXONOMY.struct), self.warehouse, TAXONOMY, {"month": MONTH}
        )
        outcome.wrote(TAXONOMY, {"month": MONTH}, written)
        return outcome


def test_a_stage_runs_again_only_when_something_it_depends_on_changed(
    spark: SparkSession, loaded: Config, warehouse: str
) -> None:
    work = CountingWork(spark, warehouse)

    def run(conf: Config = loaded, source: str = "1:1", stage: Stage = STAGE, force: bool = False) -> Manifest:
        inputs = {"source": source}
        return manifest.run_stage(
            spark, stage, conf, MONTH, inputs, work, tables_written={"taxonomy": TAXONOMY}, force=force
        )

    assert not run().skipped
    assert run().skipped
    spark.sql(f"OPTIMIZE delta.`{tables.path(warehouse, TAXONOMY)}`")
    assert run().skipped, "optimising a table redoes nothing"
    other_log = loaded.model_copy(update={"spark": loaded.spark.model_copy(update={"log_level": "INFO"})})
    assert run(conf=other_log).skipped, "a value that the stage does not declare redoes nothing"
    assert work.runs == 1

    run(force=True)
    run(source="2:2")
    other = loaded.model_copy(update={"spark": loaded.spark.model_copy(update={"shuffle_partitions": 3})})
    run(conf=other, source="2:2")
    run(conf=other, source="2:2", stage=Stage("toys", 2, STAGE.config_keys))
    assert work.runs == 5


def test_rows_changed_behind_the_manifest_are_written_again(
    spark: SparkSession, loaded: Config, warehouse: str
) -> None:
    work = CountingWork(spark, warehouse)

    def run() -> Manifest:
        return manifest.run_stage(spark, STAGE, loaded, MONTH, {}, work, tables_written={"taxonomy": TAXONOMY})

    run()
    spark.sql(f"DELETE FROM delta.`{tables.path(warehouse, TAXONOMY)}` WHERE cat_id = 'a'")
    assert not run().skipped
    assert tables.read(spark, warehouse, TAXONOMY).count() == 2


def test_a_stage_killed_between_commit_and_manifest_runs_again_and_doubles_nothing(
    spark: SparkSession, loaded: Config, warehouse: str
) -> None:
    work = CountingWork(spark, warehouse)
    work("the commit of the run that was killed before its manifest")
    assert manifest.find(warehouse, "toys", MONTH) is None
    done = manifest.run_stage(spark, STAGE, loaded, MONTH, {}, work, tables_written={"taxonomy": TAXONOMY})
    assert not done.skipped
    assert tables.read(spark, warehouse, TAXONOMY).count() == 2


def test_lost_rows_are_an_error_and_leave_no_manifest(spark: SparkSession, loaded: Config, warehouse: str) -> None:
    def leaky(key: str) -> Outcome:
        return Outcome(rows_in=3, exits={"products": 1, "rejects": 1})

    with pytest.raises(UserError, match="took 3 rows in but accounts for 2"):
        manifest.run_stage(spark, STAGE, loaded, MONTH, {}, leaky)
    assert manifest.find(warehouse, "toys", MONTH) is None


def test_a_deleted_artefact_is_made_again(spark: SparkSession, loaded: Config, warehouse: str) -> None:
    runs: list[str] = []

    def build(writer: ArtefactWriter) -> None:
        runs.append(writer.run)
        writer.file("words.txt").write_text("a")

    def work(key: str) -> Outcome:
        return Outcome(artefacts={"words": artefact.make(warehouse, "words", MONTH, key, build)})

    manifest.run_stage(spark, STAGE, loaded, MONTH, {}, work)
    made = manifest.artefact_of(warehouse, "toys", MONTH, "words")
    assert manifest.run_stage(spark, STAGE, loaded, MONTH, {}, work).skipped
    (made.folder / artefact.MANIFEST).unlink()
    assert not manifest.run_stage(spark, STAGE, loaded, MONTH, {}, work).skipped
    assert len(runs) == 2


def test_missing_and_broken_manifests_say_what_to_do(loaded: Config, warehouse: str) -> None:
    with pytest.raises(UserError, match=r"stage toys has not finished for month 2026-01.*run jobs/toys\.py first"):
        manifest.require(warehouse, "toys", MONTH)
    place = Path(warehouse) / "manifests" / "toys" / f"{MONTH}.json"
    place.parent.mkdir(parents=True)
    place.write_text('{"stage": "toys"}')
    with pytest.raises(UserError, match="is no stage manifest"):
        manifest.find(warehouse, "toys", MONTH)


def test_the_manifest_records_what_traces_need(spark: SparkSession, loaded: Config, warehouse: str) -> None:
    work: Callable[[str], Outcome] = lambda key: Outcome(facts={"words": 3})  # noqa: E731
    manifest.run_stage(spark, STAGE, loaded, MONTH, {"source": "1:1"}, work)
    kept = manifest.require(warehouse, "toys", MONTH)
    assert kept.inputs == {"source": "1:1"}
    assert kept.settings == {"spark.shuffle_partitions": 8}
    assert kept.facts == {"words": 3}
    assert kept.packages["pyspark"].startswith("4.0.")


def test_a_warehouse_that_is_a_file_is_refused_before_any_work(
    spark: SparkSession, loaded: Config, warehouse: str
) -> None:
    Path(warehouse).write_text("")
    work = CountingWork(spark, warehouse)
    with pytest.raises(UserError, match=r"storage\.warehouse .* cannot be used \(File exists\); name a folder"):
        manifest.run_stage(spark, STAGE, loaded, MONTH, {}, work)
    assert work.runs == 0
