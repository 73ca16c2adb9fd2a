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
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
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
        trials: the base configuration as trials have it: with the tables and artefacts that they learn from.
        memory: the study's.
        name: of the study.
        address: where the storage's proxy is.
        shards: what a configuration learns from.
        told: hears of every trial that has ended.
    """

    spark: SparkSession
    settings: TuneSettings
    overrides: list[str]
    trials: Config
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
        with self.memory.in_use():
            self.study = optuna.create_study(
                study_name=self.name,
                storage=self.memory.storage,
                pruner=choices.pruner(self.settings.pruner, self.trials.train.epochs),
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
            done = [pool.submit(self._unless_stopped, work) for work in works]
            try:
                for one in as_completed(done):
                    one.result()
            except BaseException:
                # Also when the operator ends the run: the lock is not to be free while trials go on.
                self._stopped.set()
                if not self._spark_has_ended():
                    self.spark.sparkContext.cancelJobGroup(self.group)
                raise

    def _unless_stopped(self, work: Callable[[], None]) -> None:
        if self._stopped.is_set():
            return
        try:
            work()
        except BaseException:
            # At once, before this slot takes another.
            self._stopped.set()
            raise

    def _spark_has_ended(self) -> bool:
        context: Any = self.spark.sparkContext._jsc
        return context is None or bool(context.sc().isStopped())

    def config(self, point: Point, seed: int) -> Config:
        """The configuration of a trial at a point.

        Raises:
            UserError: the base configuration refuses a value.
        """
        return self._placed(space.changed(self.settings, point, self.overrides), seed)

    def default(self, seed: int) -> Config:
        """The configuration that a trial of the base configuration's own model has."""
        return self._placed(space.default(self.settings, self.overrides), seed)

    def _placed(self, config: Config, seed: int) -> Config:
        # Executors run elsewhere than where a relative folder is meant from.
        folders = {name: str(Path(place).resolve()) for name, place in self.trials.storage.model_dump().items()}
        storage = self.trials.storage.model_copy(update=folders)
        trial = space.of_a_trial(config, seed)
        return trial.model_copy(update={"storage": storage, "registry": self.trials.registry})

    def trained(self, config: Config, report: Report | None = None, split: str | None = None) -> Outcome:
        """One training as a Spark task; what becomes of it does not raise.

        Raises:
            UserError: Spark itself has ended.
        """
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
            if self._spark_has_ended():
                raise UserError(
                    f"Spark has ended in the middle of study {self.name}; run again: the trials that were under way "
                    "are tried again"
                ) from None
            java = getattr(error, "java_exception", None)
            return Outcome.failed(f"Spark lost its task: {java.getMessage() if java is not None else error}")
        return Outcome.of_line(lines[0])

    def _slot(self) -> None:
        """One trial after the other."""
        started = time.monotonic()
        while (asked := self._next()) is not None:
            trial, point = asked
            outcome = self._tried(trial, point)
            if self._stopped.is_set():
                return
            self._tell(trial, outcome, time.monotonic() - started)
            started = time.monotonic()

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
            config = self.config(point, self.settings.seed)
        except UserError as error:
            return Outcome.failed(str(error))
        pruner = self.settings.pruner.model_dump(mode="json")
        longest = self.trials.train.epochs
        report = Report(*self.address, self.name, trial._trial_id, pruner, longest, config.train.epochs)
        return self.trained(config, report)

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
        base, default = self.config({}, self.settings.seed), self.default(self.settings.seed)
        searched = {
            "space": self.settings.model_dump(mode="json")["space"],
            "base": base.model_dump(mode="json", include=set(space.OF_TRAINING)),
            "default": default.model_dump(mode="json", include=set(space.OF_TRAINING)),
            "shards": self.shards(base).content,
        }
        found = hashlib.sha256(json.dumps(searched, sort_keys=True).encode()).hexdigest()
        if self.study.user_attrs.setdefault(SEARCHED, found) != found:
            raise UserError(
                f"study {self.name} was begun with another space, base configuration or shards; give the tuning file "
                "another name, or put back what was changed"
            )
        self.study.set_user_attr(SEARCHED, found)

    def _take_up(self) -> None:
        """Try again what a killed run was at."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            tried = int(trial.user_attrs.get("attempt", 1))
            # What it was to try, where the kill came before all was drawn.
            point = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            if tried <= MOST_RETRIES:
                LOG.info("the run was killed in trial %d; its values are tried again", trial.number)
                kept = {name: value for name, value in trial.user_attrs.items() if name == FROM}
                self.study.enqueue_trial(point, user_attrs={**kept, RETRIES: trial.number, "attempt": tried + 1})
            else:
                LOG.warning("trial %d: its run was killed %d times at this point; it is not tried again",
                            trial.number, tried)  # fmt: skip
            # Last, so that a kill in between loses no point.
            self.memory.storage.set_trial_user_attr(trial._trial_id, REASON, INTERRUPTED)
            self.study.tell(trial.number, state=TrialState.FAIL)

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


def scored(trials: Sequence[FrozenTrial], state: TrialState) -> list[FrozenTrial]:
    """The trials of a state that have a value."""
    return [one for one in trials if one.state == state and one.value is not None]


def best_trials(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """The best that were trained to their end, best first; of equals the earliest."""
    return sorted(scored(trials, TrialState.COMPLETE), key=lambda one: (-(one.value or 0.0), one.number))[:count]


def commonest_reason(trials: Sequence[FrozenTrial]) -> tuple[str, int] | None:
    """Why most trials failed, by one of them, and how many; reasons that differ in numbers only are the same."""
    reasons = [
        str(one.user_attrs.get(REASON, "")) for one in trials if one.state == TrialState.FAIL and not interrupted(one)
    ]
    if not reasons:
        return None
    kind, count = Counter(NUMBERS.sub("#", reason) for reason in reasons).most_common(1)[0]
    return next(reason for reason in reasons if NUMBERS.sub("#", reason) == kind), count
