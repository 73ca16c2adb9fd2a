"""Months of a small market by a real Airflow on a real Spark cluster, both on this machine and both gone at the end.

It is no DAG, as those only wire, and more than a test: it shows how the parts are started and pointed at each other.
"""

import json
import secrets
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib import manifest
from lib.errors import UserError
from lib.java_classes import SHORT_LIVED, java_options
from lib.operation.airflow_server import AirflowApi, AirflowPlace, start_airflow
from lib.operation.spark_cluster import start_cluster
from lib.operation.started import Started, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
DAG = "monthly_retraining"
WORKERS, WORKER_MEMORY = 2, "1g"
POLL_SECONDS = 2.0
LOG_LINES = 15
ENDED = ("success", "failed", "skipped", "upstream_failed")


@dataclass
class Month:
    """How a month's run went.

    Attributes:
        state: success or failed.
        tasks: task -> (state, seconds of its last try, tries), in the order in which they ended.
        seconds: from being asked for, or from the end of the month before, to the end.
    """

    month: str
    state: str = ""
    tasks: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Demonstration:
    """What is demonstrated, and where.

    Attributes:
        overlay: the file that is laid over conf/airflow.toml; names `conf` and `warehouse`.
        folder: Airflow's home, executors' folders and all logs.
        say: takes each line of progress.
    """

    overlay: Path
    folder: Path
    say: Callable[[str], None]

    def run(self, months: Sequence[str]) -> list[Month]:
        """Start all, run the months in order until one fails, end all."""
        began = time.monotonic()
        with self.running() as (api, started):
            self.say(f"Airflow and a Spark cluster are up after {time.monotonic() - began:.0f} s")
            runs = [api.trigger(DAG, month) for month in months]
            done: list[Month] = []
            for month, run in zip(months, runs, strict=True):
                done.append(self._follow(api, started, month, run))
                if done[-1].state != "success":
                    break
            return done

    @contextmanager
    def running(self) -> Iterator[tuple[AirflowApi, Started]]:
        """A cluster and an Airflow that knows the DAG, until the context ends."""
        place = AirflowPlace(self.folder / "airflow", ROOT / "airflow_dags", free_port(), secrets.token_urlsafe(32))
        environment = place.environment() | {"CATMATCH_AIRFLOW": str(self.overlay), "SPARK_LOCAL_IP": "127.0.0.1"}
        # Of every Java: each of some forty stages starts three.
        environment["JDK_JAVA_OPTIONS"] = f"{java_options()} {SHORT_LIVED}"
        commands = ROOT / ".venv" / "bin"
        # spark-class looks for Spark with it; of this environment, whoever has started us.
        environment["PYSPARK_PYTHON"] = str(commands / "python")
        with Started(self.folder / "logs", environment) as spark:
            master = start_cluster(spark, commands / "spark-class", self.folder, WORKERS, WORKER_MEMORY)
            connection = {"AIRFLOW_CONN_CATMATCH_SPARK": json.dumps({"conn_type": "spark", "host": master})}
            with Started(self.folder / "logs", environment | connection) as airflow:
                api = start_airflow(airflow, ROOT / ".venv-airflow" / "bin" / "airflow", place)
                while not api.knows(DAG):
                    airflow.check()
                    time.sleep(1)
                api.unpause(DAG)
                yield api, airflow

    def _follow(self, api: AirflowApi, started: Started, month: str, run: str) -> Month:
        """Say what becomes of each task until the run ends."""
        began, followed = time.monotonic(), Month(month)
        said: dict[str, tuple[str, int]] = {}
        while followed.state not in ("success", "failed"):
            time.sleep(POLL_SECONDS)
            started.check()
            # The run's state first: tasks that are read after it have all ended when it has.
            followed.state = api.state(DAG, run)
            for task in api.tasks(DAG, run):
                name, state, tries = task["task_id"], task["state"] or "", task["try_number"]
                if said.get(name) == (state, tries):
                    continue
                said[name] = (state, tries)
                if state in (*ENDED, "up_for_retry"):
                    self._say_task(month, task)
                if state in ENDED:
                    followed.tasks[name] = (state, task["duration"] or 0.0, tries)
                if state in ("failed", "up_for_retry"):
                    self._say_log(run, name, tries)
        followed.seconds = time.monotonic() - began
        return followed

    def _say_task(self, month: str, task: dict[str, Any]) -> None:
        self.say(f"{month}  {task['task_id']:<18} {task['state']:<16} {task['duration'] or 0.0:6.0f} s")

    def _say_log(self, run: str, task: str, tries: int) -> None:
        place = self.folder / "airflow" / "logs" / f"dag_id={DAG}" / f"run_id={run}" / f"task_id={task}"
        log = place / f"attempt={tries}.log"
        self.say(f"    {log} ends with:")
        lines = log.read_text(encoding="utf-8").splitlines()[-LOG_LINES:] if log.is_file() else []
        for line in lines:
            self.say(f"    {_event(line)}")


def _event(line: str) -> str:
    """What a line of Airflow's log, a JSON object, says."""
    try:
        return str(json.loads(line)["event"])[:300]
    except (ValueError, KeyError, TypeError):
        return line[:300]


def demonstrated(overlay: Path) -> dict[str, Any]:
    """What the overlay names: `conf` and `warehouse`, among others.

    Raises:
        UserError: there is no such file.
    """
    try:
        return tomllib.loads(overlay.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{overlay} cannot be read ({error.strerror}); give conf/airflow_demo.toml") from None


def summary(months: Sequence[Month], warehouse: str) -> str:
    """A table of the months' tasks and seconds, and each month's decision in words."""
    names = list(dict.fromkeys(name for month in months for name in month.tasks))
    lines = [f"{'seconds':<20}" + "".join(f"{month.month:>12}" for month in months)]
    for name in names:
        lines.append(f"{name:<20}" + "".join(f"{_cell(month, name):>12}" for month in months))
    lines.append(f"{'whole month':<20}" + "".join(f"{month.seconds:>12.0f}" for month in months))
    return "\n".join([*lines, "", *(decision(month, warehouse) for month in months)])


def _cell(month: Month, task: str) -> str:
    state, seconds, _tries = month.tasks.get(task, ("", 0.0, 0))
    return f"{seconds:.0f}" if state == "success" else state


def decision(month: Month, warehouse: str) -> str:
    """What promotion decided for the month, and why."""
    found = manifest.find(warehouse, "promote", month.month)
    if found is None:
        return f"{month.month}: {month.state}; nothing was decided"
    return f"{month.month}: {month.state}; {found.facts['decision']}: {found.facts['words']}"
