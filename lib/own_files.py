"""The project's own files, whether it runs from a checkout or from the zip that `make package` builds.

Within a zip there are no paths to open: what is not a module is read through here.
"""

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

# The checkout's folder, or the zip's path; as an entry of PYTHONPATH both will do.
ROOT = Path(__file__).resolve().parent.parent
# Within the zip: the commit that it was built of.
COMMIT = "COMMIT"


def read(name: str) -> bytes | None:
    """Content of a file by its path from the root; None where there is none.

    Args:
        name: for instance 'requirements/jars.lock'.
    """
    root: Any = resources.files("lib")
    found = root.parent.joinpath(*name.split("/"))
    return bytes(found.read_bytes()) if found.is_file() else None


def modules(package: str) -> Iterator[tuple[str, bytes]]:
    """Path from the root and content of every module of a top package, sorted by path."""
    yield from sorted(_modules(resources.files(package), package))


def _modules(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for place in folder.iterdir():
        inner = f"{path}/{place.name}"
        if place.is_dir():
            yield from _modules(place, inner)
        elif place.name.endswith(".py"):
            yield inner, place.read_bytes()
