"""Refuses, in one sentence, an environment in which Petastorm, Spark or TensorFlow would fail obscurely later."""

import re
import shutil
import subprocess
from importlib import metadata

from lib.errors import UserError

# First versions that Petastorm 0.13.1, frozen upstream, cannot work with (requirements/pipeline.in says why).
TOO_NEW = {"pyarrow": 15, "numpy": 2}
# What `java -version` says: 'openjdk version "17.0.9"'; before Java 9 it was 'java version "1.8.0"'.
JAVA_VERSION = re.compile(r'version "(\d+)')
OLDEST_JAVA = 17
JAVA_FIX = "install a Java 17 runtime and put its `java` on PATH or set JAVA_HOME"


def check_packages() -> None:
    """Raise UserError when an installed package is one that Petastorm cannot work with."""
    for package, limit in TOO_NEW.items():
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise UserError(f"{package} is not installed; run `make venv` and use .venv/bin/python") from None
        if int(version.split(".")[0]) >= limit:
            raise UserError(
                f"{package} {version} is installed but Petastorm 0.13.1 needs {package} < {limit}; "
                "run `make venv` and use .venv/bin/python"
            )


def check_java(java_home: str | None) -> None:
    """Raise UserError when neither JAVA_HOME nor PATH leads to a `java` command, or to one too old for Spark 4."""
    place = f"JAVA_HOME={java_home}" if java_home else "PATH"
    command = shutil.which("java", path=f"{java_home}/bin" if java_home else None)
    if command is None:
        raise UserError(f"no java command was found in {place}; {JAVA_FIX}")
    said = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    found = JAVA_VERSION.search(said)
    if found is not None and int(found[1]) < OLDEST_JAVA:
        raise UserError(f"the java command in {place} is of version {found[1]}; {JAVA_FIX}")
