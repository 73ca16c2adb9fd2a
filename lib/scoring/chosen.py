"""Which model scores: an alias, a version or a folder, checked to be whole before any task starts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import artefact
from lib.config import Config
from lib.errors import UserError
from lib.model import saved
from lib.registry import resolve
from lib.scoring.batch import Scorer, model_tokenizer, text_settings


@dataclass(frozen=True)
class Chosen:
    """A model that was chosen for scoring.

    Attributes:
        folder: its artefact.
        version: what predictions are filed under.
        content: hash of the artefact's files.
        tokenizer: the `text` section it was trained with, and "key".
        scorer: what scores on Spark.
    """

    folder: Path
    version: str
    content: str
    tokenizer: dict[str, Any]
    scorer: Scorer

    def check_tokenizer(self) -> None:
        """Make sure that names can be cut here as in training, before any task starts.

        Raises:
            UserError: another version of the tokenizer is installed.
        """
        model_tokenizer(text_settings(self.tokenizer).model_dump_json(), str(self.tokenizer["key"]))

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
    if found.kind != saved.KIND:
        raise UserError(f"{folder} is a {found.kind} artefact, not a model; give a folder that jobs/train.py made")
    found.verify()
    try:
        tokenizer = dict(json.loads(found.path(saved.MODEL).read_text(encoding="utf-8"))["tokenizer"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{found.path(saved.MODEL)} does not describe a model ({error!r}); train again") from None
    scorer = Scorer(str(folder.resolve()), config.score.batch_size, config.score.threads)
    return Chosen(folder, version, found.content, tokenizer, scorer)
