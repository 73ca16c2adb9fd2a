"""Makes sure, before the first step, that all workers train the same thing.

Workers with another code, other shards or another checkpoint would not fail: their gradients have the same shapes.
"""

import hashlib
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.errors import UserError
from lib.manifest import package_versions
from lib.own_files import modules
from lib.training.cluster import Cluster

LOG = logging.getLogger(__name__)
# int32 numbers of a digest.
DIGEST = 4


def check(strategy: Any, cluster: Cluster, facts: Mapping[str, str]) -> None:
    """Compare facts over all workers; every worker must call it with the same names.

    Raises:
        UserError: names the first fact that is not the same, and the workers that differ from the chief.
    """
    if cluster.workers == 1:
        return
    own = np.stack([_digest(value) for value in facts.values()])
    found = gathered(strategy, own)
    for number, name in enumerate(facts):
        others = [worker for worker, of in enumerate(found) if not np.array_equal(of[number], found[0][number])]
        if others:
            raise UserError(
                f"the {name} of worker {', '.join(map(str, others))} is not that of worker 0 (here, worker "
                f"{cluster.worker}: {facts[name][:80]}); give all workers the same and run this stage again"
            )


def wait_for_all(strategy: Any, cluster: Cluster) -> None:
    """To be called when all is done: nobody leaves while a peer still works, as TensorFlow would end that one too."""
    if cluster.workers == 1:
        return
    try:
        gathered(strategy, np.zeros((1, DIGEST), np.int32))
    except tf.errors.UnavailableError:
        # A peer had what it waited for, and left before all of its own answer had arrived here. One that died instead
        # is known by its exit status, and takes nothing away from what is done here.
        LOG.debug("a peer has left before this worker")


def chief_says(strategy: Any, cluster: Cluster, value: bool) -> bool:
    """The chief's value; every worker must call it at the same place."""
    if cluster.workers == 1:
        return value
    return bool(gathered(strategy, np.full((1, DIGEST), value, np.int32))[0, 0, 0])


def gathered(strategy: Any, own: NDArray[np.int32]) -> NDArray[np.int32]:
    """Each worker's digests [n, DIGEST], as many of each, in their order [workers, n, DIGEST]."""
    return joined(strategy, own).reshape(-1, *own.shape)


def joined(strategy: Any, own: NDArray[np.int32]) -> NDArray[np.int32]:
    """The workers' rows [rows, width] one after another; each may have another number of them."""
    return np.asarray(_join(strategy, own.shape[1])(tf.constant(own)).numpy())


@cache
def _join(strategy: Any, width: int) -> Any:
    """The compiled exchange, for any number of rows: made anew at each call it would be compiled anew, too."""

    def part(given: Any) -> Any:
        # Each replica of a worker would say the same.
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        first = tf.equal(number % len(strategy.extended.worker_devices), 0)
        return given[: tf.where(first, tf.shape(given)[0], 0)]

    spec = tf.TensorSpec([None, width], tf.int32)
    return tf.function(lambda given: strategy.gather(strategy.run(part, (given,)), axis=0), input_signature=[spec])


@cache
def code() -> str:
    """Hash of the code that trains, and of the packages it stands on."""
    digest = hashlib.sha256(repr(sorted(package_versions().items())).encode())
    for path, text in (*modules("lib"), *modules("schemas")):
        digest.update(path.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:32]


def _digest(value: str) -> NDArray[np.int32]:
    return np.frombuffer(hashlib.sha256(value.encode()).digest()[: 4 * DIGEST], dtype=np.int32)
