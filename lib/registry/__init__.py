"""MLflow model versions and aliases: which artefact is the candidate, which the champion."""

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
    "CANDIDATE", "CHAMPION", "PREVIOUS", "Standing", "Version", "crown", "log_metrics", "register",
    "resolve", "roll_back", "set_alias", "standing", "versions", "withdrawn",
]  # fmt: skip
