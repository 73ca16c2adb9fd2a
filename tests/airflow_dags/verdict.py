"""Run by .venv-airflow's Python: prints what the task promotion_verdict raises for January 2026."""

import sys

from airflow.sdk.exceptions import AirflowException

from stages import promotion_verdict

try:
    said = str(promotion_verdict.function("2026-01"))
except AirflowException as raised:
    said = f"{type(raised).__name__}: {raised}"
sys.stdout.write(f"{said}\n")
