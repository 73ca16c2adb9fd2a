"""Versions and aliases of the model, in an MLflow model registry (SQLite in a local folder unless conf says otherwise).

A version's source is its artefact's folder; nothing is uploaded anywhere.

`champion` scores; `previous` is who was champion before, to whom a rollback returns. Each alias moves in one step, and
in such an order that whoever is killed in between leaves a champion that exists.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from lib.artefact import MANIFEST, Artefact, load
from lib.errors import UserError

NAME = "catmatch"
CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
# Tag of a version that was champion and that a person took back: who, why and when, as JSON.
WITHDRAWN = "withdrawn"
EXPERIMENT = "catmatch"
# File of the SQLite store in the local folder.
STORE = "mlflow.db"
# Versions that MLflow is asked for at once.
PAGE = 1000
# MLflow refuses longer values of a parameter.
LONGEST_PARAMETER = 6000


def store_uri(state: str) -> str:
    """An MLflow store's URI as it is; SQLite inside the folder otherwise."""
    if "://" in state:
        return state
    folder = Path(state).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / STORE}"


def register(
    state: str,
    artefact: Artefact,
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    name: str = NAME,
) -> str:
    """Make the artefact a version of the registered model, with alias `candidate`.

    An artefact that is registered already keeps its version.

    Args:
        state: `registry.uri`, or `storage.state`.
        metrics: logged to the version's run.
        params: logged as text.

    Returns:
        The version's number.
    """
    client = client_of(state)
    source = artefact.folder.resolve().as_posix()
    found = _registered(client, name, source, artefact.content)
    if found is None:
        run = client.create_run(experiment(client), run_name=f"train {artefact.month}")
        values = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in params.items()]
        client.log_batch(run.info.run_id, metrics=_metrics(metrics), params=values)
        client.set_terminated(run.info.run_id)
        tags = {"content": artefact.content, "month": artefact.month, "key": artefact.key}
        found = str(client.create_model_version(name, source, run.info.run_id, tags=tags).version)
    client.set_registered_model_alias(name, CANDIDATE, found)
    return found


def resolve(state: str, name_or_folder: str, name: str = NAME) -> tuple[Path, str]:
    """An alias ('champion'), a version's number or an artefact's folder, as the folder and its version.

    Returns:
        The folder; the version's number, or for a folder that is not registered its artefact key.

    Raises:
        UserError: there is no such alias, version or folder.
    """
    place = Path(name_or_folder)
    if (place / MANIFEST).is_file():
        return place, _version_of(state, place, name)
    if "/" in name_or_folder:
        raise UserError(
            f"{name_or_folder} is no model folder: it has no {MANIFEST}; give an alias, a version or a folder"
        )
    client = client_of(state)
    try:
        found = (
            client.get_model_version(name, name_or_folder)
            if name_or_folder.isdigit()
            else client.get_model_version_by_alias(name, name_or_folder)
        )
    except MlflowException:
        raise UserError(
            f"model {name} has no alias or version {name_or_folder!r} in {store_uri(state)}; it has "
            f"{_known(client, name)}; run jobs/train.py, or give a model folder"
        ) from None
    folder = Path(found.source)
    if not (folder / MANIFEST).is_file():
        raise UserError(
            f"version {found.version} of model {name} lies in {folder}, which is gone or unfinished; "
            "train again or choose another version"
        )
    return folder, str(found.version)


def set_alias(state: str, alias: str, version: str, name: str = NAME) -> None:
    """Let the alias name that version.

    Raises:
        UserError: there is no such version, or the alias is not one MLflow accepts.
    """
    try:
        client = client_of(state)
        client.get_model_version(name, version)
        client.set_registered_model_alias(name, alias, version)
    except MlflowException as error:
        raise UserError(f"alias {alias!r} cannot name version {version!r} of model {name}: {_said(error)}") from None


@dataclass(frozen=True)
class Standing:
    """Who is champion and who was before, as version numbers; None where nobody is."""

    champion: str | None
    previous: str | None


def standing(state: str, name: str = NAME) -> Standing:
    """Who is champion now and who was before.

    Raises:
        UserError: the registry does not say.
    """
    if not _store_is_there(state):
        return Standing(None, None)
    aliases = _aliases(client_of(state), name)
    return Standing(*(str(aliases[one]) if one in aliases else None for one in (CHAMPION, PREVIOUS)))


def crown(state: str, version: str, previous: str | None, name: str = NAME) -> Standing:
    """Make the version champion.

    Args:
        previous: who is to be `previous` from now on; None: it stays as it is.

    Raises:
        UserError: as `set_alias`.
    """
    if previous is not None:
        set_alias(state, PREVIOUS, previous, name)
    set_alias(state, CHAMPION, version, name)
    return standing(state, name)


def roll_back(state: str, note: Mapping[str, str], name: str = NAME) -> Standing:
    """Let champion and previous change places; the one that was champion is tagged as withdrawn.

    Args:
        note: who does it, why and when.

    Returns:
        As it is now.

    Raises:
        UserError: there is no previous, or its files are gone or damaged; nothing has changed then.
    """
    now = standing(state, name)
    if now.champion is None or now.previous is None or now.champion == now.previous:
        raise UserError(
            f"model {name} has no previous champion to return to in {store_uri(state)}; it has "
            f"{_known(client_of(state), name)}"
        )
    folder, _ = resolve(state, now.previous, name)
    load(folder).verify()
    client = client_of(state)
    client.set_model_version_tag(name, now.champion, WITHDRAWN, json.dumps(dict(note), ensure_ascii=False))
    client.delete_model_version_tag(name, now.previous, WITHDRAWN)
    set_alias(state, CHAMPION, now.previous, name)
    set_alias(state, PREVIOUS, now.champion, name)
    return standing(state, name)


def withdrawn(state: str, version: str, name: str = NAME) -> dict[str, str] | None:
    """Who took the version back, why and when; None: nobody did.

    Raises:
        UserError: there is no such version.
    """
    try:
        note = client_of(state).get_model_version(name, version).tags.get(WITHDRAWN)
    except MlflowException as error:
        raise UserError(f"version {version!r} of model {name} cannot be read: {_said(error)}") from None
    return None if note is None else dict(json.loads(note))


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        number: as MLflow counts them.
        month: the month that it was trained on, 'YYYY-MM'.
        folder: its artefact.
        aliases: those that name it, sorted.
    """

    number: str
    month: str
    folder: Path
    aliases: tuple[str, ...]


def versions(state: str, name: str = NAME) -> list[Version]:
    """All versions of the model, oldest first; none where no store or model has been made yet."""
    if not _store_is_there(state):
        return []
    client = client_of(state)
    named: dict[str, list[str]] = {}
    for alias, number in sorted(_aliases(client, name).items()):
        named.setdefault(str(number), []).append(alias)
    found = [
        Version(
            str(one.version), str(one.tags.get("month", "")), Path(one.source), tuple(named.get(str(one.version), ()))
        )
        for one in _versions(client, name)
    ]
    return sorted(found, key=lambda one: int(one.number))


def log_metrics(state: str, version: str, metrics: Mapping[str, float], name: str = NAME) -> None:
    """Add figures to the run of a version.

    Raises:
        UserError: there is no such version.
    """
    client = client_of(state)
    try:
        run = client.get_model_version(name, version).run_id
        client.log_batch(run, metrics=_metrics(metrics))
    except MlflowException as error:
        raise UserError(f"figures of version {version!r} of model {name} cannot be logged: {_said(error)}") from None


def _store_is_there(state: str) -> bool:
    """Whether there may be anything to ask: asking a local store makes it."""
    return "://" in state or (Path(state) / STORE).is_file()


@cache
def _open(uri: str) -> MlflowClient:
    """One client a store: opening one migrates its database, which takes seconds."""
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def client_of(state: str) -> MlflowClient:
    """The client of a store.

    Args:
        state: `registry.uri`, or `storage.state`.
    """
    return _open(store_uri(state))


def experiment(client: MlflowClient, name: str = EXPERIMENT) -> str:
    """Id of the experiment of that name, which is made if need be."""
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id) if found else str(client.create_experiment(name))


def _registered(client: MlflowClient, name: str, source: str, content: str) -> str | None:
    """The newest version made of this very artefact."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    same = [one for one in _versions(client, name) if one.source == source and one.tags.get("content") == content]
    return str(max(int(one.version) for one in same)) if same else None


def _versions(client: MlflowClient, name: str) -> list[Any]:
    """All of them, however many pages MLflow makes of them."""
    page = client.search_model_versions(f"name='{name}'", max_results=PAGE)
    found = list(page)
    while page.token:
        page = client.search_model_versions(f"name='{name}'", max_results=PAGE, page_token=page.token)
        found += page
    return found


def _version_of(state: str, place: Path, name: str) -> str:
    source = place.resolve().as_posix()
    versions = [int(one.version) for one in _versions(client_of(state), name) if one.source == source]
    return str(max(versions)) if versions else place.resolve().name


def _known(client: MlflowClient, name: str) -> str:
    aliases = sorted(_aliases(client, name).items())
    return ", ".join(f"{alias} (version {version})" for alias, version in aliases) or "no alias yet"


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Alias -> version; none where there is no such model yet.

    Raises:
        UserError: the registry does not say. A champion that cannot be read is not one that is absent: a candidate
            would be the first champion, and upkeep would take artefacts for unneeded.
    """
    try:
        return dict(client.get_registered_model(name).aliases)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise UserError(
                f"the aliases of model {name} cannot be read ({_said(error)}); see to the store that registry.uri, or "
                "storage.state, names and run this again"
            ) from None
        return {}


def _metrics(values: Mapping[str, float]) -> list[Metric]:
    return [Metric(key, float(value), 0, 0) for key, value in values.items()]


def _said(error: MlflowException) -> str:
    return " ".join(str(error.message).split())
