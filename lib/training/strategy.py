"""Where a training runs: one device, or several of this machine that share each batch."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from lib.errors import UserError

Tensor = Any


def prepare(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and TensorFlow; ask for kernels that give the same bits every time."""
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def make_strategy(replicas: int) -> Any:
    """The strategy for that many replicas: GPUs if there are enough, else logical CPUs.

    Raises:
        UserError: TensorFlow has started with fewer devices.
    """
    if replicas == 1:
        return tf.distribute.get_strategy()
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    devices = gpus if len(gpus) >= replicas else _logical_cpus(replicas)
    return tf.distribute.MirroredStrategy([device.name for device in devices[:replicas]])


def replica_part(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This replica's contiguous part of the global batch; parts differ by at most one row."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return dict(batch)
    index = context.replica_id_in_sync_group
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
