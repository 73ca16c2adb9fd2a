"""MLflow model versions and aliases: which artefact is the candidate, which the champion."""

import os

# Before MLflow is imported: it would report its use to its makers, and ask git for a commit.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

from lib.registry.trials import log_trial
from lib.registry.versions import (
    CANDIDATE,
    CHAMPION,
    PREVIOUS,
    Standing,
    Version,
    crown,
    log_metrics,
    register,
    resolve,
    roll_back,
    set_alias,
    standing,
    versions,
    withdrawn,
)

__all__ = [
    "CANDIDATE", "CHAMPION", "PREVIOUS", "Standing", "Version", "crown", "log_metrics", "log_trial", "register",
    "resolve", "roll_back", "set_alias", "standing", "versions", "withdrawn",
]  # fmt: skip
