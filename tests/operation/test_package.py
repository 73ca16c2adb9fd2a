"""The zip runs by itself, away from any checkout; the environment runs where it was not made."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from lib.errors import UserError
from lib.manifest import code_version
from lib.operation.package import PARTS, code_zip, environment_archive
from lib.session import locked_jars
from tests.conftest import ROOT

# Imports every module, asks every job for its help, and reads what the package ships beside its modules.
ALONE = """
import contextlib, importlib, io, json, pkgutil, runpy, sys, zipfile
archive = sys.argv[1]
names = [n[:-3].replace("/", ".") for n in zipfile.ZipFile(archive).namelist() if n.endswith(".py")]
modules = [n.removesuffix(".__init__") for n in names if not n.startswith("jobs.") and not n.endswith("__main__")]
outside = [m.__name__ for m in map(importlib.import_module, modules) if not m.__file__.startswith(archive)]
helped = {}
for name in (n for n in names if n.startswith("jobs.") and not n.endswith("__init__")):
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            helped[name] = (end.code, said.getvalue().startswith("usage:"))
from lib.manifest import code_version
from lib.report.index import Index, render_index
from lib.session import locked_jars
from lib.training.agreement import code
page = render_index(Index([], [], {}, [], []), code_version())
print(json.dumps({"outside": outside, "helped": helped, "modules": len(modules), "code": code_version(),
                  "jars": [p.name for p in locked_jars()], "digest": code(), "styled": "--paper" in page}))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return code_zip(tmp_path_factory.mktemp("package"))


def test_two_builds_have_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    assert code_zip(tmp_path / "again").read_bytes() == archive.read_bytes()


def test_it_holds_what_git_does_not_ignore(archive: Path) -> None:
    names = zipfile.ZipFile(archive).namelist()
    assert {"lib/report/templates/month.html", "jobs/month.py", "schemas/table.py", "COMMIT"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or not name.startswith((*PARTS, "COMMIT"))]


def test_every_job_and_module_runs_from_the_zip_alone(archive: Path, tmp_path: Path) -> None:
    from lib.training.agreement import code

    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(archive)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(archive)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["outside"] == []
    assert told["modules"] > 150
    wrong = {name: end for name, end in told["helped"].items() if end != [0, True]}
    assert not wrong
    assert len(told["helped"]) == len(list((ROOT / "jobs").glob("*.py"))) - 1
    assert (told["code"], told["styled"]) == (code_version(), True)
    assert told["jars"] == [jar.name for jar in locked_jars()]
    assert told["digest"] == code(), "workers that run the zip train with a chief that runs the checkout"


def test_outside_a_checkout_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no git checkout"):
        code_zip(tmp_path, tmp_path)


def test_an_environment_runs_where_it_was_not_made(tmp_path: Path) -> None:
    made = tmp_path / "made"
    venv.create(made, with_pip=False, symlinks=True)
    packages = next(made.glob("lib/python*/site-packages"))
    (packages / "only_here.py").write_text("ANSWER = 42")
    (packages / "catmatch.pth").write_text(str(tmp_path))
    packed = environment_archive(tmp_path / "out", made)
    made.rename(tmp_path / "gone")
    with tarfile.open(packed) as archive:
        assert not [name for name in archive.getnames() if name.endswith("catmatch.pth")]
        archive.extractall(tmp_path / "elsewhere", filter="fully_trusted")
    python = tmp_path / "elsewhere" / "bin" / "python"
    told = subprocess.run(
        [python, "-c", "import only_here, sys; print(only_here.ANSWER, sys.prefix)"],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert told.stdout.split() == ["42", str(tmp_path / "elsewhere")]


def test_the_interpreter_of_the_hosts_may_lie_elsewhere(tmp_path: Path) -> None:
    venv.create(tmp_path / "made", with_pip=False, symlinks=True)
    with tarfile.open(environment_archive(tmp_path, tmp_path / "made", "/opt/python3.11")) as archive:
        assert "/opt/python3.11" in {entry.linkname for entry in archive.getmembers() if entry.issym()}


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no virtual environment"):
        environment_archive(tmp_path, tmp_path)
