"""Files that people write: YAML read whole, and what is wrong with one said in a sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from lib.errors import UserError

Made = TypeVar("Made", bound=BaseModel)
# An impossible day is a ValueError; brackets or aliases without end are a RecursionError.
NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is there twice (two malls with one id, say), of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As SafeLoader's."""
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def read_mapping(place: Path, what: str, example: str) -> dict[Any, Any]:
    """The mapping that a YAML file holds.

    Args:
        what: the file's kind, for what is said of it, such as 'configuration'.
        example: a file that is right.

    Raises:
        UserError: the file is missing, no YAML or no mapping.
    """
    try:
        record = yaml.load(place.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {place} cannot be read ({error}); give a YAML file such as {example}") from None
    except NOT_YAML as error:
        raise UserError(f"{what} {place} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(record, dict):
        raise UserError(f"{what} {place} must be a mapping, such as {example}")
    return record


def read_settings(place: Path, what: str, example: str, kind: type[Made]) -> Made:
    """The settings that a YAML file holds, named after it unless they say otherwise.

    Args:
        what: the file's kind, for what is said of it, such as 'study'.
        example: a file that is right.
        kind: has a field `name`.

    Raises:
        UserError: the file is missing or no mapping, or a key or value is not accepted.
    """
    record = read_mapping(place, what, example)
    try:
        return kind.model_validate({"name": place.stem, **record})
    except ValidationError as error:
        raise UserError(f"{what} {place}: {sentence(error, kind)}") from None


def sentence(error: ValidationError, root: type[BaseModel], whole: str = "the file") -> str:
    """All complaints as one sentence: key path, what is wrong, what is accepted.

    Args:
        root: what was to be made of it.
        whole: what it is called.
    """
    complaints = []
    for item in error.errors(include_url=False):
        names = [str(part) for part in item["loc"]]
        path = ".".join(names)
        if item["type"] == "extra_forbidden":
            section = ".".join(names[:-1]) or whole
            complaints.append(f"{path} is not a known key; {section} accepts {_accepted(names[:-1], root)}")
        elif item["type"] == "missing":
            complaints.append(f"{path} is required")
        elif isinstance(item["input"], dict):
            # What a whole section is wrong about says so itself; the section may hold what is not for logs.
            place = f"{path}: " if path else ""
            complaints.append(place + item["msg"].removeprefix("Value error, "))
        else:
            complaints.append(f"{path} = {item['input']!r}: {item['msg']}")
    return "; ".join(complaints)


def _accepted(names: Sequence[str], root: type[BaseModel]) -> str:
    """The keys of the section at that path."""
    models: list[type[BaseModel]] = [root]
    for name in names:
        annotations = [m.model_fields[name].annotation for m in models if name in m.model_fields]
        models = [found for a in annotations for found in _models_in(a)] or models
    return ", ".join(dict.fromkeys(key for m in models for key in m.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models_in(inner)]
