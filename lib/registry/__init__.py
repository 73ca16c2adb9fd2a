"""MLflow model versions and aliases: which artefact is the candidate, which the champion."""
