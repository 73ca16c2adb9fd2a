"""One worker's process, started by a Spark barrier task (lib/training/barrier_task.py): one TensorFlow a process.

What to do comes as one line of JSON on standard input, which stays open as long as the task lives. What became of it is
written to the file that the command names; not to standard output, which TensorFlow and whatever else writes to.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lib import artefact as artefacts
from lib.artefact import Artefact, ArtefactWriter
from lib.command import start_logging
from lib.config import Config
from lib.errors import UserError
from lib.training import cluster

# Exit statuses: a defect; a user's mistake, as every job's; its task is gone; a peer is.
DEFECT, MISTAKE, ORPHAN, LOST = 1, 2, 3, 4


@dataclass(frozen=True)
class Assignment:
    """What a worker is to do: a part of `candidate.build`.

    Attributes:
        config: as JSON values.
        shards: folder of the artefact.
        month, key: of the model.
        folder, run: of the writer of the model's artefact.
    """

    config: dict[str, Any]
    shards: str
    month: str
    key: str
    folder: str
    run: str

    @staticmethod
    def of(config: Config, shards: Artefact, month: str, key: str, writer: ArtefactWriter) -> "Assignment":
        """To train on the shards and write with the writer.

        A relative folder is meant from where the job was started, and workers run elsewhere.
        """
        places = {name: str(Path(place).resolve()) for name, place in config.storage.model_dump().items()}
        placed = config.model_copy(update={"storage": config.storage.model_copy(update=places)})
        return Assignment(
            placed.model_dump(mode="json", by_alias=True), str(shards.folder.resolve()), month, key,
            str(writer.folder.resolve()), writer.run,
        )  # fmt: skip

    def line(self) -> str:
        """As the worker reads it."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes:
        error: a user's mistake, as a sentence; empty if there was none.
        files: of the model, name -> path within the writer's folder; of the chief.
        facts: of the model; of the chief.
    """

    error: str
    files: dict[str, str]
    facts: dict[str, Any]

    def write(self, file: Path) -> None:
        """To be read when the process has ended."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def read(file: Path) -> "Outcome | None":
        """None where the process ended before it had one."""
        try:
            return Outcome(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def main() -> int:
    """Read the assignment, do it, say what became of it; the exit status."""
    assignment = Assignment(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_task, daemon=True).start()
    # For an operator who wants to see where a worker is.
    faulthandler.register(signal.SIGUSR1)
    try:
        outcome = _work(assignment)
    except cluster.PeerLostError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201
        return LOST
    except UserError as error:
        outcome = Outcome(str(error), {}, {})
    outcome.write(Path(sys.argv[1]))
    return MISTAKE if outcome.error else 0


def _work(assignment: Assignment) -> Outcome:
    place = cluster.of_environment()
    start_logging(quiet=not place.chief)
    # Here, after the thread that ends this process has been started: TensorFlow takes seconds to load.
    from lib.training import candidate

    writer = ArtefactWriter(Path(assignment.folder))
    writer.run = assignment.run
    config = Config.model_validate(assignment.config)
    inputs = candidate.Inputs.of_shards(config, artefacts.load(Path(assignment.shards)))
    candidate.build(writer, config, inputs, assignment.month, assignment.key, place)
    files = {name: path.relative_to(writer.folder).as_posix() for name, path in writer.files.items()}
    return Outcome("", files, writer.facts)


def _end_with_task() -> None:
    """Standard input ends when the task does, however it does."""
    # Not through Python's own buffer, whose lock a process that ends could not take.
    while os.read(sys.stdin.fileno(), 1 << 16):
        pass
    os._exit(ORPHAN)


if __name__ == "__main__":
    # Not by returning: TensorFlow's own end waits for peers that may be gone.
    ended = DEFECT
    try:
        ended = main()
    except Exception:  # noqa: BLE001 (its traceback is printed; what matters is how the process ends)
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)
