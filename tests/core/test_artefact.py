"""Artefacts: immutable, finished or not there, one winner of two runs."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lib import artefact
from lib.artefact import ArtefactWriter
from lib.errors import UserError


def build(text: str) -> Callable[[ArtefactWriter], None]:
    def write(writer: ArtefactWriter) -> None:
        writer.file("words.txt").write_text(text)
        writer.facts["letters"] = len(text)

    return write


def test_made_once_then_reused(warehouse: str) -> None:
    made = artefact.make(warehouse, "words", "2026-01", "k", build("abc"))
    again = artefact.make(warehouse, "words", "2026-01", "k", build("other"))
    assert again == made
    assert made.path("words.txt").read_text() == "abc"
    assert made.facts == {"letters": 3}


def test_force_makes_another_and_leaves_what_is_there(warehouse: str) -> None:
    made = artefact.make(warehouse, "words", "2026-01", "k", build("abc"))
    forced = artefact.make(warehouse, "words", "2026-01", "k", build("other"), force=True)
    assert forced.path("words.txt").read_text() == "other"
    assert forced.key.startswith("k-")
    assert artefact.load(made.folder).path("words.txt").read_text() == "abc"
    forced.verify()


def test_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words-1.txt").write_text("half")
    with pytest.raises(UserError, match=r"has no manifest\.json, so it is unfinished"):
        artefact.load(tmp_path)


def test_failed_build_leaves_no_manifest_and_no_file(warehouse: str) -> None:
    def fail(writer: ArtefactWriter) -> None:
        writer.file("words.txt").write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        artefact.make(warehouse, "words", "2026-01", "k", fail)
    assert list(artefact.folder(warehouse, "words", "2026-01", "k").iterdir()) == []


def test_of_two_runs_at_once_the_loser_uses_the_winners_files(warehouse: str) -> None:
    both_writing = threading.Barrier(2)
    results: list[artefact.Artefact] = []

    def run(text: str) -> None:
        def write(writer: ArtefactWriter) -> None:
            build(text)(writer)
            both_writing.wait()

        results.append(artefact.make(warehouse, "words", "2026-01", "k", write))

    threads = [threading.Thread(target=run, args=(text,)) for text in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    left = {file.name for file in results[0].folder.iterdir()}
    assert left == {artefact.MANIFEST, str(results[0].files["words.txt"]["file"])}


def test_cut_or_missing_file_is_named(warehouse: str) -> None:
    made = artefact.make(warehouse, "words", "2026-01", "k", build("abc"))
    made.path("words.txt").write_text("ab")
    with pytest.raises(UserError, match="has 2 bytes where its manifest says 3"):
        made.path("words.txt")


def test_verify_finds_changed_content_of_equal_size(warehouse: str) -> None:
    made = artefact.make(warehouse, "words", "2026-01", "k", build("abc"))
    made.verify()
    made.path("words.txt").write_text("abd")
    with pytest.raises(UserError, match="was changed after it was written"):
        made.verify()


def test_manifest_may_not_name_files_outside(warehouse: str) -> None:
    made = artefact.make(warehouse, "words", "2026-01", "k", build("abc"))
    record = json.loads((made.folder / artefact.MANIFEST).read_text())
    record["files"]["words.txt"]["file"] = "../../../../etc/passwd"
    (made.folder / artefact.MANIFEST).write_text(json.dumps(record))
    with pytest.raises(UserError, match="lies outside the folder"):
        artefact.load(made.folder)


def test_content_depends_on_files_not_on_run(warehouse: str) -> None:
    first = artefact.make(warehouse, "words", "2026-01", "a", build("abc"))
    second = artefact.make(warehouse, "words", "2026-01", "b", build("abc"))
    third = artefact.make(warehouse, "words", "2026-01", "c", build("abd"))
    assert first.content == second.content != third.content
