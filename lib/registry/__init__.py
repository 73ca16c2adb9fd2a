"""MLflow model versions and aliases: which artefact is the candidate, which the champion."""

from lib.registry.versions import CANDIDATE, CHAMPION, advance_alias, log_metrics, register, resolve, set_alias

__all__ = ["CANDIDATE", "CHAMPION", "advance_alias", "log_metrics", "register", "resolve", "set_alias"]
