"""What a model is built from: sizes of its input and shape of its layers, in one value kept beside its weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lib.config import ModelSettings
from lib.errors import UserError

NAME_INPUT, CATEGORY_INPUT, GRAMS_INPUT, GRAM_WEIGHTS_INPUT = (
    "text_prod_input",
    "text_cat_input",
    "gram_ids",
    "gram_weights",
)
# Heads in the order of the published system; `output` sits on the concatenation of the branches.
# Numbers a table of margins may have: 0.8 GB, thrice that with Adam's slots.
MOST_MARGINS = 200_000_000
HEADS = ("text_prod_output", "text_cat_output", "output")
MAIN_HEAD = "output"


@dataclass(frozen=True)
class Architecture:
    """Everything `build` needs, and nothing of how the model is trained.

    Attributes:
        words, grams: vocabulary sizes with the reserved ids.
        classes: dense labels.
        name_length, category_length, gram_length: ids a row.
        settings: the `model` section of the configuration.
    """

    words: int
    grams: int
    classes: int
    name_length: int
    category_length: int
    gram_length: int
    settings: ModelSettings

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {**asdict(self), "settings": self.settings.model_dump(mode="json")}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> "Architecture":
        """Read what `to_json` wrote.

        Raises:
            UserError: a size is missing or no positive integer, or a setting is unknown.
        """
        try:
            sizes = {field.name: _size(record, field.name) for field in fields(Architecture) if field.type is int}
            return Architecture(**sizes, settings=ModelSettings.model_validate(record["settings"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the model's architecture cannot be read ({' '.join(str(error).split())}); train again"
            ) from None

    @staticmethod
    def of_shards(facts: Mapping[str, Any], settings: ModelSettings) -> "Architecture":
        """The architecture for rows of a shards artefact, from its facts.

        Raises:
            UserError: margins of every gram and class would not fit into memory.
        """
        sizes = ("words", "grams", "classes", "name_length", "category_length", "gram_length")
        made = Architecture(**{size: int(facts[size]) for size in sizes}, settings=settings)
        if settings.margin and settings.text_branch != "textcnn" and made.grams * made.classes > MOST_MARGINS:
            raise UserError(
                f"model.margin keeps a number for each of {made.grams} grams and {made.classes} classes, over the "
                f"{MOST_MARGINS} that fit; set model.margin=false and model.wide_size=128"
            )
        return made


def _size(record: Mapping[str, Any], name: str) -> int:
    value = record[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} = {value!r} is no positive integer")
    return value
