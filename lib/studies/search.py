"""A search over a space of configurations: trials side by side on a Spark cluster, chosen by what earlier ones showed.

The driver asks Optuna for each next point, has a Spark task train it, and tells Optuna what came of it; the trial
itself reports its epochs through the storage's proxy, and hears when to end. A run that is killed has left trials
running for ever: the next run marks them failed and tries their points again.
"""

import hashlib
import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from pyspark.sql import SparkSession

from lib.config import Config
from lib.config.tune import TuneSettings
from lib.errors import UserError
from lib.studies import choices, space, trial_task
from lib.studies.search_storage import Memory
from lib.studies.trial import Assignment, Outcome, Report

LOG = logging.getLogger(__name__)
# Attributes of a study: what it searches; of a trial: why it failed, which trial it tries again, whose it was before.
SEARCHED, REASON, RETRIES, FROM = "searched", "reason", "retries", "from"
INTERRUPTED = "its run was killed"
# A point at whose trial the run was killed so often is not tried again: it may be what kills it.
MOST_RETRIES = 3
NUMBERS = re.compile(r"\d[\d.,e+-]*")

Point = dict[str, Any]
Told = Callable[[FrozenTrial], None]


@dataclass
class Search:
    """One run of a study.

    Attributes:
        spark: places the trials.
        settings, overrides: what is searched.
        memory: the study's.
        name: of the study.
        address: where the storage's proxy is.
        shards: what a configuration learns from.
        told: hears of every trial that has ended.
    """

    spark: SparkSession
    settings: TuneSettings
    overrides: list[str]
    memory: Memory
    name: str
    address: tuple[str, int]
    shards: space.ShardsOf
    told: Told
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _making: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        self.group = f"catmatch-{self.name}"
        self.epochs = space.changed(self.settings, {}, self.overrides).train.epochs
        with self.memory.in_use():
            self.study = optuna.create_study(
                study_name=self.name,
                storage=self.memory.storage,
                pruner=choices.pruner(self.settings.pruner, self.epochs),
                direction="maximize",
                load_if_exists=True,
            )
            # By the trials so far, too: a run that goes on would draw the first run's numbers over again.
            begun = len(self.study.get_trials(deepcopy=False))
            self.study.sampler = choices.sampler(self.settings.sampler, self.settings.seed + begun)

    def run(self) -> None:
        """Go on until the budget is spent.

        Raises:
            UserError: the study searches something else, its storage is gone, or no trial came to an end.
        """
        with self.memory.in_use():
            self._check_same()
            self._take_up()
            hours = self.settings.budget.hours
            self.deadline = float("inf") if hours is None else time.monotonic() + 3600 * hours
            self.in_slots([self._slot] * self.settings.parallel)
            self._check_some_ended()

    def in_slots(self, works: Sequence[Callable[[], None]]) -> None:
        """Do the works, so many at once as trials; the first that raises ends all."""
        self._stopped.clear()
        with ThreadPoolExecutor(self.settings.parallel) as pool:
            done = [pool.submit(self._guarded, work) for work in works]
        for one in done:
            one.result()

    def _guarded(self, work: Callable[[], None]) -> None:
        if self._stopped.is_set():
            return
        try:
            work()
        except BaseException:
            self._stopped.set()
            self.spark.sparkContext.cancelJobGroup(self.group)
            raise

    def trained(self, config: Config, report: Report | None = None, split: str | None = None) -> Outcome:
        """One training as a Spark task; nothing that becomes of it raises."""
        try:
            with self._making:
                shards = self.shards(config)
        except UserError as error:
            return Outcome.failed(str(error))
        assignment = Assignment(
            config.model_dump(mode="json", by_alias=True),
            str(shards.folder.resolve()),
            self.settings.cores,
            self.settings.memory_gib,
            report,
            split,
        )
        context = self.spark.sparkContext
        context.setJobGroup(self.group, "training of a trial", interruptOnCancel=True)
        try:
            lines = context.parallelize([0], 1).mapPartitions(partial(trial_task.train, assignment.line())).collect()
        except Exception as error:  # noqa: BLE001 (whatever Spark ends with, the next trial may do better)
            return Outcome.failed(f"Spark lost its task: {str(error).strip().splitlines()[0]}")
        return Outcome.of_line(lines[0])

    def _slot(self) -> None:
        """One trial after the other."""
        while (asked := self._next()) is not None:
            trial, point = asked
            started = time.monotonic()
            outcome = self._tried(trial, point)
            if self._stopped.is_set():
                return
            self._tell(trial, outcome, time.monotonic() - started)

    def _next(self) -> tuple[optuna.Trial, Point] | None:
        with self._lock:
            self.memory.check()
            spent = self.settings.budget.trials is not None and self._counted() >= self.settings.budget.trials
            if spent or self._stopped.is_set() or time.monotonic() >= self.deadline:
                return None
            trial = self.study.ask()
            point = space.draw(trial, self.settings.space)
            trial.set_user_attr("seed", self.settings.seed)
            return trial, point

    def _counted(self) -> int:
        """Trials that the budget counts: begun, and not cut off by a kill."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(one.state != TrialState.WAITING and not interrupted(one) for one in trials)

    def _tried(self, trial: optuna.Trial, point: Point) -> Outcome:
        try:
            config = space.of_a_trial(space.changed(self.settings, point, self.overrides), self.settings.seed)
        except UserError as error:
            return Outcome.failed(str(error))
        pruner = self.settings.pruner.model_dump(mode="json")
        return self.trained(config, Report(*self.address, self.name, trial._trial_id, pruner, config.train.epochs))

    def _tell(self, trial: optuna.Trial, outcome: Outcome, wall: float) -> None:
        with self._lock:
            self.memory.check()
            kept = {
                "epochs": outcome.epochs,
                "best_epoch": outcome.best_epoch,
                "parameters": outcome.parameters,
                "rows_per_second": outcome.rows_per_second,
                "seconds": outcome.seconds,
                "overhead": round(wall - outcome.seconds, 3),
                REASON: outcome.reason,
            }
            for name, value in kept.items():
                trial.set_user_attr(name, value)
            state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
            score = outcome.score if outcome.state == "complete" else None
            ended = self.study.tell(trial, score, state[outcome.state])
            self._say(ended, outcome)
            self.told(ended)

    def _say(self, trial: FrozenTrial, outcome: Outcome) -> None:
        of = f" of {self.settings.budget.trials}" if self.settings.budget.trials else ""
        best = best_trials(self.study.get_trials(deepcopy=False), 1)
        if outcome.state == "failed":
            said = f"failed: {outcome.reason}"
        else:
            after = "pruned after" if outcome.state == "pruned" else "in"
            said = f"validation accuracy {outcome.score:.4f} {after} {outcome.epochs} epochs, {outcome.seconds:.0f} s"
        known = f"; best {best[0].value:.4f}, trial {best[0].number}" if best else ""
        LOG.info("trial %d (%d%s): %s%s", trial.number, self._counted(), of, said, known)

    def _check_same(self) -> None:
        """A study is of one space over one configuration: what it has learnt is of no use for another."""
        base = space.changed(self.settings, {}, self.overrides).model_dump(mode="json", exclude={"storage", "spark"})
        searched = {"space": self.settings.model_dump(mode="json")["space"], "base": base}
        found = hashlib.sha256(json.dumps(searched, sort_keys=True).encode()).hexdigest()
        if self.study.user_attrs.setdefault(SEARCHED, found) != found:
            raise UserError(
                f"study {self.name} was begun with another space or base configuration; give the tuning file another "
                "name, or put back what was changed"
            )
        self.study.set_user_attr(SEARCHED, found)

    def _take_up(self) -> None:
        """Try again what a killed run was at."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.memory.storage.set_trial_user_attr(trial._trial_id, REASON, INTERRUPTED)
            self.study.tell(trial.number, state=TrialState.FAIL)
            tried = int(trial.user_attrs.get("attempt", 1))
            if tried > MOST_RETRIES:
                LOG.warning("trial %d: its run was killed %d times at this point; it is not tried again",
                            trial.number, tried)  # fmt: skip
                continue
            LOG.info("the run was killed in trial %d; its values are tried again", trial.number)
            self.study.enqueue_trial(trial.params, user_attrs={RETRIES: trial.number, "attempt": tried + 1})

    def begin_with(self, points: Sequence[Mapping[str, Any]], whose: str) -> None:
        """Try these first, if nothing has been tried yet.

        Args:
            points: of another space, perhaps; of each, what this one has too is kept.
            whose: study that they are from.
        """
        if self.study.get_trials(deepcopy=False):
            return
        for point in points:
            if kept := space.within(point, self.settings.space):
                self.study.enqueue_trial(kept, user_attrs={FROM: whose})

    def _check_some_ended(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        if best_trials(trials, 1):
            return
        if found := commonest_reason(trials):
            words, count = found
            raise UserError(
                f"all {self._counted()} trials of study {self.name} failed; the commonest reason, of {count} of them: "
                f"{words}"
            )
        raise UserError(f"no trial of study {self.name} has ended within its budget; give it more hours or trials")


def interrupted(trial: FrozenTrial) -> bool:
    """Whether a kill has cut the trial off."""
    return bool(trial.user_attrs.get(REASON) == INTERRUPTED)


def best_trials(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """The best that were trained to their end, best first; of equals the earliest."""
    complete = [one for one in trials if one.state == TrialState.COMPLETE and one.value is not None]
    return sorted(complete, key=lambda one: (-(one.value or 0.0), one.number))[:count]


def commonest_reason(trials: Sequence[FrozenTrial]) -> tuple[str, int] | None:
    """Why most trials failed, by one of them, and how many; reasons that differ in numbers only are the same."""
    reasons = [
        str(one.user_attrs.get(REASON, "")) for one in trials if one.state == TrialState.FAIL and not interrupted(one)
    ]
    if not reasons:
        return None
    kind, count = Counter(NUMBERS.sub("#", reason) for reason in reasons).most_common(1)[0]
    return next(reason for reason in reasons if NUMBERS.sub("#", reason) == kind), count
