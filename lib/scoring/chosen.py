"""Which model scores: an alias, a version or a folder, checked to be whole before any task starts."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import artefact
from lib.artefact import Artefact
from lib.config import Config
from lib.model import saved
from lib.model.architecture import Picture
from lib.registry import resolve
from lib.scoring import thresholds
from lib.scoring.batch import Scorer, model_tokenizer, text_settings

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chosen:
    """A model that was chosen for scoring.

    Attributes:
        folder: its artefact.
        version: what predictions are filed under.
        content: hash of the artefact's files.
        tokenizer: the `text` section it was trained with, and "key".
        picture: what it sees of pictures; None for a model of texts.
        routing: its thresholds; None: all that it says is reviewed.
        scorer: what scores on Spark.
    """

    folder: Path
    version: str
    content: str
    tokenizer: dict[str, Any]
    picture: Picture | None
    routing: Artefact | None
    scorer: Scorer

    def check_tokenizer(self) -> None:
        """Make sure that names can be cut here as in training, before any task starts.

        Raises:
            UserError: another version of the tokenizer is installed.
        """
        model_tokenizer(text_settings(self.tokenizer).model_dump_json(), str(self.tokenizer["key"]))

    @property
    def routed_by(self) -> str:
        """Content of its thresholds; 'none' where it has none."""
        return "none" if self.routing is None else self.routing.content

    @property
    def max_length(self) -> int:
        """Characters of a name that count."""
        return text_settings(self.tokenizer).max_name_length


def choose(config: Config, model: str) -> Chosen:
    """Find a model by alias, version or folder.

    Raises:
        UserError: there is none, or what is there is no whole model.
    """
    state = config.registry_store
    folder, version = resolve(state, model, name=config.registry.name)
    found = artefact.load(folder)
    saved.check_is_model(found)
    found.verify()
    described = saved.describe(found)
    kept = thresholds.find(config.storage.warehouse, found, config.routing)
    limits = None if kept is None else thresholds.read(kept, saved.cat_ids(found))
    if kept is None:
        LOG.warning("%s", thresholds.without(folder, found.month))
    scorer = Scorer(str(folder.resolve()), config.score.batch_size, config.score.threads, limits)
    return Chosen(
        folder, version, found.content, described.tokenizer, described.architecture.picture,
        kept, scorer,
    )  # fmt: skip
