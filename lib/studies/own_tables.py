"""Tables of a study's own, so that the month of the configuration that it changes stays what it is."""

from pathlib import Path

from lib.config import Config


def of_its_own(config: Config, folder: Path) -> Config:
    """The configuration with tables, artefacts and model versions inside a folder of the study's."""
    storage = config.storage.model_copy(update={"warehouse": str(folder / "warehouse"), "state": str(folder)})
    return config.model_copy(update={"storage": storage, "registry": config.registry.model_copy(update={"uri": None})})
