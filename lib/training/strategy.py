"""Where a training runs: one device, several of this machine that share each batch, or several processes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from lib.errors import UserError
from lib.training.cluster import Cluster

Tensor = Any


def prepare(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and TensorFlow; ask for kernels that give the same bits every time."""
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


@contextmanager
def computed_in(precision: str) -> Iterator[None]:
    """Layers made within compute in that precision; their weights are float32 whatever it is.

    bfloat16 has the exponents of float32, so nothing has to be scaled as with float16 (Kalamkar et al.: A study of
    BFLOAT16 for deep learning training, arXiv 1905.12322).
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@cache
def make_strategy(replicas: int, cluster: Cluster) -> Any:
    """The strategy for that many replicas in each worker: GPUs if there are enough, else logical CPUs.

    One for all trainings of a process, which can join its cluster once; and two strategies over the same devices would
    number their exchanges alike.

    Raises:
        UserError: TensorFlow has started with fewer devices, or this worker's port is taken.
    """
    if cluster.workers > 1:
        return _of_workers(replicas, cluster)
    if replicas == 1:
        return tf.distribute.get_strategy()
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    devices = gpus if len(gpus) >= replicas else _logical_cpus(replicas)
    return tf.distribute.MirroredStrategy([device.name for device in devices[:replicas]])


def _of_workers(replicas: int, cluster: Cluster) -> Any:
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) < replicas and replicas > 1:
        raise UserError(
            f"train.replicas is {replicas} but worker {cluster.worker} has {len(gpus)} GPUs; lower train.replicas, or "
            "use more workers: without GPUs a worker is one replica"
        )
    if gpus:
        tf.config.set_visible_devices(gpus[:replicas], "GPU")
    cluster.check_port()
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker", task_id=cluster.worker, rpc_layer="grpc",
        num_accelerators={"GPU": min(replicas, len(gpus))},
    )  # fmt: skip
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def replica_part(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This replica's contiguous part of its worker's batch; parts differ by at most one row."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return dict(batch)
    replicas = len(context.strategy.extended.worker_devices)
    if replicas == 1:
        return dict(batch)
    # Replicas are numbered over all workers, each worker's own one after another.
    index = context.replica_id_in_sync_group % replicas
    # Cut where the batch lies, so that only the part travels to the replica's device.
    with tf.device("CPU:0"):
        rows = tf.shape(next(iter(batch.values())))[0]
        first, last = rows * index // replicas, rows * (index + 1) // replicas
        return {name: values[first:last] for name, values in batch.items()}


def _logical_cpus(count: int) -> list[Any]:
    """At least `count` logical CPU devices, made now if TensorFlow has not started."""
    try:
        physical = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(physical, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        pass  # TensorFlow has started; what it started with decides.
    found: list[Any] = tf.config.list_logical_devices("CPU")
    if len(found) < count:
        raise UserError(
            f"train.replicas is {count} but TensorFlow has started with {len(found)} CPU devices in this process; "
            "run the training in a process of its own (jobs/train.py)"
        )
    return found
