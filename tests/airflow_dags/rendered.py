"""Run by .venv-airflow's Python: parses the DAGs as Airflow does and prints as JSON what their tasks would start.

.venv-airflow/bin/python tests/airflow_dags/rendered.py
"""

import json
import sys
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

FOLDER = Path(__file__).resolve().parents[2] / "airflow_dags"
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


def main() -> None:
    """Standard output is JSON; Airflow's own words go to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    bag = DagBag(str(FOLDER))
    dags = {name: described(dag) for name, dag in bag.dags.items()}
    json.dump({"errors": bag.import_errors, "dags": dags}, out)


if __name__ == "__main__":
    main()
