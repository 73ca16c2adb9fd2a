"""The processes that train one model together, and which of them this one is.

TensorFlow is told by the environment variable TF_CONFIG; `jobs/train.py --workers` sets it for each worker, and an
operator of hosts without Spark sets it by hand. It is read here, before TensorFlow starts, so that a mistake in it is
one sentence and not a process that waits for ever.
"""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.errors import UserError

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host-a:3333", "host-b:3333"]}, "task": {"type": "worker", "index": 0}}'


class PeerLostError(UserError):
    """Another worker is gone, which is no mistake where somebody begins the training again (lib/training/launch.py)."""


@dataclass(frozen=True)
class Cluster:
    """The workers, and this process among them.

    Attributes:
        addresses: host:port of each worker; empty where one process trains alone.
        worker: this one's number, from 0; worker 0 is the chief, which writes checkpoints, metrics and the model.
    """

    addresses: tuple[str, ...] = ()
    worker: int = 0

    @property
    def workers(self) -> int:
        """How many processes train."""
        return max(1, len(self.addresses))

    @property
    def chief(self) -> bool:
        """Whether this one writes."""
        return self.worker == 0

    @property
    def tf_config(self) -> str:
        """The value of TF_CONFIG."""
        return json.dumps(
            {"cluster": {"worker": list(self.addresses)}, "task": {"type": "worker", "index": self.worker}}
        )

    def check_port(self) -> None:
        """Make sure that this worker can listen.

        Raises:
            UserError: its port is taken, or is none.
        """
        if self.workers == 1:
            return
        port = self.addresses[self.worker].rpartition(":")[2]
        # TensorFlow listens on all addresses of the host and with this option; what it could share is not taken.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", int(port)))
            except (OSError, OverflowError) as error:
                raise UserError(
                    f"worker {self.worker} cannot listen on port {port} ({error}); end what uses it, or name another "
                    f"port for {self.addresses[self.worker]}"
                ) from None


def of_environment(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster that TF_CONFIG names; one process alone where it is not set.

    Raises:
        UserError: TF_CONFIG is not what it should be.
    """
    text = environment.get(VARIABLE, "")
    if not text.strip():
        return Cluster()
    try:
        record = json.loads(text)
        workers, task = record["cluster"], record["task"]
        return _checked(dict(workers), str(task["type"]), task["index"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        found = f"{VARIABLE} is {text[:200]!r}, which cannot be used ({error})"
        raise UserError(f"{found}; write it as {EXAMPLE}") from None


def _checked(jobs: Mapping[str, Any], job: str, index: Any) -> Cluster:
    unknown = sorted(set(jobs) - {"chief", "worker"})
    if unknown:
        raise ValueError(f"there is no job {unknown[0]!r} here, only 'worker' and 'chief'")
    chiefs, workers = list(jobs.get("chief", [])), list(jobs.get("worker", []))
    addresses = (*chiefs, *workers)
    if len(chiefs) > 1 or not addresses or len(set(addresses)) < len(addresses):
        raise ValueError("it names no worker, two chiefs, or one address twice")
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise ValueError(f"{address!r} is no host:port")
    own = {"chief": chiefs, "worker": workers}.get(job)
    if own is None or isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(own):
        raise ValueError(f"there is no {job} with index {index!r}")
    return Cluster(tuple(map(str, addresses)), index if job == "chief" else len(chiefs) + index)
