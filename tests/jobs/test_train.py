"""The train stage over a tiny month: what it writes, registers and skips; the saved model is the trained one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs import train
from lib import artefact, registry
from lib.artefact import Artefact
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Outcome, Stage, run_stage
from lib.model import saved
from lib.training import candidate, loop, members
from lib.training.step import inputs_of
from tests.training import month, toy


def shards_stage(spark: SparkSession, config: Config, shards: Artefact) -> None:
    """Leave the manifest that the shards stage would."""
    stage = Stage("shards", revision=1, config_keys=())
    run_stage(spark, stage, config, month.MONTH, {}, lambda key: Outcome(artefacts={"shards": shards}))


def test_a_month_is_trained_registered_and_skipped(spark: SparkSession, tmp_path: Path) -> None:
    config = month.config(tmp_path, refit=True, epochs=6, patience=6)
    shards_stage(spark, config, month.artefacts(config.storage.warehouse))
    done = train.run(spark, config, month.MONTH)
    facts = done.facts
    assert facts["version"] == "1"
    (member,) = facts["members"]
    assert [epoch["number"] for epoch in member["epochs"]] == [1, 2, 3, 4, 5, 6]
    assert len(member["refit_epochs"]) == member["best_epoch"]
    assert member["epochs"][-1]["validation"]["accuracy"]["output"] > 0.5
    json.dumps(facts)
    folder, version = registry.resolve(config.storage.state, "candidate")
    assert version == "1"
    found = saved.load(folder)
    assert found.temperature == facts["temperature"] > 0
    assert found.tokenizer["key"] == "whitespace-1"
    assert [leaf["cat_id"] for leaf in found.label_map] == ["c0", "c1", "c2", "c3"]
    assert list((Path(config.storage.state) / "tensorboard").rglob("events.out*"))
    assert train.run(spark, config, month.MONTH).skipped


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artefact, np.ndarray]:
    """A saved model, and what the model in memory said of four rows."""
    config = month.config(tmp_path_factory.mktemp("saved"), members=2, epochs=1, tensorboard=False)
    seen: list[np.ndarray] = []

    original = members.train

    def watched(*arguments: Any) -> members.Trained:
        trained = original(*arguments)
        seen.append(trained.model(inputs_of(toy.rows(4, 9)))["output"].numpy())
        return trained

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate, "train", watched)
        artefact_made = month.model(config)
    return artefact_made, seen[0]


def test_the_saved_model_says_what_the_trained_one_said(made: tuple[Artefact, np.ndarray]) -> None:
    model, said = made
    loaded = saved.load(model.folder)
    np.testing.assert_array_equal(loaded.model(inputs_of(toy.rows(4, 9)))["output"].numpy(), said)


def test_members_are_trained_from_seeds_of_their_own(tmp_path: Path) -> None:
    config = month.config(tmp_path, members=3, epochs=2, refit=True, tensorboard=False)
    made = month.model(config)
    assert len({member["epochs"][0]["loss"] for member in made.facts["members"]}) == 3
    assert [len(member["refit_epochs"]) > 0 for member in made.facts["members"]] == [True] * 3
    assert made.facts["parameters"] == 3 * saved.load(made.folder).model.get_layer("member_1").count_params()


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unfinished"):
        saved.load(tmp_path)


def copied(model: Artefact, tmp_path: Path) -> Path:
    """The model's folder again, to be spoiled."""
    for file in model.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["weights.weights.h5", "model.json", "words.parquet", "label_map.json"])
def test_a_changed_file_is_refused(made: tuple[Artefact, np.ndarray], tmp_path: Path, name: str) -> None:
    folder = copied(made[0], tmp_path)
    file = folder / made[0].files[name]["file"]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="was changed after it was written"):
        saved.load(folder)


def test_weights_kept_in_another_file_are_refused(made: tuple[Artefact, np.ndarray], tmp_path: Path) -> None:
    import h5py

    folder = copied(made[0], tmp_path)
    file = folder / made[0].files[saved.WEIGHTS]["file"]
    (tmp_path / "secret").write_bytes(b"12345678")
    with h5py.File(file, "w") as written:
        written.create_dataset("layers/stolen", (2,), "f4", external=[(str(tmp_path / "secret"), 0, 8)])
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][saved.WEIGHTS] |= {"bytes": file.stat().st_size, "sha256": artefact.sha256(file)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="from another file"):
        saved.load(folder)


def test_another_artefact_is_no_model(tmp_path: Path) -> None:
    shards = month.artefacts(str(tmp_path))
    with pytest.raises(UserError, match="is a shards artefact, not a model"):
        saved.load(shards.folder)


def vectors(tmp_path: Path, **model: object) -> np.ndarray | None:
    config = month.config(tmp_path)
    config = config.model_copy(update={"model": config.model.model_copy(update=model)})
    inputs = candidate.Inputs.of_shards(config, month.artefacts(config.storage.warehouse))
    return candidate._vectors(config, inputs)


def test_word_vectors_start_the_table_only_when_asked(tmp_path: Path) -> None:
    assert vectors(tmp_path) is None
    found = vectors(tmp_path, embedding="word2vec")
    assert found is not None
    assert found.shape == (toy.WORDS, 8)


def test_word_vectors_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set model\.embedding_size=8"):
        vectors(tmp_path, embedding="word2vec", embedding_size=16)


def test_a_month_without_validation_is_trained(tmp_path: Path) -> None:
    config = month.config(tmp_path, epochs=1, tensorboard=False, refit=True)
    facts = month.model(config, validation=0).facts
    (member,) = facts["members"]
    assert (facts["temperature"], member["best_epoch"], member["refit_epochs"]) == (1.0, 1, [])
    assert loop.best_epoch([]) == 0
