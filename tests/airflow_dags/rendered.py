"""Run by .venv-airflow's Python: parses the DAGs as Airflow does and prints as JSON what their tasks would start.

.venv-airflow/bin/python tests/airflow_dags/rendered.py
"""

import copy
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pendulum
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

import stages

FOLDER = Path(__file__).resolve().parents[2] / "airflow_dags"
VERDICTS = (("skip", "promoted"), ("skip", "first"), ("skip", "kept"), ("fail", "first"), ("fail", "kept"))
# A section (of a section), a key in it and a value that nobody would look at.
SLIPS = (
    ((), "verdcit", "fail"), ((), "verdict", "Fail"), ((), "left_out", ["crwal"]), ((), "left_out", ["score"]),
    (("spark",), "py_file", "x.zip"), (("stages",), "trian", {}), (("stages", "train"), "timeout_minuts", 1.0),
)  # fmt: skip
PARTITIONS = {"monthly_retraining": "2026-01", "catalogue_scoring": "2026-01-31"}


def command(task: Any, dag: Any) -> dict[str, Any]:
    """What the task's process is started with in a run for January 2026."""
    month = None if dag.dag_id in PARTITIONS else "2026-01"
    task.render_template_fields({"params": {"month": month}, "partition_key": PARTITIONS.get(dag.dag_id)})
    hook = task._get_hook()
    return {"command": hook._build_spark_submit_command(task.application), "environment": task.env_vars}


def described(dag: Any) -> dict[str, Any]:
    """All that the tests look at."""
    tasks = dag.topological_sort()
    return {
        "tasks": [task.task_id for task in tasks],
        "upstream": {task.task_id: sorted(task.upstream_task_ids) for task in tasks},
        "rules": {task.task_id: str(task.trigger_rule) for task in tasks},
        "doc": dag.doc_md,
        "docs": {task.task_id: task.doc_md for task in tasks},
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "retries": {task.task_id: task.retries for task in tasks},
        "timeouts": {
            task.task_id: task.execution_timeout.total_seconds() / 60 for task in tasks if task.execution_timeout
        },
        "partitioned": dag.timetable.__class__.__name__,
        "february": scheduled(dag),
        "commands": {task.task_id: command(task, dag) for task in tasks if isinstance(task, SparkSubmitOperator)},
    }


def scheduled(dag: Any) -> list[str | None]:
    """When the first run from February 2026 on starts, and for which partition; empty without a schedule."""
    began = pendulum.datetime(2026, 2, 1, tz="Asia/Seoul")
    restriction = TimeRestriction(earliest=began, latest=None, catchup=True)
    found = coerce_to_core_timetable(dag.timetable).next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    return [] if found is None else [found.run_after.in_timezone("Asia/Seoul").isoformat(), found.partition_key]


def verdict(configured: str, decision: str | None) -> str:
    """What the task promotion_verdict makes of a decision, or of a manifest that was cut short: the exception that it
    raises, or nothing."""
    with tempfile.TemporaryDirectory() as warehouse:
        manifest = Path(warehouse) / "manifests" / "promote" / "2026-01.json"
        manifest.parent.mkdir(parents=True)
        record = json.dumps({"facts": {"decision": decision, "words": "Two points worse."}})
        manifest.write_text(record if decision else record[:-1])
        stages.SETTINGS |= {"verdict": configured, "warehouse": warehouse}
        try:
            stages.promotion_verdict.function("2026-01")
        except AirflowException as raised:
            return f"{type(raised).__name__}: {raised}"
    return ""


def left_out() -> dict[str, list[str]]:
    """What tasks wait for where offers come in files, without pictures and word2vec."""
    configured = stages.SETTINGS["left_out"]
    stages.SETTINGS["left_out"] = ["market", "crawl", "images", "image_features", "word2vec"]
    try:
        with DAG("left_out", schedule=None):
            tasks = stages.month(stages.AFTER, {})
    finally:
        stages.SETTINGS["left_out"] = configured
    return {name: sorted(task.upstream_task_ids) for name, task in tasks.items()}


def refused() -> list[str]:
    """What is said of each slip in the settings, of a key that is missing, and of a file that is not there."""
    said = []
    for sections, key, value in SLIPS:
        settings: dict[str, Any] = copy.deepcopy(stages.SETTINGS)
        place = settings
        for section in sections:
            place = place[section]
        place[key] = value
        said.append(_said(lambda settings=settings: stages.check(settings)))
    said.append(_said(lambda: stages.check({**stages.SETTINGS, "schedule": {}})))
    os.environ["CATMATCH_AIRFLOW"] = "conf/nowhere.toml"
    said.append(_said(stages._settings))
    return said


def _said(call: Callable[[], object]) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


def main() -> None:
    """The last line of standard output is the JSON; before it are Airflow's own words."""
    bag = DagBag(str(FOLDER))
    dags = {name: described(dag) for name, dag in bag.dags.items()}
    verdicts = {f"{configured} {decision}": verdict(configured, decision) for configured, decision in VERDICTS}
    said = {"errors": bag.import_errors, "dags": dags, "verdicts": verdicts}
    said |= {"cut_short": verdict("skip", None), "left_out": left_out(), "refused": refused()}
    sys.stdout.write(f"\n{json.dumps(said)}\n")


if __name__ == "__main__":
    main()
