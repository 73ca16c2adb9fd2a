"""What a trial is told and what it tells: plain values, which go from the driver through a Spark task to a process."""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

# What would move the cursor of the operator's terminal, or make one line look like two.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
LONGEST_REASON = 300


@dataclass(frozen=True)
class Report:
    """Where a trial reports each epoch, and hears whether it is to go on.

    Attributes:
        host, port: of the storage's proxy.
        study: its name there.
        trial: the trial's id there.
        pruner: settings of lib/config/tune.py.
        longest: epochs of the base's training, by which the pruner counts.
        epochs: of this trial, if nobody ends it.
    """

    host: str
    port: int
    study: str
    trial: int
    pruner: dict[str, Any]
    longest: int
    epochs: int


@dataclass(frozen=True)
class Assignment:
    """One training.

    Attributes:
        config: the whole configuration, as JSON values.
        shards: folder of the artefact.
        cores, memory_gib: what the training is held to.
        report: None: it is nobody's trial and trains to its end.
        split: whose rows it answers in the end; None: of none.
    """

    config: dict[str, Any]
    shards: str
    cores: int
    memory_gib: float
    report: Report | None = None
    split: str | None = None

    def line(self) -> str:
        """As the process reads it."""
        return json.dumps(asdict(self)) + "\n"

    @staticmethod
    def of_line(line: str) -> "Assignment":
        """From what `line` made."""
        given = json.loads(line)
        report = given.pop("report")
        return Assignment(**given, report=None if report is None else Report(**report))


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes:
        state: pruned: it was told not to go on.
        score: the best epoch's validation accuracy; None where it failed.
        epochs, best_epoch: trained; which of them was best.
        parameters: of the network.
        rows_per_second: while training.
        seconds: from the first epoch's beginning to the last one's end, validation in between included.
        reason: why it failed; empty where it did not.
        right: of each row of the split, in the shards' order, whether it was answered rightly; empty without a split.
    """

    state: Literal["complete", "pruned", "failed"]
    score: float | None = None
    epochs: int = 0
    best_epoch: int = 0
    parameters: int = 0
    rows_per_second: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    right: tuple[bool, ...] = ()

    def line(self) -> str:
        """As the task reads it."""
        return json.dumps(asdict(self)) + "\n"

    @staticmethod
    def of_line(line: str) -> "Outcome":
        """From what `line` made."""
        given = json.loads(line)
        return Outcome(**{**given, "right": tuple(given["right"])})

    @staticmethod
    def failed(reason: str) -> "Outcome":
        """For a reason, of which the beginning is kept, as one line."""
        return Outcome("failed", reason=CONTROL.sub(" ", reason).strip()[:LONGEST_REASON])
