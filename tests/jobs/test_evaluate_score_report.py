"""The last stages of a month on a tiny trained model: figures by hand, predictions, the page, the command line."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import evaluate, report, score
from lib import artefact as artefacts
from lib import tables
from lib.artefact import Artefact, ArtefactWriter
from lib.config import Config, RoutingSettings, load
from lib.errors import UserError
from lib.evaluation.peer import PEER_VERSION
from lib.lock import only_one
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.registry import register, resolve, set_alias
from lib.scoring import month_scores
from schemas.metrics import METRICS
from schemas.predictions import PREDICTIONS
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS
from schemas.truth import TRUTH
from tests.brandless import NO_BRANDS
from tests.jobs.killed import kill_job
from tests.scoring import tiny_model
from tests.scoring.tiny_model import LEAVES, NAMES, TOKENIZER_KEY, encoded

MONTH, BEFORE = "2026-02", "2026-01"
HOSTILE = "<script>alert(1)</script>"
# Test names and their given labels: the fifth is given wrongly, the last is of a leaf no model learnt.
TEST = [*NAMES[:4], ("셔츠 특가", "100"), (f"{HOSTILE} 셔츠 선물", "200"), ("사과 선물", "999")]
# The sixth is delivered with a leaf that was replaced since.
DELIVERED = {f"a:test{i}": "190" if i == 5 else cat_id for i, (_, cat_id) in enumerate(TEST)}
# What the month before knew: its third leaf was replaced since.
OLD_LEAVES = [*LEAVES[:2], ("190", ["의류"])]


@dataclass(frozen=True)
class Prepared:
    """A warehouse in which training has just ended."""

    spark: SparkSession
    config: Config
    conf: Path
    model: Artefact


@pytest.fixture(scope="module")
def prepared(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Two months' models, and one month's tokens, truth, taxonomy and shards."""
    root = tmp_path_factory.mktemp("month")
    conf = root / "conf.yaml"
    conf.write_text(yaml.safe_dump(_settings(root), allow_unicode=True))
    config = load(conf)
    warehouse = config.storage.warehouse
    _write_tables(spark, warehouse)
    _finish(spark, config, MONTH, "shards", {"shards": _shards(warehouse)}, {"classes": 3})
    models = {
        BEFORE: tiny_model.make(warehouse, BEFORE, 0, OLD_LEAVES),
        MONTH: tiny_model.make(warehouse, MONTH),
    }
    for month, made in models.items():
        version = register(config.storage.state, made, {}, {})
        set_alias(config.storage.state, "champion", version)
        _finish(spark, config, month, "train", {"model": made}, {"version": version, "members": []})
    return Prepared(spark, config, conf, models[MONTH])


@pytest.fixture(scope="module")
def evaluated(prepared: Prepared) -> Manifest:
    """The month after evaluation."""
    return evaluate.run(prepared.spark, prepared.config, MONTH)


def _settings(root: Path) -> dict[str, object]:
    market = yaml.safe_load(Path("conf/local.yaml").read_text(encoding="utf-8"))["market"]
    return {
        "storage": {name: str(root / name) for name in ("warehouse", "state", "reports")},
        "market": {**market, "deliveries": str(root / "deliveries")},
        "evaluate": {
            "bootstrap_rounds": 100,
            "peer": True,
            "thresholds": [0.0, 0.5],
            "uncertain": {"min_rows": 3, "sure": 0.3},
        },
        # Six rows of six right: their bound is .689.
        "score": {"staging": str(root / "staging")},
        "routing": {"precision": 0.65, "min_predictions": 5},
    }


def _write_tables(spark: SparkSession, warehouse: str) -> None:
    rows = [
        (
            MONTH,
            f"{MONTH}-01",
            product,
            name,
            name.split(),
            [],
            NO_BRANDS,
            DELIVERED.get(product, cat_id),
            side,
            TOKENIZER_KEY,
        )
        for side, names in (("train", NAMES), ("test", TEST))
        for i, (name, cat_id) in enumerate(names)
        for product in [f"a:{side}{i}"]
    ]
    where = {"month": MONTH, "batch": f"{MONTH}-01"}
    tables.write(spark.createDataFrame(rows, TOKENS.struct), warehouse, TOKENS, where)
    true = [(MONTH, row[2], "200" if row[2] == "a:test4" else row[7]) for row in rows]
    tables.write(spark.createDataFrame(true, TRUTH.struct), warehouse, TRUTH, {"month": MONTH})
    leaves = [(MONTH, "190", ["의류"], "200"), *((MONTH, cat_id, path, None) for cat_id, path in LEAVES)]
    tables.write(spark.createDataFrame(leaves, TAXONOMY.struct), warehouse, TAXONOMY, {"month": MONTH})


def _shards(warehouse: str) -> Artefact:
    """A shards artefact of the test names, written as the feed reads it."""
    import pyarrow as pa

    from lib.categories.taxonomy import Leaf
    from lib.shards.encode import write_table
    from lib.shards.label_map import label_map
    from lib.shards.row import ROW_SCHEMA, list_array

    leaves = [Leaf(cat_id, tuple(path), None) for cat_id, path in LEAVES]
    made = label_map(leaves, {leaf.cat_id: i for i, leaf in enumerate(leaves)}, {leaf.cat_id for leaf in leaves})
    targets = made.targets(leaves) | {"999": (-1, [-1] * 4)}
    words, grams = tiny_model.vocabularies()
    sizes = {"words": words.size, "grams": grams.size, "classes": len(LEAVES)}

    def write(writer: ArtefactWriter) -> None:
        for split, names in (("validation", NAMES), ("test", TEST)):
            columns = encoded([name for name, _ in names])
            columns["level_labels"] = np.array([targets[cat_id][1] for _, cat_id in names], np.int32)
            arrays = {name: list_array(values, ROW_SCHEMA.field(name)) for name, values in columns.items()}
            arrays["label"] = pa.array([targets[cat_id][0] for _, cat_id in names], pa.int32())
            arrays["weight"] = pa.array([1.0] * len(names), pa.float32())
            arrays["row_id"] = pa.array(range(len(names)), pa.int64())
            arrays["product_id"] = pa.array([f"a:{split}{i}" for i in range(len(names))])
            table = pa.table([arrays[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)
            write_table(table, writer.file(f"{split}/00000.parquet"), "snappy")
        writer.file("label_map.json").write_text(json.dumps(made.records(), ensure_ascii=False))
        splits = {s: {"rows": n, "files": 1, "rows_per_file": [n]} for s, n in (("validation", 6), ("test", 7))}
        writer.facts = {
            "months": [MONTH],
            "splits": splits,
            "level_names": made.level_names(),
            **tiny_model.LENGTHS,
            **sizes,
        }

    return artefacts.make(warehouse, "shards", MONTH, "k", write)


def _finish(
    spark: SparkSession,
    config: Config,
    month: str,
    stage: str,
    made: dict[str, Artefact],
    facts: dict[str, object],
) -> None:
    run_stage(spark, Stage(stage, 1, ()), config, month, {}, lambda _: Outcome(artefacts=made, facts=facts))


def _figures(prepared: Prepared, **where: str) -> dict[tuple[str, str], float]:
    rows = tables.read(prepared.spark, prepared.config.storage.warehouse, METRICS, **where).collect()
    return {(row["slice"], row["name"]): row["value"] for row in rows}


def test_test_split_is_measured_by_hand(prepared: Prepared, evaluated: Manifest) -> None:
    found = _figures(prepared, month=MONTH, model_version="2", split="test")
    # 7 rows: four right, one given wrongly, one right with unknown words, one of an unknown leaf.
    assert found["head=output", "accuracy"] == pytest.approx(5 / 7)
    assert found["head=output", "rows"] == 7
    assert found["level=1", "accuracy"] == pytest.approx(5 / 7)
    assert found["level=2", "rows"] == 6  # the shirt has one level, the unknown leaf counts
    assert found["unknown_leaf", "rows"] == 1
    assert found["threshold=0.00", "coverage"] == 1
    assert _figures(prepared, month=MONTH, model_version="2", split="validation")["head=output", "accuracy"] == 1


def test_truth_is_apart_and_says_simulated(prepared: Prepared, evaluated: Manifest) -> None:
    found = _figures(prepared, month=MONTH, model_version="2", split="test")
    assert found["truth=simulated", "given_label_accuracy"] == pytest.approx(6 / 7)
    assert found["truth=simulated", "accuracy"] == pytest.approx(6 / 7)
    assert found["truth=simulated", "wrong_labels_repaired"] == 1


def test_last_months_model_is_measured_on_this_month(prepared: Prepared, evaluated: Manifest) -> None:
    compared = evaluated.facts["next_month"]
    assert (compared["model_version"], compared["model_month"]) == ("1", BEFORE)
    # Its leaf 190 was replaced by 200, so only leaf 999 is unknown to it.
    assert compared["unknown_leaf_rows"] == 1
    assert compared["retrained"][0] == pytest.approx(5 / 7)
    gained = compared["retrained"][0] - compared["accuracy"][0]
    assert compared["retrained_minus_old"][0] == pytest.approx(gained)
    assert _figures(prepared, month=MONTH, model_version="1", split="next_month")["head=output", "accuracy"] == (
        pytest.approx(compared["accuracy"][0])
    )


def test_peer_learns_the_same_names(prepared: Prepared, evaluated: Manifest) -> None:
    compared = evaluated.facts["peer"]
    assert (compared["rows_learnt"], compared["rows"]) == (6, 7)
    assert compared["accuracy"][0] >= 4 / 7
    assert _figures(prepared, month=MONTH, model_version=PEER_VERSION, split="test")["head=output", "accuracy"] == (
        pytest.approx(compared["accuracy"][0])
    )


def test_uncertain_categories_are_named_with_examples(prepared: Prepared, evaluated: Manifest) -> None:
    found = evaluated.facts["uncertain"]
    # Of six rows of validation and six of test with a known leaf five have label 100, one of them given wrongly.
    assert (found["judged"], found["few"]) == (3, 0)
    assert sum(one["rows"] for one in found["categories"]) == 12
    apples = next(one for one in found["categories"] if one["cat_id"] == "100")
    assert (apples["rows"], apples["mistaken"]) == (5, 1)
    assert [rival["cat_id"] for rival in apples["rivals"]] == ["200"]
    assert {example["name"] for example in apples["examples"]} <= {name for name, _ in TEST}
    shirts = next(one for one in found["categories"] if one["cat_id"] == "200")
    assert [example["product_id"] for example in shirts["examples"]] == ["a:test5"], "it was delivered as 190"
    assert shirts["fix"] is None


def test_mlflow_has_the_figures_and_the_model_is_untouched(prepared: Prepared, evaluated: Manifest) -> None:
    from mlflow import MlflowClient

    from lib.registry.versions import store_uri

    uri = store_uri(prepared.config.storage.state)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    logged = client.get_run(client.get_model_version("catmatch", "2").run_id).data.metrics
    assert logged["test_accuracy"] == pytest.approx(5 / 7)
    prepared.model.verify()
    assert artefacts.load(prepared.model.folder) == prepared.model


def test_evaluating_again_does_nothing(prepared: Prepared, evaluated: Manifest) -> None:
    assert evaluate.run(prepared.spark, prepared.config, MONTH).skipped


def test_month_without_a_model_is_refused(prepared: Prepared) -> None:
    with pytest.raises(UserError, match="train has not finished for month 2025-01"):
        evaluate.run(prepared.spark, prepared.config, "2025-01")


def test_month_is_scored_once(prepared: Prepared, evaluated: Manifest) -> None:
    done = score.run(prepared.spark, prepared.config, MONTH)
    assert (done.rows_in, done.exits) == (13, {"predictions": 13})
    warehouse = prepared.config.storage.warehouse
    rows = tables.read(prepared.spark, warehouse, PREDICTIONS, month=MONTH, model_version="2").collect()
    said = {row["product_id"]: row for row in rows}
    assert [said[f"a:train{i}"]["cat_id"] for i in range(6)] == [cat_id for _, cat_id in NAMES]
    first = said["a:train0"]
    assert first["path"] == ["식품", "과일"]
    assert first["top"][0]["probability"] == pytest.approx(first["confidence"])
    assert len(first["top"]) == 3
    assert sum(done.facts["by_tenth_of_confidence"]) == 13
    # Of two rows a leaf the root's threshold holds, which is the lowest confidence of validation.
    limit = min(said[f"a:train{i}"]["confidence"] for i in range(6)) - 1e-5
    routes = {name: "automatic" if row["confidence"] >= limit else "review" for name, row in said.items()}
    assert {name: row["route"] for name, row in said.items()} == routes
    assert done.facts["routes"]["automatic"] == list(routes.values()).count("automatic") >= 6
    assert sum(done.facts["routes"].values()) == 13
    sure = [row["confidence"] for row in rows if row["route"] == "automatic"]
    assert done.facts["expected_precision"] == pytest.approx(sum(sure) / len(sure))
    assert score.run(prepared.spark, prepared.config, MONTH).skipped


def test_a_month_that_is_being_scored_is_not_scored_beside_it(prepared: Prepared) -> None:
    place = Path(prepared.config.storage.warehouse) / "manifests" / "score" / f"{MONTH}.lock"
    with only_one(place, "the test"), pytest.raises(UserError, match=f"{MONTH} is being scored by another run"):
        score.run(prepared.spark, prepared.config, MONTH, force=True)


def test_a_scoring_that_stopped_goes_on(
    prepared: Prepared, evaluated: Manifest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of its chunks done; another chunk size in between cuts nothing anew."""
    # In the same chunks: the last bit of a confidence depends on how many rows a batch has.
    whole = score.run(prepared.spark, _chunked(prepared.config, 4), MONTH, force=True)
    score_chunk, begun = month_scores._score, []

    def stops(*given: Any) -> None:
        if len(begun) == 2:
            raise RuntimeError("killed")
        begun.append(given)
        score_chunk(*given)

    monkeypatch.setattr(month_scores, "_score", stops)
    with pytest.raises(RuntimeError, match="killed"):
        score.run(prepared.spark, _chunked(prepared.config, 4), MONTH, force=True)
    monkeypatch.setattr(month_scores, "_score", score_chunk)
    caplog.set_level("INFO", "lib.scoring")
    caplog.clear()
    done = score.run(prepared.spark, _chunked(prepared.config, 9), MONTH, force=True)
    said = [line for line in caplog.messages if "chunk" in line]
    assert said == [f"score {MONTH}: chunk {number} of 4" for number in (3, 4)]
    assert (done.exits, _content(done)) == (whole.exits, _content(whole))
    assert not list(Path(prepared.config.score.staging).iterdir())


@pytest.mark.soak
def test_a_killed_scoring_goes_on(
    prepared: Prepared, evaluated: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed -9 when its first chunk is there."""
    config, staging = _chunked(prepared.config, 2), Path(prepared.config.score.staging)
    whole = score.run(prepared.spark, config, MONTH, force=True)
    (Path(config.storage.warehouse) / "manifests" / "score" / f"{MONTH}.json").unlink()
    kill_job("score", config, MONTH, tmp_path, when=lambda: any(staging.glob("*/done/chunk=0/_SUCCESS")))
    caplog.set_level("INFO", "lib.scoring")
    done = score.run(prepared.spark, config, MONTH)
    said = [line for line in caplog.messages if "chunk" in line]
    assert 0 < len(said) < 7
    assert (done.exits, _content(done)) == (whole.exits, _content(whole))


def _content(done: Manifest) -> list[tuple[int, str]]:
    return [(entry["rows"], entry["total"]) for entry in done.written]


def _chunked(config: Config, rows: int) -> Config:
    return config.model_copy(update={"score": config.score.model_copy(update={"chunk_rows": rows})})


def test_other_targets_than_were_evaluated_send_all_to_review(
    prepared: Prepared, evaluated: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    stricter = prepared.config.model_copy(update={"routing": RoutingSettings(precision=0.99)})
    done = score.run(prepared.spark, stricter, MONTH)
    assert done.facts["routes"] == {"automatic": 0, "review": 13}
    assert (done.facts["expected_precision"], done.facts["thresholds"]) == (None, "none")
    assert f"run jobs/evaluate.py --month {MONTH}" in caplog.text


def test_page_of_the_month_is_written_and_escaped(prepared: Prepared, evaluated: Manifest) -> None:
    page = report.run(prepared.spark, prepared.config, MONTH).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "Not finished for this month: ingest, tokenize" in page
    assert "71.4 %" in page


def test_command_line_labels_a_file(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "n.tsv").write_text("번호\t이름\n1\t배추 특가\n2\t\n", encoding="utf-8")
    given = [
        "--model",
        "champion",
        "--input",
        str(tmp_path / "n.tsv"),
        "--mapping",
        "이름=prod_nm,번호=product_id",
    ]
    output = ["--output", str(tmp_path / "out"), "--format", "parquet"]
    monkeypatch.setattr(sys, "argv", ["score.py", "--conf", str(prepared.conf), *given, *output])
    score.main()
    assert "1 rows labelled" in capsys.readouterr().out
    labelled = pq.read_table(sorted((tmp_path / "out").glob("*.parquet"))[0]).to_pylist()
    assert [(row["product_id"], row["cat_id"], row["path"]) for row in labelled] == [("1", "101", ["식품", "채소"])]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--month", MONTH, "--input", "n.tsv"], "give either --month"),
        (["--input", "n.tsv"], "give either --month"),
        (
            ["--model", "nobody", "--input", "n.tsv", "--mapping", "a=prod_nm", "--output", "o"],
            "no alias or version",
        ),
    ],
)
def test_command_line_refuses_in_one_sentence(
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["score.py", "--conf", str(prepared.conf), *arguments])
    with pytest.raises(SystemExit) as ended:
        score.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_champion_is_the_months_model(prepared: Prepared) -> None:
    assert resolve(prepared.config.storage.state, "champion") == (prepared.model.folder.resolve(), "2")
