"""The archive of Java classes: used where it is there, passed over in silence where it is not what this Java needs."""

import os
import subprocess
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lib import java_classes

JAVA = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if os.environ.get("JAVA_HOME") else "java"


def test_a_session_that_python_starts_uses_it(spark: SparkSession) -> None:
    assert java_classes.ARCHIVE.is_file()
    number = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
    assert str(java_classes.ARCHIVE.resolve()) in Path(f"/proc/{number}/maps").read_text()


def test_without_an_archive_java_is_told_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(java_classes, "ARCHIVE", tmp_path / "none.jsa")
    assert java_classes.java_options() == ""


def test_java_with_another_class_path_passes_over_it_in_silence(tmp_path: Path) -> None:
    options = java_classes.java_options().split()
    done = subprocess.run([JAVA, *options, "-cp", tmp_path, "--version"], capture_output=True, text=True, check=True)
    assert "17." in done.stdout
    assert "SharedArchiveFile" not in done.stdout + done.stderr
    assert "class path" not in done.stdout + done.stderr
