"""MLflow model versions and aliases: which artefact is the candidate, which the champion."""

from lib.registry.versions import CANDIDATE, CHAMPION, log_metrics, register, resolve, set_alias

__all__ = ["CANDIDATE", "CHAMPION", "log_metrics", "register", "resolve", "set_alias"]
