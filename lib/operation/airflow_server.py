"""A whole Airflow on loopback (API server, scheduler, DAG processor; SQLite), and what its REST API is asked for."""

import base64
import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lib.artefact import write_whole
from lib.errors import UserError
from lib.operation.started import Started

READY_SECONDS = 240
USER = "demonstration"


@dataclass(frozen=True)
class AirflowPlace:
    """Where an Airflow runs; its secrets are made anew and live as long as it does.

    Attributes:
        home: its folder: database, logs, the password of its one user.
        dags: folder of the DAGs.
        port: of its API on 127.0.0.1.
        password: of its user.
    """

    home: Path
    dags: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What tells each of its processes all this."""
        settings = {
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            # One run of one DAG, whose tasks wait for each other; a second slot for the verdict of another month.
            "CORE__PARALLELISM": "2",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            # Read once: nobody edits a DAG meanwhile, and reading them takes a good part of a core.
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "API__BASE_URL": self.url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__WORKERS": "1",
            "API__SECRET_KEY": secrets.token_urlsafe(32),
            "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        }
        return {"AIRFLOW_HOME": str(self.home), **{f"AIRFLOW__{key}": value for key, value in settings.items()}}


def start_airflow(started: Started, command: Path, place: AirflowPlace) -> "AirflowApi":
    """Its API, once it answers.

    Raises:
        UserError: it did not come up.
    """
    place.home.mkdir(parents=True, exist_ok=True)
    passwords = place.home / "passwords.json"
    passwords.touch(mode=0o600)
    write_whole(passwords, json.dumps({USER: place.password}))
    started.run("airflow-db", [command, "db", "migrate"])
    started.start("airflow-api-server", [command, "api-server"])
    # Its server of logs would listen on all of the machine's addresses; the logs are files here.
    started.start("airflow-scheduler", [command, "scheduler", "--skip-serve-logs"])
    started.start("airflow-dag-processor", [command, "dag-processor"])
    deadline = time.monotonic() + READY_SECONDS
    while True:
        started.check()
        try:
            return AirflowApi(place)
        except httpx.HTTPError as error:
            if time.monotonic() > deadline:
                raise UserError(f"Airflow did not come up within {READY_SECONDS} s ({error}); see its logs") from None
        time.sleep(1)


class AirflowApi:
    """The few calls of the REST API that a run of a month needs."""

    def __init__(self, place: AirflowPlace) -> None:
        """
        Raises:
            httpx.HTTPError: the server does not answer.
        """
        # Loopback is asked directly, whatever proxy the environment names.
        self._client = httpx.Client(base_url=place.url, timeout=60, trust_env=False)
        token = self._client.post("/auth/token", json={"username": USER, "password": place.password})
        token.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def knows(self, dag: str) -> bool:
        """Whether the DAG's file has been read."""
        return self._client.get(f"/api/v2/dags/{dag}").status_code == httpx.codes.OK

    def unpause(self, dag: str) -> None:
        """Let its runs start."""
        self._client.patch(f"/api/v2/dags/{dag}", json={"is_paused": False}).raise_for_status()

    def trigger(self, dag: str, month: str) -> str:
        """Ask for a run of the month's partition; returns the run's id."""
        asked = {"dag_run_id": f"month-{month}", "logical_date": None, "partition_key": month}
        return str(self._answer(self._client.post(f"/api/v2/dags/{dag}/dagRuns", json=asked))["dag_run_id"])

    def state(self, dag: str, run: str) -> str:
        """queued, running, success or failed."""
        return str(self._answer(self._client.get(f"/api/v2/dags/{dag}/dagRuns/{run}"))["state"])

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """The run's tasks, each with task_id, state, duration and try_number."""
        answer = self._client.get(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances", params={"limit": 100})
        return list(self._answer(answer)["task_instances"])

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        if response.is_error:
            raise UserError(f"Airflow answered {response.status_code} to {response.request.url}: {response.text[:500]}")
        return dict(response.json())
