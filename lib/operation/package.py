"""Builds what a cluster needs: the code as a zip for --py-files, the environment as an archive for --archives.

python -m lib.operation.package --output .run/package [--environment .venv [--python /usr/bin/python3.11]]
"""

import argparse
import gzip
import subprocess
import tarfile
import zipfile
from pathlib import Path

from lib import command
from lib.errors import UserError
from lib.java_classes import ARCHIVE
from lib.manifest import code_version
from lib.own_files import COMMIT, ROOT

# What a job needs of the checkout; configurations are given beside it.
PARTS = ("lib", "schemas", "jobs", "requirements/jars.lock")
CODE, ENVIRONMENT = "catmatch.zip", "environment.tar.gz"
# The earliest that a zip can tell: two builds of one commit have the same bytes.
MOMENT = (1980, 1, 1, 0, 0, 0)
FILE_MODE = 0o644 << 16
# Of the environment: what Python makes again by itself, the line that leads to this very checkout, and what only this
# machine's Java can use.
LEFT_OUT = ("__pycache__", "catmatch.pth", ARCHIVE.name)
# Ten times as quick as the default and a tenth larger; an archive is unpacked once a host.
LEVEL = 1


def code_zip(folder: Path, root: Path = ROOT) -> Path:
    """Write the checkout's files as they are now, but for those that git ignores, to <folder>/catmatch.zip.

    Raises:
        UserError: this is no git checkout.
    """
    try:
        listed = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PARTS],  # noqa: S607
            capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"{root} is no git checkout, or git is missing; build the package from a clone") from None
    names = [name for name in listed.split("\0") if name and (root / name).is_file()]
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / CODE
    with zipfile.ZipFile(place, "w") as made:
        for name in sorted(names):
            _add(made, name, (root / name).read_bytes())
        _add(made, COMMIT, code_version().encode())
    return place


def _add(made: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, MOMENT)
    entry.external_attr, entry.compress_type = FILE_MODE, zipfile.ZIP_DEFLATED
    made.writestr(entry, content)


def environment_archive(folder: Path, environment: Path, python: str | None = None) -> Path:
    """Write a virtual environment to <folder>/environment.tar.gz, in such a way that it runs wherever it is unpacked.

    The interpreter itself is not in it: every host needs Python 3.11 at the same place.

    Args:
        environment: as `python -m venv` made it.
        python: where the hosts have Python 3.11; by default where this one has it.

    Raises:
        UserError: there is no such environment.
    """
    link = environment / "bin" / "python"
    if not (environment / "pyvenv.cfg").is_file() or not link.exists():
        raise UserError(f"{environment} is no virtual environment; run `make venv` first")
    base = python or str(link.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / ENVIRONMENT

    def checked(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(entry.name).name in LEFT_OUT:
            return None
        if entry.issym() and entry.linkname.startswith("/"):
            # The only ones that lead out of an environment are to its interpreter.
            entry.linkname = base
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with gzip.open(place, "wb", LEVEL) as stream, tarfile.open(fileobj=stream, mode="w") as made:
        for part in sorted(environment.iterdir()):
            made.add(part, part.name, filter=checked)
    return place


def main() -> None:
    """Parse the command line and say what was built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for both files")
    parser.add_argument("--environment", type=Path, help="also pack this virtual environment")
    parser.add_argument("--python", help="where the cluster's hosts have Python 3.11 (default: where this one has it)")
    command.guarded(lambda: _build(parser.parse_args()))


def _build(given: argparse.Namespace) -> None:
    made = [code_zip(given.output)]
    if given.environment is not None:
        made.append(environment_archive(given.output, given.environment, given.python))
    for place in made:
        print(f"{place}: {place.stat().st_size / 1e6:,.1f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
