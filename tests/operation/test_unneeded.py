"""Artefacts that may go: none that an alias or a kept month needs, however it leads there, and none that is new."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from lib import artefact as artefacts
from lib import config as configuration
from lib.artefact import Artefact, ArtefactWriter
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest
from lib.operation import unneeded
from lib.registry import Version

NEWEST, OLD, OLDER, OLDEST = "2026-03", "2026-02", "2025-03", "2025-02"
LONG_AGO = time.time() - 30 * 24 * 3600


class Warehouse:
    """A warehouse of artefacts without content, and what the registry knows of it."""

    def __init__(self, root: Path) -> None:
        place = root / "conf.yaml"
        place.write_text(
            f"storage: {{warehouse: {root}/w, state: {root}/s, reports: {root}/r}}\nmaintain: {{artefact_months: 2}}\n"
        )
        self.config: Config = configuration.load(place)
        self.folder = root / "w"
        self.versions: list[Version] = []

    def made(self, kind: str, month: str, key: str = "k", **facts: object) -> Artefact:
        """An artefact that was made long ago."""

        def build(writer: ArtefactWriter) -> None:
            writer.file("a").write_text("some")
            writer.facts = facts

        made = artefacts.make(str(self.folder), kind, month, key, build)
        for place in (made.folder, *made.folder.iterdir()):
            os.utime(place, (LONG_AGO, LONG_AGO))
        return made

    def month(self, month: str, **facts: str) -> tuple[Artefact, Artefact, Artefact]:
        """A month's vocabulary, shards and model; only `normalize` of its stages has a manifest."""
        vocabulary = self.made("vocabulary", month)
        shards = self.made("shards", month, vocabulary=f"artefacts/vocabulary/{month}/k", word2vec=None)
        self.stage("normalize", month, {"distribution": f"artefacts/distribution/{month}/k"})
        self.made("distribution", month)
        return vocabulary, shards, self.made("model", month, shards="k", vocabulary=f"artefacts/vocabulary/{month}/k")

    def stage(self, name: str, month: str, made: dict[str, str], **facts: str) -> None:
        """A finished stage."""
        found = Manifest(name, 1, month, "k", {}, {}, None, {}, [], made, facts, 1.0, "then", "c", {})
        place = self.folder / "manifests" / name / f"{month}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(asdict(found)))

    def going(self) -> set[str]:
        """What may go, as kind/month."""
        return {"/".join(place.parts[-3:-1]) for place in unneeded.unneeded(self.config)}


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    made = Warehouse(tmp_path)
    monkeypatch.setattr(unneeded, "versions", lambda _state, _name: made.versions)
    return made


def _version(number: str, model: Artefact, *aliases: str) -> Version:
    return Version(number, model.month, model.folder, aliases)


@pytest.mark.parametrize("alias", ["champion", "previous", "candidate"])
def test_what_an_alias_stands_on_stays_however_old(warehouse: Warehouse, alias: str) -> None:
    oldest, older, _, _ = [warehouse.month(month)[2] for month in (OLDEST, OLDER, OLD, NEWEST)]
    warehouse.versions = [_version("1", oldest, alias), _version("2", older)]
    kinds = ("distribution", "model", "shards", "vocabulary")
    gone = {f"{kind}/{OLDER}" for kind in kinds}
    # Of the kept months only what their manifests name; no stage says that it made the others.
    gone |= {f"{kind}/{month}" for kind in kinds[1:] for month in (OLD, NEWEST)}
    assert warehouse.going() == gone


def test_a_warehouse_that_was_moved_keeps_its_champion(warehouse: Warehouse) -> None:
    oldest = warehouse.month(OLDEST)[2]
    for month in (OLD, NEWEST):
        warehouse.stage("ingest", month, {})
    elsewhere = Path("/mounted/elsewhere") / oldest.folder.relative_to(warehouse.folder)
    warehouse.versions = [Version("1", OLDEST, elsewhere, ("champion",))]
    assert warehouse.going() == set()


@pytest.mark.parametrize("linked", ["artefacts", "artefacts/shards", "artefacts/model/2025-02/k"])
def test_what_is_linked_in_from_another_disk_counts_as_lying_here(warehouse: Warehouse, linked: str) -> None:
    oldest = warehouse.month(OLDEST)[2]
    for month in (OLD, NEWEST):
        warehouse.stage("ingest", month, {})
    place, disk = warehouse.folder / linked, warehouse.folder.parent / "disk"
    place.rename(disk)
    place.symlink_to(disk)
    warehouse.versions = [_version("1", oldest, "champion")]
    assert warehouse.going() == set()
    warehouse.versions = [_version("1", oldest), _version("2", warehouse.made("model", OLD, "other"), "champion")]
    assert (f"model/{OLDEST}" in warehouse.going()) == (not linked.startswith("artefacts/model"))


def test_what_a_kept_manifest_names_stays_with_what_it_was_made_from(warehouse: Warehouse) -> None:
    old = warehouse.month(OLDER)[2]
    warehouse.month(NEWEST)
    warehouse.stage("train", NEWEST, {"model": f"artefacts/model/{NEWEST}/k"})
    warehouse.versions = [_version("1", old)]
    warehouse.month(OLD)
    assert not {place for place in warehouse.going() if NEWEST in place}
    assert f"model/{OLDER}" in warehouse.going()
    warehouse.stage("promote", NEWEST, {}, previous="1")
    assert f"model/{OLDER}" not in warehouse.going(), "a version that a kept month's decision names"


def test_what_was_just_made_or_is_being_made_stays(warehouse: Warehouse) -> None:
    place = artefacts.folder(str(warehouse.folder), "shards", OLDEST, "unfinished")
    place.mkdir(parents=True)
    checkpoint = warehouse.folder / "checkpoints" / OLDEST / "k"
    checkpoint.mkdir(parents=True)
    assert unneeded.unneeded(warehouse.config) == []
    for folder in (place, checkpoint):
        os.utime(folder, (LONG_AGO, LONG_AGO))
    assert unneeded.unneeded(warehouse.config) == [place.resolve(), checkpoint.resolve()]


def test_without_the_registry_nothing_is_said_to_be_unneeded(warehouse: Warehouse) -> None:
    warehouse.month(OLD)
    with pytest.raises(UserError, match=r"knows none, so nobody can say which are needed; set storage.state"):
        warehouse.going()


def test_a_manifest_that_cannot_be_read_stops_it(warehouse: Warehouse) -> None:
    warehouse.stage("train", NEWEST, {})
    (warehouse.folder / "manifests" / "train" / f"{NEWEST}.json").write_text("{")
    with pytest.raises(UserError, match="is no stage manifest"):
        warehouse.going()
