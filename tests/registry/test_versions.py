"""Versions and aliases over a real SQLite store."""

from pathlib import Path

import pytest

from lib import artefact, registry
from lib.artefact import Artefact, ArtefactWriter
from lib.errors import UserError


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


def test_an_alias_advances_to_newer_versions_only(state: str, tmp_path: Path) -> None:
    one, two = (registry.register(state, model(tmp_path, key), {}, {}, name="advances") for key in ("a", "b"))
    for version, expected in ((one, "1"), (two, "2"), (one, "2")):
        registry.advance_alias(state, "champion", version, name="advances")
        assert registry.resolve(state, "champion", name="advances")[1] == expected


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
