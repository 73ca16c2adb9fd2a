"""MLflow model versions and aliases: which artefact is the candidate, which the champion."""

from lib.registry.versions import (
    CANDIDATE,
    CHAMPION,
    Version,
    advance_alias,
    log_metrics,
    register,
    resolve,
    set_alias,
    versions,
)

__all__ = [
    "CANDIDATE", "CHAMPION", "Version", "advance_alias", "log_metrics", "register", "resolve", "set_alias", "versions",
]  # fmt: skip
