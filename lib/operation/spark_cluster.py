"""A Spark standalone cluster on loopback: master and workers, started as by Spark's scripts, which its wheel lacks."""

import time
from pathlib import Path

import httpx

from lib.errors import UserError
from lib.operation.started import Started, free_port

DEPLOY = "org.apache.spark.deploy"
READY_SECONDS = 120


def start_cluster(started: Started, spark_class: Path, folder: Path, workers: int, memory: str) -> str:
    """The master's address, once all workers of one core each have registered.

    Args:
        folder: what executors write; their logs are in it.
        memory: of each worker, as Spark writes it ('2g').

    Raises:
        UserError: the workers did not come up.
    """
    port, page = free_port(), free_port()
    master, here = f"spark://127.0.0.1:{port}", ["--host", "127.0.0.1"]
    started.start(
        "spark-master",
        [spark_class, f"{DEPLOY}.master.Master", *here, "--port", str(port), "--webui-port", str(page)],
    )
    place = ["--cores", "1", "--memory", memory, "--webui-port", "0"]
    for number in range(workers):
        written = ["--work-dir", str(folder / f"work-{number}")]
        started.start(
            f"spark-worker-{number}", [spark_class, f"{DEPLOY}.worker.Worker", *here, *place, *written, master]
        )
    deadline = time.monotonic() + READY_SECONDS
    while _alive(page) < workers:
        started.check()
        if time.monotonic() > deadline:
            raise UserError(f"{workers} Spark workers did not come up within {READY_SECONDS} s; see the logs beside it")
        time.sleep(0.5)
    return master


def _alive(page: int) -> int:
    """Workers that the master knows of."""
    try:
        return int(httpx.get(f"http://127.0.0.1:{page}/json/", timeout=10, trust_env=False).json()["aliveworkers"])
    except (httpx.HTTPError, ValueError, KeyError):
        return 0
