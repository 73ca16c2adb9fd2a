"""Versions and aliases over a real SQLite store."""

import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from lib import artefact, registry
from lib.artefact import Artefact, ArtefactWriter
from lib.errors import UserError
from lib.registry import Standing


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("state"))


def model(warehouse: Path, key: str) -> Artefact:
    def build(writer: ArtefactWriter) -> None:
        writer.file("weights.weights.h5").write_text(key)

    return artefact.make(str(warehouse), "model", "2026-01", key, build)


def test_aliases_move_and_versions_stay(state: str, tmp_path: Path) -> None:
    first, second = model(tmp_path, "a"), model(tmp_path, "b")
    one = registry.register(state, first, {"accuracy": 0.5}, {"seed": 1}, name="moves")
    registry.set_alias(state, "champion", one, name="moves")
    two = registry.register(state, second, {}, {}, name="moves")
    assert (one, two) == ("1", "2")
    assert registry.resolve(state, "candidate", name="moves") == (second.folder.resolve(), "2")
    assert registry.resolve(state, "champion", name="moves") == (first.folder.resolve(), "1")
    assert registry.resolve(state, "1", name="moves") == (first.folder.resolve(), "1")
    assert registry.resolve(state, str(second.folder), name="moves") == (second.folder, "2")
    registry.log_metrics(state, one, {"test_accuracy": 0.25}, name="moves")


def test_versions_beyond_a_page_are_known(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["lib.registry.versions"], "PAGE", 2)
    registered(state, tmp_path, 5, "pages")
    registry.set_alias(state, "champion", "1", name="pages")
    found = registry.versions(state, "pages")
    assert [(one.number, one.aliases) for one in found[:2]] == [("1", ("champion",)), ("2", ())]
    assert len(found) == 5


def test_registering_the_same_artefact_again_makes_no_new_version(state: str, tmp_path: Path) -> None:
    made = model(tmp_path, "a")
    assert registry.register(state, made, {}, {}, name="twice") == "1"
    assert registry.register(state, made, {}, {}, name="twice") == "1"


def test_a_folder_needs_no_registry_entry(state: str, tmp_path: Path) -> None:
    made = model(tmp_path, "lonely")
    assert registry.resolve(state, str(made.folder), name="folders") == (made.folder, "lonely")


@pytest.mark.parametrize("wrong", ["champion", "99", "no/such/folder", "'; DROP TABLE x", "가"])
def test_what_is_not_there_is_said_in_one_sentence(state: str, wrong: str) -> None:
    with pytest.raises(UserError) as refused:
        registry.resolve(state, wrong, name="nothing")
    assert wrong in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_alias_cannot_name_a_version_that_is_not_there(state: str) -> None:
    with pytest.raises(UserError, match="'7'"):
        registry.set_alias(state, "champion", "7", name="nothing")


def test_a_version_whose_folder_is_gone_is_refused(state: str, tmp_path: Path) -> None:
    made = model(tmp_path, "gone")
    registry.register(state, made, {}, {}, name="gone")
    (made.folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="gone or unfinished"):
        registry.resolve(state, "candidate", name="gone")


NOTE = {"who": "J. Kim", "why": "shoes in lamps", "when": "2026-02-03T10:00:00+00:00"}


def registered(state: str, place: Path, count: int, name: str) -> list[Artefact]:
    made = [model(place, str(number)) for number in range(count)]
    for one in made:
        registry.register(state, one, {}, {}, name=name)
    return made


def test_who_was_champion_becomes_previous_and_returns(state: str, tmp_path: Path) -> None:
    registered(state, tmp_path, 2, "crowned")
    assert registry.standing(state, "crowned") == Standing(None, None)
    assert registry.crown(state, "1", None, "crowned") == Standing("1", None)
    assert registry.crown(state, "2", "1", "crowned") == Standing("2", "1")
    assert registry.roll_back(state, NOTE, "crowned") == Standing("1", "2")
    assert registry.withdrawn(state, "2", "crowned") == NOTE
    assert registry.withdrawn(state, "1", "crowned") is None
    # Who thinks again trusts the version again.
    assert registry.roll_back(state, {**NOTE, "why": "it was the feed"}, "crowned") == Standing("2", "1")
    assert registry.withdrawn(state, "2", "crowned") is None


def test_nobody_to_return_to_is_one_sentence(state: str, tmp_path: Path) -> None:
    registered(state, tmp_path, 2, "first")
    with pytest.raises(UserError, match=r"no previous champion .* candidate \(version 2\)"):
        registry.roll_back(state, NOTE, "first")
    registry.crown(state, "2", None, "first")
    with pytest.raises(UserError, match="no previous champion"):
        registry.roll_back(state, NOTE, "first")


def test_a_previous_whose_files_are_gone_is_not_returned_to(state: str, tmp_path: Path) -> None:
    older, _ = registered(state, tmp_path, 2, "lost")
    registry.crown(state, "2", "1", "lost")
    (older.folder / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"version 1 .* gone or unfinished"):
        registry.roll_back(state, NOTE, "lost")
    assert registry.standing(state, "lost") == Standing("2", "1")
    assert registry.withdrawn(state, "2", "lost") is None


def test_a_previous_whose_files_are_damaged_is_not_returned_to(state: str, tmp_path: Path) -> None:
    older, _ = registered(state, tmp_path, 2, "damaged")
    registry.crown(state, "2", "1", "damaged")
    older.path("weights.weights.h5").write_text("1")
    with pytest.raises(UserError, match="was changed after it was written"):
        registry.roll_back(state, NOTE, "damaged")
    assert registry.standing(state, "damaged") == Standing("2", "1")


@pytest.mark.parametrize("back", [False, True])
def test_killed_between_two_aliases_there_is_a_champion_and_doing_it_again_ends_it(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    name = f"killed{back}"
    registered(state, tmp_path, 2, name)
    registry.crown(state, "1", None, name)
    if back:
        registry.crown(state, "2", "1", name)
    moved: list[str] = []

    def once(state: str, alias: str, version: str, name: str) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(alias)
        original(state, alias, version, name)

    # The package has a function of the module's name.
    versions = sys.modules["lib.registry.versions"]
    original = versions.set_alias
    monkeypatch.setattr(versions, "set_alias", once)
    with pytest.raises(KeyboardInterrupt):
        registry.roll_back(state, NOTE, name) if back else registry.crown(state, "2", "1", name)
    monkeypatch.undo()
    assert registry.resolve(state, "champion", name)[1] == "1"
    if not back:
        assert registry.crown(state, "2", "1", name) == Standing("2", "1")


def test_asking_who_is_champion_makes_no_store(tmp_path: Path) -> None:
    assert registry.standing(str(tmp_path / "none")) == Standing(None, None)
    assert not (tmp_path / "none").exists()


def test_a_store_that_does_not_answer_is_not_one_without_a_champion(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(state, tmp_path, 1, "silent")
    registry.crown(state, "1", None, "silent")

    def silent(*_: object) -> None:
        raise MlflowException("database is locked", TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(MlflowClient, "get_registered_model", silent)
    for ask in (registry.standing, registry.versions):
        with pytest.raises(UserError, match=r"aliases of model silent cannot be read .database is locked"):
            ask(state, "silent")
