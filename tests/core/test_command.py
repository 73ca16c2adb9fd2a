"""Command lines: a wrong month or a user's mistake is one sentence and exit 2."""

from pathlib import Path

import pytest

from lib import command, environment
from lib.errors import UserError
from schemas.table import is_month


@pytest.mark.parametrize(
    "text", ["2026-1", "2026-13", "2026-00", "26-01", "2026-01-01", "", "2026-01\n", "２０２６-01"]
)
def test_what_is_no_month(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_month(text)
    with pytest.raises(SystemExit) as ended:
        command.run_stage_job("toys", "Toys.", lambda *_: None, ["--month", text])
    assert ended.value.code == 2
    assert "write it as YYYY-MM" in capsys.readouterr().err


def test_a_users_mistake_is_one_sentence_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise UserError("the value x in y is wrong; give z")

    with pytest.raises(SystemExit) as ended:
        command.guarded(body)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: the value x in y is wrong; give z\n"


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        command.guarded(lambda: 1 / 0)  # type: ignore[arg-type,return-value]


def test_missing_configuration_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.run_stage_job("toys", "Toys.", lambda *_: None, ["--month", "2026-01", "--conf", "nowhere.yaml"])
    assert ended.value.code == 2
    assert "nowhere.yaml cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(("package", "version"), [("pyarrow", "15.0.2"), ("numpy", "2.1.0")])
def test_packages_that_petastorm_cannot_work_with(package: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"pyarrow": "14.0.2", "numpy": "1.26.4", package: version}
    monkeypatch.setattr(environment.metadata, "version", installed.__getitem__)
    with pytest.raises(UserError, match=rf"{package} {version} is installed but Petastorm .* `make venv`"):
        environment.check_packages()


def test_no_java_is_said_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no java command was found in PATH; install a Java 17"):
        environment.check_java(None)
    with pytest.raises(UserError, match="no java command was found in JAVA_HOME"):
        environment.check_java(str(tmp_path))


@pytest.mark.parametrize(("said", "version"), [('openjdk version "11.0.2" 2019', "11"), ('java version "1.8.0"', "1")])
def test_a_java_that_is_too_old_is_said_with_its_fix(tmp_path: Path, said: str, version: str) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    with pytest.raises(UserError, match=f"is of version {version}; install a Java 17"):
        environment.check_java(str(tmp_path))
