"""Run by .venv-airflow's Python: parses the DAGs as Airflow does and prints as JSON what their tasks would start.

.venv-airflow/bin/python tests/airflow_dags/rendered.py
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException

import stages

FOLDER = Path(__file__).resolve().parents[2] / "airflow_dags"
VERDICTS = (("skip", "promoted"), ("skip", "first"), ("skip", "kept"), ("fail", "first"), ("fail", "kept"))
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
        "commands": {task.task_id: command(task, dag) for task in tasks if isinstance(task, SparkSubmitOperator)},
    }


def verdict(configured: str, decision: str) -> str:
    """What the task promotion_verdict makes of a decision: the exception that it raises, or nothing."""
    with tempfile.TemporaryDirectory() as warehouse:
        manifest = Path(warehouse) / "manifests" / "promote" / "2026-01.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(json.dumps({"facts": {"decision": decision, "words": "Two points worse."}}))
        stages.SETTINGS |= {"verdict": configured, "warehouse": warehouse}
        try:
            stages.promotion_verdict.function("2026-01")
        except AirflowException as raised:
            return f"{type(raised).__name__}: {raised}"
    return ""


def main() -> None:
    """The last line of standard output is the JSON; before it are Airflow's own words."""
    bag = DagBag(str(FOLDER))
    dags = {name: described(dag) for name, dag in bag.dags.items()}
    verdicts = {f"{configured} {decision}": verdict(configured, decision) for configured, decision in VERDICTS}
    said = {"errors": bag.import_errors, "dags": dags, "verdicts": verdicts}
    sys.stdout.write(f"\n{json.dumps(said)}\n")


if __name__ == "__main__":
    main()
