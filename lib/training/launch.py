"""Workers on a Spark cluster: one barrier stage places them, and the driver watches over them.

A barrier stage runs all its tasks at once or none (SPARK-24374), on local-cluster, standalone, YARN and Kubernetes
alike. Spark is not asked to notice a failure, which takes it minutes: each task holds a connection to the driver, and
as soon as one worker has ended badly, the driver hangs up on all. What is left of the work is done by new workers,
which go on from the last checkpoint.
"""

import json
import logging
import re
import secrets
import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyspark import InheritableThread
from pyspark.sql import SparkSession

from lib.artefact import Artefact, ArtefactWriter
from lib.config import Config, LaunchSettings
from lib.errors import UserError
from lib.training.barrier_task import Seat, keep_alive, take
from lib.training.worker import Assignment

LOG = logging.getLogger(__name__)
# A worker's mistake is told a moment after its peers have failed for want of it.
GRACE_SECONDS = 5.0
# What Spark may take to end tasks whose workers are gone.
END_SECONDS = 30.0
LOOK_SECONDS = 0.5
# Bytes that a stranger may send, and seconds that it may take to show the token, before it is hung up on; and how many
# may try at once.
LARGEST_GREETING, GREETING_SECONDS, STRANGERS = 1 << 10, 30.0, 64
# What would move the cursor of the operator's terminal, or make one line look like two.
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class LostError(Exception):
    """A worker ended badly through no mistake that a user could mend."""


@dataclass
class Worker:
    """What the driver knows of one.

    Attributes:
        number: its rank; None until it has said so.
        since: when it connected.
        buffer: received, and not yet a whole line.
        end: its last message.
    """

    number: int | None = None
    since: float = field(default_factory=time.monotonic)
    buffer: bytes = b""
    end: Mapping[str, Any] | None = None


@dataclass
class Hub:
    """Where the tasks connect to.

    Attributes:
        server: listens.
        token: what a task must show.
        workers: by connection.
        bad: why the first worker ended badly; empty while all is well.
        bad_since: when that was.
    """

    server: socket.socket
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    workers: dict[socket.socket, Worker] = field(default_factory=dict)
    bad: str = ""
    bad_since: float = 0.0

    def close(self) -> None:
        """Hang up on all, which ends them."""
        for link in (self.server, *self.workers):
            link.close()

    def ends(self) -> dict[int, Mapping[str, Any]]:
        """Rank -> last message of each worker that has ended."""
        return {one.number: one.end for one in self.workers.values() if one.number is not None and one.end is not None}

    def look(self, seconds: float) -> None:
        """Take in what arrives within so many seconds."""
        self._hang_up_on_strangers()
        with selectors.DefaultSelector() as selector:
            for link in (self.server, *(link for link, one in self.workers.items() if one.end is None)):
                selector.register(link, selectors.EVENT_READ)
            for key, _ in selector.select(seconds):
                if key.fileobj is self.server:
                    self._welcome()
                else:
                    self._receive(key.fileobj)  # type: ignore[arg-type]

    def _welcome(self) -> None:
        link, _ = self.server.accept()
        keep_alive(link)
        self.workers[link] = Worker()

    def _hang_up_on_strangers(self) -> None:
        """On those that take too long, and the oldest of too many."""
        strangers = [link for link, one in self.workers.items() if one.number is None]
        now = time.monotonic()
        for place, link in enumerate(strangers):
            if len(strangers) - place > STRANGERS or now - self.workers[link].since > GREETING_SECONDS:
                del self.workers[link]
                link.close()

    def _receive(self, link: socket.socket) -> None:
        worker = self.workers[link]
        try:
            received = link.recv(1 << 16)
        except OSError:
            received = b""
        worker.buffer += received
        *lines, worker.buffer = worker.buffer.split(b"\n")
        if worker.number is None and lines:
            self._greet(worker, lines.pop(0))
        if worker.number is None and (not received or lines or len(worker.buffer) > LARGEST_GREETING):
            del self.workers[link]
            link.close()
            return
        for line in lines:
            self._take(worker, json.loads(line))
        if not received and worker.end is None:
            self._ended(worker, {"ended": None, "error": ""})

    def _greet(self, worker: Worker, line: bytes) -> None:
        """Know a worker by the token: anybody can connect. One that Spark started again by itself comes too late."""
        try:
            message = json.loads(line)
            known = secrets.compare_digest(str(message["token"]), self.token)
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if known and not self.bad and message["worker"] not in [one.number for one in self.workers.values()]:
            worker.number = int(message["worker"])
            LOG.info("worker %d is at %s", worker.number, message["address"])

    def _take(self, worker: Worker, message: Mapping[str, Any]) -> None:
        if "line" in message:
            if message["line"].strip():
                LOG.info("worker %d: %s", worker.number, CONTROL.sub("\ufffd", message["line"]))
        else:
            self._ended(worker, message)

    def _ended(self, worker: Worker, message: Mapping[str, Any]) -> None:
        worker.end = message
        if message["ended"] == 0 or self.bad:
            return
        status = message["ended"]
        why = "lost its connection" if status is None else f"ended with status {status}"
        self.bad, self.bad_since = f"worker {worker.number} {why}", time.monotonic()
        LOG.warning("%s; the others are ended", self.bad)


def train(
    spark: SparkSession, config: Config, shards: Artefact, month: str, key: str, writer: ArtefactWriter
) -> None:  # fmt: skip
    """Train with `launch.workers` workers; the chief's files and facts end up in the writer.

    Raises:
        UserError: a worker met a user's mistake, the cluster is too small, or workers were lost too often.
    """
    settings, assignment = config.launch, Assignment.of(config, shards, month, key, writer)
    for attempt in range(settings.retries + 1):
        _wait_for_slots(spark, settings)
        try:
            chief = _attempt(spark, settings, assignment)
        except LostError as error:
            left = settings.retries - attempt
            goes_on = "new workers go on from the last checkpoint" if left else "that was the last one"
            LOG.warning("attempt %d of %d: %s; %s", attempt + 1, settings.retries + 1, error, goes_on)
            last = str(error)
            continue
        writer.files |= {name: writer.folder / path for name, path in chief["files"].items()}
        writer.facts = {**chief["facts"], "attempts": attempt + 1}
        return
    raise UserError(
        f"the training lost its workers {settings.retries + 1} times, the last time since {last}; the log above says "
        "where they were. What was done is kept: run this stage again, or raise launch.retries"
    )


def _attempt(spark: SparkSession, settings: LaunchSettings, assignment: Assignment) -> Mapping[str, Any]:
    """Start the workers and follow them to their end; the chief's last message."""
    host = spark.conf.get("spark.driver.host") or "127.0.0.1"
    hub = Hub(socket.create_server((host, 0), backlog=settings.workers))
    stage = BarrierStage(spark, settings.workers, Seat((host, hub.server.getsockname()[1]), hub.token, assignment))
    try:
        _follow(hub, stage, settings.workers)
    finally:
        ends = hub.ends()
        hub.close()
        stage.end()
    mistakes = {number: end["error"] for number, end in ends.items() if end["error"]}
    if mistakes:
        number = min(mistakes)
        raise UserError(f"worker {number}: {mistakes[number]}")
    if hub.bad or len(ends) < settings.workers:
        raise LostError(hub.bad or f"Spark ended the stage ({stage.error})")
    return ends[0]


def _follow(hub: Hub, stage: "BarrierStage", workers: int) -> None:
    """Until all have ended, or one has ended badly and the others had time to say why."""
    while len(hub.ends()) < workers:
        hub.look(LOOK_SECONDS)
        if hub.bad and time.monotonic() - hub.bad_since > GRACE_SECONDS:
            return
        if stage.ended and len(hub.ends()) < workers:
            hub.look(LOOK_SECONDS)
            return


class BarrierStage:
    """The barrier stage, in a thread of its own."""

    def __init__(self, spark: SparkSession, workers: int, seat: Seat) -> None:
        self.context = spark.sparkContext
        self.group = f"catmatch-training-{secrets.token_hex(4)}"
        self.error = ""
        self.tasks = self.context.parallelize(range(workers), workers).barrier().mapPartitions(partial(take, seat))
        self.thread = InheritableThread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def ended(self) -> bool:
        """Whether no task runs any more."""
        return not self.thread.is_alive()

    def end(self) -> None:
        """Wait for the tasks, whose workers have been told to end; cancel those that do not."""
        self.thread.join(END_SECONDS)
        if not self.ended:
            LOG.warning("Spark still runs tasks of the training; they are cancelled")
            self.context.cancelJobGroup(self.group)
            self.thread.join(END_SECONDS)

    def _run(self) -> None:
        self.context.setJobGroup(self.group, "training", interruptOnCancel=True)
        try:
            self.tasks.collect()
        except Exception as error:  # noqa: BLE001 (whatever Spark ends with, the driver decides what follows)
            self.error = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _wait_for_slots(spark: SparkSession, settings: LaunchSettings) -> None:
    """Wait until the cluster can run all workers at once: Spark itself would look again for ten minutes.

    Raises:
        UserError: it cannot.
    """
    scheduler = spark.sparkContext._jsc.sc()
    profile = scheduler.resourceProfileManager().defaultResourceProfile()
    until = time.monotonic() + settings.slots_seconds
    while (slots := scheduler.maxNumConcurrentTasks(profile)) < settings.workers:
        if time.monotonic() > until:
            raise UserError(
                f"the cluster {spark.sparkContext.master} runs {slots} tasks at once, too few for launch.workers "
                f"{settings.workers}; use fewer workers, or give it more cores (or GPUs)"
            )
        time.sleep(LOOK_SECONDS)
