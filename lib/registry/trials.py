"""Trials of a search as MLflow runs, beside those of the trainings."""

from collections.abc import Mapping

from mlflow.entities import Metric, Param, RunTag

from lib.registry.versions import LONGEST_PARAMETER, client_of, experiment

# MLflow refuses more in one call.
MOST_METRICS = 1000


def log_trial(
    state: str, study: str, number: int, ended: str, params: Mapping[str, object], epochs: Mapping[int, float],
    figures: Mapping[str, float],
) -> None:  # fmt: skip
    """Add the run of a trial that has ended.

    Args:
        state: `registry.uri`, or `storage.state`.
        study: whose runs share an experiment.
        ended: 'COMPLETE', 'PRUNED' or 'FAIL'.
        epochs: validation accuracy after each.
        figures: of the whole trial.
    """
    client = client_of(state)
    run = client.create_run(experiment(client, f"catmatch tune {study}"), run_name=f"trial {number}").info.run_id
    metrics = [Metric("validation_accuracy", score, 0, epoch) for epoch, score in epochs.items()]
    metrics += [Metric(name, float(value), 0, 0) for name, value in figures.items()]
    values = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in params.items()]
    client.log_batch(run, params=values, tags=[RunTag("trial_state", ended)])
    for first in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run, metrics=metrics[first : first + MOST_METRICS])
    client.set_terminated(run, status="FAILED" if ended == "FAIL" else "FINISHED")
