"""Typed configuration: one YAML per environment, checked whole before anything runs.

Values are overridden on the command line as `--set train.epochs=3`. `${CATMATCH_DATA}` in a string is the folder of
real data (default ../shared/data). Secrets are never configuration: they come from the environment where they are used.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lib.errors import UserError

DEFAULT_DATA = "../shared/data"


class Settings(BaseModel):
    """Base of every section: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, validate_default=True)


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


class Storage(Settings):
    """Where things lie."""

    warehouse: str = Field(description="folder (or object-store URI) of the Delta tables, manifests and artefacts")
    state: str = Field(description="local folder of the SQLite stores; never on an object store")
    reports: str = Field(description="folder of the HTML reports")

    @model_validator(mode="after")
    def _state_is_local(self) -> "Storage":
        if "://" in self.state:
            raise ValueError("storage.state must be a local folder: SQLite does not work on an object store")
        return self


class SparkSettings(Settings):
    """The Spark session."""

    master: str = "local[*]"
    driver_memory: str = Field("4g", pattern=r"^[1-9][0-9]*[mg]$", description="heap of the driver, as Spark writes it")
    shuffle_partitions: Positive = 8
    ui: bool = False
    log_level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "ERROR"
    extra: dict[str, str] = Field(default_factory=dict, description="further spark.* settings")


class Config(Settings):
    """Everything one environment says."""

    storage: Storage
    spark: SparkSettings = SparkSettings()

    def at(self, key: str) -> Any:
        """The JSON value at a dotted key, for instance 'text.tokenizer'."""
        value: Any = self
        for part in key.split("."):
            value = getattr(value, part)
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def load(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply `key=value` overrides.

    Raises:
        UserError: the file is missing or no mapping, or a key or value is not accepted; names the key's path.
    """
    place = Path(path)
    try:
        record = yaml.safe_load(place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"configuration {place} cannot be read ({error}); give a YAML file such as conf/local.yaml") from None
    except yaml.YAMLError as error:
        raise UserError(f"configuration {place} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(record, dict):
        raise UserError(f"configuration {place} must be a mapping of sections, such as conf/local.yaml")
    for override in overrides:
        _override(record, override)
    try:
        return Config.model_validate(_expand(record))
    except ValidationError as error:
        raise UserError(f"{place}: {_sentence(error)}") from None


def _override(record: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise UserError(f"--set {override}: write it as section.key=value, for instance train.epochs=3")
    section: Any = record
    for index, part in enumerate(parts[:-1]):
        section = _step(section, part, ".".join(parts[: index + 1]), override, create=True)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: {text!r} is no YAML value") from None
    if isinstance(section, list):
        _step(section, parts[-1], key, override, create=False)
        section[int(parts[-1])] = value
    elif isinstance(section, dict):
        section[parts[-1]] = value
    else:
        raise UserError(f"--set {override}: {'.'.join(parts[:-1])} is a single value and has no {parts[-1]!r}")


def _step(section: Any, part: str, path: str, override: str, *, create: bool) -> Any:
    """One level down into a mapping (by key) or a list (by index)."""
    if isinstance(section, dict):
        if create and section.get(part) is None:
            section[part] = {}
        return section[part]
    if isinstance(section, list):
        if not part.isdigit() or int(part) >= len(section):
            raise UserError(f"--set {override}: {path} must be an index below {len(section)}")
        return section[int(part)]
    raise UserError(f"--set {override}: {path} does not exist")


def _expand(value: Any) -> Any:
    """Replace ${CATMATCH_DATA} in every string; no other variable, so that no secret ends in a manifest."""
    if isinstance(value, dict):
        return {key: _expand(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("${CATMATCH_DATA}", os.environ.get("CATMATCH_DATA", DEFAULT_DATA))
    return value


def _sentence(error: ValidationError) -> str:
    """All complaints as one sentence: key path, what is wrong, what is accepted."""
    complaints = []
    for item in error.errors(include_url=False):
        names = [str(part) for part in item["loc"]]
        path = ".".join(names)
        if item["type"] == "extra_forbidden":
            complaints.append(f"{path} is not a known key; {'.'.join(names[:-1]) or 'the file'} accepts {_accepted(names[:-1])}")
        elif item["type"] == "missing":
            complaints.append(f"{path} is required")
        else:
            complaints.append(f"{path} = {item['input']!r}: {item['msg']}")
    return "; ".join(complaints)


def _accepted(names: Sequence[str]) -> str:
    """The keys of the section at that path."""
    models: list[type[BaseModel]] = [Config]
    for name in names:
        annotations = [m.model_fields[name].annotation for m in models if name in m.model_fields]
        models = [found for a in annotations for found in _models_in(a)] or models
    return ", ".join(dict.fromkeys(key for m in models for key in m.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models_in(inner)]
