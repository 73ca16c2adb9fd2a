"""From a prediction back: the whole way where all is there, and a sentence where something is gone."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import trace as job
from lib import artefact as artefacts
from lib import config as configuration
from lib import manifest as manifests
from lib import tables
from lib.artefact import Artefact, ArtefactWriter
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Outcome, Stage, run_stage
from lib.operation.trace import Node, render, trace
from lib.registry import register, set_alias
from schemas.predictions import PREDICTIONS
from schemas.table import Table
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS

MONTH, TRAINED, BATCH = "2026-02", "2026-01", "2026-02-03"
HOSTILE = "\x1b[2Jnuri:1"


@dataclass(frozen=True)
class Traced:
    """A warehouse in which a product of one month was labelled by the model of the month before."""

    spark: SparkSession
    config: Config
    conf: Path
    model: Artefact


@pytest.fixture(scope="module")
def traced(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    root = tmp_path_factory.mktemp("trace")
    conf = root / "conf.yaml"
    conf.write_text(f"storage: {{warehouse: {root}/warehouse, state: {root}/state, reports: {root}/reports}}\n")
    config = configuration.load(conf)
    vocabulary = _finished(spark, config, "vocabulary", {"months": [TRAINED], "tokenizer_key": "okt-1"})
    tokens = _written(spark, config, TRAINED, TOKENS, [_token("nuri:9")])
    place = vocabulary.folder.relative_to(config.storage.warehouse).as_posix()
    shards = _finished(
        spark, config, "shards", {"months": [TRAINED], "vocabulary": place, "word2vec": None, "exits": {"train": 1}},
        {f"tokens {TRAINED}": tokens, "vocabulary": vocabulary.content},
    )  # fmt: skip
    model = _finished(spark, config, "train", {"shards": shards.key}, {"shards": shards.content}, kind="model")
    version = register(config.registry_store, model, {}, {})
    set_alias(config.registry_store, "champion", version)
    labelled = (MONTH, BATCH, version, "nuri:1", "500", ["옷", HOSTILE], 0.75, 0.5, [("500", 0.75)], False, "automatic")
    _written(spark, config, MONTH, PREDICTIONS, [labelled], {"model": model.content, "version": version})
    return Traced(spark, config, conf, model)


def _token(product_id: str) -> tuple[object, ...]:
    return (TRAINED, f"{TRAINED}-03", product_id, "셔츠", ["셔츠"], [], NO_BRANDS, "500", "train", "okt-1")


def _finished(
    spark: SparkSession, config: Config, stage: str, facts: dict[str, object], inputs: dict[str, str] | None = None,
    kind: str | None = None,
) -> Artefact:  # fmt: skip
    """A stage of the month of training that made an artefact."""

    def work(key: str) -> Outcome:
        def build(writer: ArtefactWriter) -> None:
            writer.file("some.txt").write_text(stage)
            writer.facts = facts

        return Outcome(artefacts={stage: artefacts.make(config.storage.warehouse, kind or stage, TRAINED, key, build)})

    done = run_stage(spark, Stage(stage, 1, ("text",)), config, TRAINED, inputs or {}, work)
    return artefacts.load(Path(config.storage.warehouse) / done.artefacts[stage])


def _written(
    spark: SparkSession, config: Config, month: str, table: Table, rows: list[tuple[object, ...]],
    inputs: dict[str, str] | None = None,
) -> str:  # fmt: skip
    """A stage that wrote rows; returns their fingerprint."""
    stage = {"tokens": "tokenize", "predictions": "score"}[table.name]

    def work(_key: str) -> Outcome:
        frame = spark.createDataFrame(rows, table.struct)
        outcome = Outcome()
        where = {name: str(rows[0][table.columns.index(name)]) for name in table.slice}
        outcome.wrote(table, where, tables.write(frame, config.storage.warehouse, table, where))
        return outcome

    done = run_stage(spark, Stage(stage, 1, ("text",)), config, month, inputs or {}, work)
    return f"{done.written[0]['rows']}:{done.written[0]['total']}"


def _titles(node: Node) -> list[str]:
    return [node.title, *(title for part in node.parts for title in _titles(part))]


def _named(node: Node, title: str) -> Node:
    found = [part for part in _all(node) if part.title.startswith(title)]
    assert found, f"{title} is not in {_titles(node)}"
    return found[0]


def _all(node: Node) -> list[Node]:
    return [node, *(inner for part in node.parts for inner in _all(part))]


def test_the_way_back_leads_to_the_tokens_that_were_learnt_from(traced: Traced) -> None:
    tree = trace(traced.spark, traced.config, "nuri:1", MONTH)
    shards = _named(tree, "shards ")
    assert [part.title.split(" ")[0] for part in shards.parts][:2] == ["vocabulary", "stage"]
    assert _named(tree, "model version 1").facts["aliases"] == ["candidate", "champion"]
    assert _named(tree, "model version 1").facts["trained on"] == TRAINED
    read = _named(tree, f"stage shards of {TRAINED}").facts["read"]
    assert read[f"tokens {TRAINED}"].endswith(f"as left by tokenize of {TRAINED} in tokens")
    assert read["vocabulary"].endswith(f"as left by vocabulary of {TRAINED}")
    assert _named(tree, f"stage train of {TRAINED}").facts["read"]["shards"].endswith(f"as left by shards of {TRAINED}")


def test_every_stage_tells_code_configuration_and_table_versions(traced: Traced) -> None:
    tree = trace(traced.spark, traced.config, "nuri:1", MONTH)
    tokenize = _named(tree, f"stage tokenize of {TRAINED}").facts
    assert tokenize["code"] == manifests.code_version()
    assert tokenize["settings"] == {"text": traced.config.at("text")}
    assert tokenize["wrote"] == {"tokens": "1 rows in 1 slices, version 1"}
    kept = manifests.configuration_path(traced.config.storage.warehouse, tokenize["configuration"])
    assert configuration.Config.model_validate_json(kept.read_text()) == traced.config


def test_text_and_json_tell_the_same_and_no_terminal_codes(
    traced: Traced, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    given = ["--conf", str(traced.conf), "--product-id", "nuri:1", "--month", MONTH]
    for more in ([], ["--json"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["trace.py", *given, *more])
            job.main()
    text, _, tail = capsys.readouterr().out.partition("\n{")
    assert "\x1b" not in text
    assert f"├─ stage score of {MONTH}" in text
    assert json.loads("{" + tail)["parts"][0]["title"] == "category 500 by model version 1"


@pytest.mark.parametrize(
    ("product", "month", "words"),
    [
        ("nuri:2", MONTH, f"product 'nuri:2' has no prediction in {MONTH}"),
        ("nuri:1' OR 'a' = 'a", MONTH, "has no prediction"),
        ("nuri:1", "2026-03", "table predictions has no rows of month 2026-03"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(traced: Traced, product: str, month: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        trace(traced.spark, traced.config, product, month)


def test_a_warehouse_without_predictions_is_refused(spark: SparkSession, traced: Traced, warehouse: str) -> None:
    storage = traced.config.storage.model_copy(update={"warehouse": warehouse})
    with pytest.raises(UserError, match=r"there are no predictions under .*run jobs/score.py --month 2026-02 first"):
        trace(spark, traced.config.model_copy(update={"storage": storage}), "nuri:1", MONTH)


# Changes what the other tests read, so it stands last.
def test_what_has_gone_is_said_in_its_place(traced: Traced) -> None:
    manifest = Path(traced.config.storage.warehouse) / "manifests" / "tokenize" / f"{TRAINED}.json"
    manifest.write_text("{")
    (manifest.parent.parent / "shards" / f"{TRAINED}.json").unlink()
    tree = trace(traced.spark, traced.config, "nuri:1", MONTH)
    assert "is no stage manifest" in _named(tree, f"stage tokenize of {TRAINED}").facts["gone"]
    assert "no manifest says" in _named(tree, f"stage shards of {TRAINED}").facts["gone"]
    shutil.rmtree(traced.model.folder)
    assert "is not there any more" in render(trace(traced.spark, traced.config, "nuri:1", MONTH))
