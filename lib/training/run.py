"""Epochs over one split, from the newest checkpoint if there is one, to the end: the training loop.

The project's own, since `model.fit` fails under MultiWorkerMirroredStrategy in Keras 3, cannot update tables by rows
and forgets where in an epoch it was. A run that is killed and begun again takes the very steps it would have taken.
"""

import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lib.errors import UserError
from lib.model.architecture import MAIN_HEAD
from lib.training import agreement, state
from lib.training.checkpoint import Checkpoint, CheckpointFolder
from lib.training.feed import VALIDATION, Epochs, Feed
from lib.training.history import Epoch, Listener, Measured, measured
from lib.training.noisy_labels import UNKNOWN_RATE, estimated_rate
from lib.training.progress import TrainingProgress, figures
from lib.training.start import Training
from lib.training.step import MEASURED, TRAINED, AnyBatch, inputs_of
from lib.training.stopping import BestWeights

LOG = logging.getLogger(__name__)
# Sums of steps are fetched together: on a GPU each fetch waits for the device.
FETCH_STEPS = 16


@dataclass(frozen=True)
class Saving:
    """Where a run keeps its checkpoints, and when. Every worker reads them, the chief alone writes.

    Attributes:
        folder: of this run alone.
        seconds: between two of them, and between two of an epoch's edge; at the end of a run there is always one.
    """

    folder: CheckpointFolder
    seconds: float


@dataclass
class Pass:
    """The epoch under way.

    Attributes:
        number: of the epoch, from 1.
        batches: taken so far.
        pending: results of the last steps, still on the device.
        sums: of all steps fetched, the columns of TRAINED.
        waited, seconds: for batches, and at all; up to `started`.
    """

    number: int
    batches: int = 0
    pending: list[Any] = field(default_factory=list)
    sums: NDArray[Any] = field(default_factory=lambda: np.zeros(len(TRAINED)))
    waited: float = 0.0
    before: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def loss(self) -> float:
        """Weighted mean."""
        return float(self.sums[0] / self.sums[1]) if self.sums[1] else 0.0

    @property
    def accuracy(self) -> float:
        """Weighted share of rows that the main head labels rightly."""
        return float(self.sums[2] / self.sums[1]) if self.sums[1] else 0.0

    @property
    def seconds(self) -> float:
        """Spent on the epoch, by this run and those that were killed."""
        return self.before + time.perf_counter() - self.started

    @property
    def said(self) -> str:
        """The figures so far."""
        seconds = self.seconds
        return figures(self.loss, self.accuracy, self.sums[3] / seconds, self.waited / seconds)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "number": self.number, "batches": self.batches, "sums": self.sums.tolist(), "waited": self.waited,
            "seconds": self.seconds,
        }  # fmt: skip

    @staticmethod
    def of_facts(facts: Mapping[str, Any]) -> "Pass":
        """The epoch where a checkpoint left it."""
        return Pass(
            facts["number"], facts["batches"], sums=np.array(facts["sums"]), waited=facts["waited"],
            before=facts["seconds"],
        )  # fmt: skip


class Run:
    """One fit.

    Args:
        training: fresh from `start`.
        split: what is trained on.
        epochs: how many, at most.
        label: its name in the progress.
        best: keeps the best epoch's weights by validation; None: no validation.
        saving: where checkpoints are kept; None for none.
    """

    def __init__(
        self, training: Training, feed: Feed, split: str, epochs: int, label: str, *, best: BestWeights | None,
        listeners: Sequence[Listener], saving: Saving | None,
    ) -> None:  # fmt: skip
        self.training, self.feed, self.split, self.epochs, self.label = training, feed, split, epochs, label
        self.best, self.listeners, self.saving = best, listeners, saving
        # What this worker writes to: all read checkpoints, the chief alone makes them.
        self.written = saving if training.cluster.chief else None
        self.read = Epochs(feed, split, epochs)
        self.history: list[Epoch] = []
        self.under_way = Pass(1)
        self.saved = self.saved_edge = time.monotonic()

    def complete(self) -> list[Epoch]:
        """Train to the end; the model ends with the weights that are to be used.

        Raises:
            UserError: there are no training rows, the loss is no number any more, or a checkpoint cannot be written.
        """
        if self._resume():
            return self.history
        done = sum(epoch.rows for epoch in self.history) + int(self.under_way.sums[3])
        with TrainingProgress(self.feed.rows(self.split) * self.epochs, self.label, done) as progress:
            while not self.ended:
                self._epoch(progress)
        if self.best is not None:
            self.best.restore(self.training.model)
        else:
            self.training.bring_together()
            self._swap()
        self._save_finished()
        return self.history

    @property
    def ended(self) -> bool:
        """Whether no epoch is to follow."""
        if self.best is not None and self.best.exhausted:
            LOG.info("no better epoch since epoch %d; training ends early", self.best.epoch)
            return True
        return len(self.history) >= self.epochs

    def _epoch(self, progress: TrainingProgress) -> None:
        """One pass, or what is left of it; then validation (of the averaged weights, if there are)."""
        self.training.labels.begin(self.under_way.number)
        self._train_pass(progress)
        seconds = self.under_way.seconds
        validation = None
        if self.best is not None:
            self.training.bring_together()
            self._swap()
            if self.feed.rows(VALIDATION):
                validation = measure(self.training, self.feed, VALIDATION)
            self._estimate_noise()
        epoch = self._record(seconds, validation)
        if self.best is not None:
            # Without validation rows the last epoch is the best that is known.
            score = float(epoch.number) if epoch.score is None else epoch.score
            self.best.offer(self.training.model, epoch.number, score)
            self._swap()
        self.history.append(epoch)
        self.under_way = Pass(epoch.number + 1)
        LOG.info("%s", epoch.sentence())
        for listener in self.listeners:
            listener.epoch(epoch)
        self._save_if_due()

    def _estimate_noise(self) -> None:
        labels, rows = self.training.labels, self.training.settings.temperature_rows
        if labels.wants_rate(self.under_way.number):
            if not self.feed.rows(VALIDATION):
                raise UserError(f"there are no validation rows, {UNKNOWN_RATE}")
            rate = estimated_rate(*sample_logits(self.training.model, self.feed.whole(), VALIDATION, rows))
            LOG.info("%.1f %% of the labels seem to be wrong", 100 * rate)
            labels.take_rate(rate)

    def _swap(self) -> None:
        if self.training.average is not None:
            self.training.average.swap()

    def _train_pass(self, progress: TrainingProgress) -> None:
        training, run = self.training, self.under_way
        batches = self.read.batches(run.number, run.batches)
        for number in itertools.count(run.batches + 1):
            asked = time.perf_counter()
            batch = next(batches, None)
            run.waited += time.perf_counter() - asked
            if batch is None:
                break
            run.pending.append(training.steps.train(batch))
            run.batches = number
            training.done += 1
            training.watchdog.step()
            if training.average is not None:
                training.average.after_step(training.done)
            if number % FETCH_STEPS == 0:
                self._fetch(progress)
                self._save_if_due()
        self._fetch(progress)
        self._check_rows()

    def _check_rows(self) -> None:
        """Rows in are rows trained on, each once."""
        run = self.under_way
        if not run.sums[3]:
            raise UserError(f"split {self.split} has no rows to train on; check the shards stage of this month")
        if not run.sums[1]:
            raise UserError(f"no row of split {self.split} has a weight above 0; check the categories of this month")
        if run.sums[3] != self.feed.rows(self.split):
            raise UserError(
                f"epoch {run.number} trained on {run.sums[3]:.0f} rows of {self.split}, which has "
                f"{self.feed.rows(self.split)}: the shards or the checkpoint were changed meanwhile; run this stage "
                "again with --force"
            )

    def _fetch(self, progress: TrainingProgress) -> None:
        """Bring the pending sums to the host and show them."""
        run = self.under_way
        if not run.pending:
            return
        fetched = np.stack([sums.numpy() for sums in run.pending])
        first = self.training.done - len(fetched) + 1
        broken = ~np.isfinite(fetched[:, 0])
        if broken.any():
            number = int(np.argmax(broken))
            raise UserError(
                f"the loss became {fetched[number, 0]} at step {first + number} (epoch {run.number}, batch "
                f"{run.batches - len(fetched) + 1 + number}); lower train.learning_rate (now "
                f"{self.training.settings.learning_rate:g}) or set train.clip_norm"
            )
        run.pending.clear()
        run.sums += fetched.sum(axis=0)
        progress.advance(int(fetched[:, 3].sum()), run.said)
        for listener in self.listeners:
            listener.steps(first, fetched[:, 0] / np.maximum(fetched[:, 1], 1e-12))

    def _record(self, seconds: float, validation: Measured | None) -> Epoch:
        run = self.under_way
        return Epoch(
            number=run.number,
            loss=run.loss,
            accuracy=run.accuracy,
            rows=int(run.sums[3]),
            seconds=round(seconds, 3),
            input_wait=run.waited / seconds,
            learning_rate=self.training.learning_rate,
            validation=validation,
            refurbished=int(run.sums[TRAINED.index("refurbished")]),
            left_out=int(run.sums[TRAINED.index("left_out")]),
        )

    def _save_if_due(self) -> None:
        """Save when the chief's clock says so: before, all workers bring their tables together."""
        if self.saving is None:
            return
        edge = self.under_way.batches == 0
        last = self.saved_edge if edge else self.saved
        due = time.monotonic() - last >= self.saving.seconds
        training = self.training
        if not agreement.chief_says(training.steps.strategy, training.cluster, due):
            return
        training.bring_together()
        labels = training.labels.arrays(training.steps.strategy)
        if self.written is None:
            return
        average, best = self.training.average, self.best
        arrays = state.captured(self.training.variables) | labels
        if best is not None:
            arrays |= {f"best/{number:04d}": value for number, value in enumerate(best.weights)}
        facts = {
            "finished": False,
            "workers": self.training.cluster.workers,
            "pass": self.under_way.facts(),
            "history": [epoch.to_json() for epoch in self.history],
            "average_updates": average.updates if average is not None else 0,
            "best": best.facts() if best is not None else None,
            "labels": training.labels.facts(),
        }
        self._save(arrays, facts, edge)

    def _save_finished(self) -> None:
        """The model and its labels: all that is asked of a run that has ended."""
        if self.saving is None:
            return
        labels = self.training.labels
        arrays = labels.arrays(self.training.steps.strategy)
        if self.written is not None:
            history = [epoch.to_json() for epoch in self.history]
            facts = {"finished": True, "history": history, "labels": labels.facts()}
            self._save(state.captured(self._model_variables) | arrays, facts, True)

    def _save(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], edge: bool) -> None:
        assert self.written is not None
        self.written.folder.save(Checkpoint(self.training.done, arrays, facts, edge))
        self.saved = time.monotonic()
        self.saved_edge = self.saved if edge else self.saved_edge

    @property
    def _model_variables(self) -> dict[str, Any]:
        return {name: one for name, one in self.training.variables.items() if name.startswith("model/")}

    def _resume(self) -> bool:
        """Go on from the newest checkpoint, if there is one; True when the run had ended."""
        found = self._found()
        if found is None:
            return False
        assert self.saving is not None
        finished = bool(found.facts["finished"])
        variables = self._model_variables if finished else self.training.variables
        state.restore(variables, found.arrays, self.saving.folder.folder)
        self.history = [Epoch.from_json(record) for record in found.facts["history"]]
        self.training.done = found.step
        self.training.labels.go_on(found.arrays, found.facts["labels"])
        if finished:
            LOG.info("%s ended before, after %d epochs", self.label, len(self.history))
            return True
        state.separate_streams(self.training.steps.strategy, self.training.steps.networks.training)
        self.under_way = Pass.of_facts(found.facts["pass"])
        if self.training.average is not None:
            self.training.average.updates = found.facts["average_updates"]
        if self.best is not None:
            names = sorted(name for name in found.arrays if name.startswith("best/"))
            self.best.go_on(found.facts["best"], [found.arrays[name] for name in names])
        LOG.info(
            "%s goes on after step %d (epoch %d, batch %d)",
            self.label, found.step, self.under_way.number, self.under_way.batches,
        )  # fmt: skip
        return False

    def _found(self) -> Checkpoint | None:
        """The checkpoint that all workers go on from."""
        if self.saving is None:
            return None
        folder, training = self.saving.folder, self.training
        workers = training.cluster.workers
        found = folder.latest()
        others = found is not None and not found.edge and found.facts["workers"] != workers
        if found is not None and others:
            # Another number of workers reads the rows of an epoch in another order, so that some would come twice.
            LOG.warning(
                "%s was in the middle of an epoch with %d workers; now there are %d, so it goes on at the epoch's edge",
                self.label, found.facts["workers"], workers,
            )  # fmt: skip
            found = folder.latest(edge=True)
        step = found.step if found is not None else 0
        agreement.check(training.steps.strategy, training.cluster, {f"checkpoint of {self.label}": f"step {step}"})
        if training.cluster.chief:
            folder.delete_after(step)
        return found


def measure(training: Training, feed: Feed, split: str) -> Measured:
    """The model on a whole split."""
    heads = training.steps.heads
    sums = np.zeros((len(heads), len(MEASURED)))
    for batch in feed.batches(split, 0):
        sums += training.steps.measure(batch).numpy()
        training.watchdog.step()
    return measured(heads, sums)


def sample_logits(model: keras.Model, feed: Feed, split: str, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Main head's logits [n, classes] and labels [n] of the first rows of a split, at most `rows`.

    The split's rows lie in a random order, so these are a random sample of it.
    """
    answer = AnyBatch(lambda batch: model(inputs_of(batch), training=False)[MAIN_HEAD])
    logits, labels, have = [], [], 0
    for batch in feed.batches(split, 0):
        logits.append(answer(batch).numpy())
        labels.append(batch["label"].numpy())
        have += len(labels[-1])
        if have >= rows:
            break
    return np.concatenate(logits)[:rows], np.concatenate(labels)[:rows]
