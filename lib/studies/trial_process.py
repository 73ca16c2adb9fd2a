"""A process that trains one trial after the other: TensorFlow is loaded once, and a crash ends one trial alone.

Each line on standard input is a trial; each gets a line on the file descriptor that the command names, as standard
output is whoever's who writes to it. The command names a folder for temporary files, too. When standard input ends, the
Spark task has: so does the process.
"""

import gc
import os
import queue
import resource
import shutil
import sys
import tempfile
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib import artefact as artefacts
from lib.command import start_logging
from lib.config import Config
from lib.errors import UserError
from lib.studies import cores
from lib.studies.trial import Assignment, Outcome

# Exit statuses: a defect; its task is gone.
DEFECT, ORPHAN = 1, 3
GIB = 1 << 30


def main() -> None:
    """Train what comes, to the end of standard input."""
    start_logging(quiet=True)
    trials: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(trials,), daemon=True).start()
    held: list[Any] | None = None
    with os.fdopen(int(sys.argv[1]), "w") as told:
        while True:
            assignment = Assignment.of_line(trials.get())
            held = _hold(assignment) if held is None else held
            told.write(_outcome(assignment).line())
            told.flush()


def _read(trials: "queue.SimpleQueue[str]") -> None:
    """Standard input ends when the task does, however it does, also in the middle of a training."""
    for line in sys.stdin:
        trials.put(line)
    # Nobody else does: Spark's Python workers end without a word.
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    os._exit(ORPHAN)


def _hold(assignment: Assignment) -> list[Any]:
    """Hold the process to the trials' cores and memory, before TensorFlow starts its threads; what keeps the cores."""
    held = cores.take(assignment.cores)
    os.environ["TMPDIR"] = tempfile.tempdir = sys.argv[2]
    limit = int(assignment.memory_gib * GIB)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    os.environ["OMP_NUM_THREADS"] = str(assignment.cores)
    import pyarrow as pa
    import tensorflow as tf

    pa.set_cpu_count(assignment.cores)
    tf.config.threading.set_intra_op_parallelism_threads(assignment.cores)
    tf.config.threading.set_inter_op_parallelism_threads(assignment.cores)
    return list(held)


def _outcome(assignment: Assignment) -> Outcome:
    """What became of a trial."""
    import tensorflow as tf

    try:
        return _train(assignment)
    except UserError as error:
        return Outcome.failed(str(error))
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return Outcome.failed(f"out of memory: it needs more than {assignment.memory_gib:g} GiB (memory_gib)")
    except Exception as error:  # noqa: BLE001 (a trial that fails is told, and is not the end of a study)
        traceback.print_exc()
        return Outcome.failed(f"{type(error).__name__}: {error}")


def _train(assignment: Assignment) -> Outcome:
    """One network on the shards, with the feed and the loop of every training.

    Raises:
        UserError: as training does.
    """
    import keras
    import optuna

    from lib.studies.reporting import Reporting
    from lib.training import candidate, members
    from lib.training.loop import sample_logits

    # What earlier trials have left.
    keras.backend.clear_session()
    gc.collect()
    config = Config.model_validate(assignment.config)
    inputs = candidate.Inputs.of_shards(config, artefacts.load(Path(assignment.shards)))
    reporting = Reporting(assignment.report)
    work = replace(candidate.work_without_a_model(config, inputs), told=(reporting,))
    try:
        fitted = members.fit(work, config.train.seed)
    except optuna.TrialPruned:
        return reporting.outcome(pruned=True)
    right: tuple[bool, ...] = ()
    if assignment.split is not None:
        feed = work.feed(config.train.seed).whole()
        logits, labels = sample_logits(fitted.model, feed, assignment.split, feed.rows(assignment.split))
        right = tuple((logits.argmax(axis=1) == labels).tolist())
    parameters = int(fitted.model.count_params())
    return reporting.outcome(pruned=False, parameters=parameters, right=right)


if __name__ == "__main__":
    try:
        main()
    except Exception:  # noqa: BLE001 (its traceback is printed; what matters is how the process ends)
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(DEFECT)
