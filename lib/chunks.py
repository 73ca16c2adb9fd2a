"""Work cut into chunks whose results lie in a staging folder, so that a killed run goes on where it stopped."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib.artefact import write_whole

# Where Spark says that all of a folder's files are there.
WHOLE = "_SUCCESS"


@dataclass(frozen=True)
class Chunks:
    """The chunks of one piece of work.

    Attributes:
        folder: of this work alone, which driver and workers see; named by what the work is of, so that other work
            never takes its results.
    """

    folder: Path

    def cut(self, rows: Callable[[], int], chunk_rows: int) -> int:
        """How many chunks of about `chunk_rows` there are; of a work that was begun before, as many as then.

        Args:
            rows: counts them, once a work.
        """
        recorded = self.folder / "chunks"
        if not recorded.is_file():
            write_whole(recorded, str(max(1, -(-rows() // chunk_rows))))
        return int(recorded.read_text())

    @property
    def results(self) -> Path:
        """The folder of all results: one table, partitioned by chunk."""
        return self.folder / "done"

    def result(self, number: int) -> Path:
        """Where Spark writes the chunk's result."""
        return self.results / f"chunk={number}"

    def is_done(self, number: int) -> bool:
        """Whether all of the chunk's result is there."""
        return is_whole(self.result(number))

    def forget(self) -> None:
        """Remove everything; for when the work has been committed."""
        shutil.rmtree(self.folder, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Whether Spark has ended writing the folder."""
    return (folder / WHOLE).is_file()
