"""A training's variables as named arrays, and back: all that the next step depends on.

Random numbers of a step come from the layers' seed generators, which are variables of the model; the order of rows is a
function of seed and epoch (lib/feed/order.py). So nothing else has a state.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lib.errors import UserError
from lib.model.build import Networks
from lib.training.average import Average
from lib.training.optimizer import Optimizer

# What Keras calls the variable of every layer that draws random numbers: [2] a seed and how many were drawn.
RANDOM = "seed_generator_state"
# Between the seeds of two replicas: prime, and above all that Keras gives to layers.
REPLICA_STEP = 1_000_000_007


def variables(networks: Networks, optimizer: Optimizer, average: Average | None) -> dict[str, Any]:
    """Every variable of a training under a name that another process gives it too."""
    both = [*networks.training.variables, *networks.scoring.variables]
    named = {
        "model": [one.value for one in {id(one): one for one in both}.values()],
        "optimizer": optimizer.slots,
        "average": list(average.shadows) if average is not None else [],
    }
    return {f"{group}/{number:04d}": one for group, found in named.items() for number, one in enumerate(found)}


def captured(found: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The values of the variables.

    Raises:
        UserError: one of them holds a value that is no number, so that nothing could be gone on with.
    """
    values = {name: np.asarray(one.numpy()) for name, one in found.items()}
    for name, value in values.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise UserError(
                f"variable {name} holds values that are no numbers, so no checkpoint was written; lower "
                "train.learning_rate or set train.clip_norm"
            )
    return values


def restore(found: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], place: Path) -> None:
    """Give each variable its value.

    Raises:
        UserError: the arrays are of another model than the variables.
    """
    shapes = {name: tuple(one.shape) for name, one in found.items()}
    stored = {name: value.shape for name, value in arrays.items() if name in shapes}
    if shapes != stored:
        wrong = sorted(name for name in shapes if shapes[name] != stored.get(name))[0]
        raise UserError(
            f"the checkpoints in {place} are of another model: {wrong} is {stored.get(wrong)} where {shapes[wrong]} is "
            "needed; remove that folder and run this stage again"
        )
    for name, one in found.items():
        one.assign(arrays[name])


def separate_streams(strategy: Any, model: keras.Model) -> None:
    """Give each replica random numbers of its own, when all hold those of the first: fresh ones, or a checkpoint's.

    With the same numbers, the rows at the same place of each replica's part would be dropped out alike.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    found = [one.value for one in model.variables if one.name == RANDOM]

    def shift() -> None:
        number = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
        for one in found:
            one.assign_add(tf.cast(tf.stack([REPLICA_STEP * number, 0]), one.dtype))

    tf.function(lambda: strategy.run(shift))()
