"""A trial's report of each epoch to the study's storage, and what it hears: go on, or end."""

import time
from typing import Any

import optuna
from numpy.typing import NDArray
from optuna.storages import GrpcStorageProxy

from lib.config.tune import Pruner
from lib.errors import UserError
from lib.studies import choices
from lib.studies.trial import Outcome, Report
from lib.training.history import Epoch


class Reporting:
    """Told of a training's epochs.

    Args:
        report: where to; None: nobody asks.

    Attributes:
        epochs: so far.
    """

    def __init__(self, report: Report | None) -> None:
        self.report = report
        self.epochs: list[Epoch] = []
        self._began = self._ended = 0.0
        self._trial = None if report is None else _trial(report)

    def steps(self, first: int, losses: NDArray[Any]) -> None:
        """Nobody asks for steps."""

    def epoch(self, epoch: Epoch) -> None:
        """Report the epoch.

        Raises:
            UserError: it has not been validated.
            optuna.TrialPruned: the trial is not to go on.
        """
        if epoch.score is None:
            raise UserError("the shards have no validation rows, and a search goes by the accuracy on them")
        if epoch.number == 1:
            # A restart, of which the last counts.
            self.epochs.clear()
            self._began = time.monotonic() - epoch.seconds
        self.epochs.append(epoch)
        self._ended = time.monotonic()
        if self._trial is None or self.report is None:
            return
        self._trial.report(epoch.score, epoch.number)
        if epoch.number < self.report.epochs and self._trial.should_prune():
            raise optuna.TrialPruned

    def outcome(self, *, pruned: bool, parameters: int = 0, right: tuple[bool, ...] = ()) -> Outcome:
        """What the epochs came to.

        Args:
            parameters, right: as in `Outcome`.
        """
        best = max(self.epochs, key=lambda epoch: (epoch.score or 0.0, -epoch.number))
        rows, training = sum(epoch.rows for epoch in self.epochs), sum(epoch.seconds for epoch in self.epochs)
        return Outcome(
            "pruned" if pruned else "complete",
            score=best.score,
            epochs=len(self.epochs),
            best_epoch=best.number,
            parameters=parameters,
            rows_per_second=round(rows / training, 1) if training else 0.0,
            seconds=round(self._ended - self._began, 3),
            right=right,
        )


def _trial(report: Report) -> optuna.Trial:
    """The trial as its study's storage has it; its values have been chosen by the driver."""
    study = optuna.load_study(
        study_name=report.study,
        storage=GrpcStorageProxy(host=report.host, port=report.port),
        sampler=optuna.samplers.RandomSampler(),
        pruner=choices.pruner(Pruner(**report.pruner), report.longest),
    )
    return optuna.Trial(study, report.trial)
