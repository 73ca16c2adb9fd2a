"""What each stage did in each month, and whether doing it again would change anything.

A stage's skip key covers its name, its revision, the configuration it declares and the content of its inputs. Code
and package versions are recorded for tracing and never compared; so optimising a table or ingesting another month
redoes nothing.
"""

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lib import artefact as artefacts
from lib import tables
from lib.artefact import Artefact
from lib.config import Config
from lib.errors import UserError
from lib.own_files import COMMIT, ROOT, read
from schemas.table import Table, is_month

LOG = logging.getLogger(__name__)
# Packages whose version can change a result; recorded so that a difference between two months can be traced.
TRACED_PACKAGES = (
    "pyspark",
    "delta-spark",
    "pyarrow",
    "numpy",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "gensim",
    "konlpy",
    "kiwipiepy",
    "python-mecab-ko",
    "petastorm",
)


@dataclass(frozen=True)
class Stage:
    """One step of the month.

    Attributes:
        name: the job's name.
        revision: raised by hand when the code's result changes; part of the skip key.
        config_keys: dotted keys of the configuration that its result depends on.
    """

    name: str
    revision: int
    config_keys: tuple[str, ...]

    def settings(self, config: Config) -> dict[str, Any]:
        """The declared part of the configuration, as JSON values."""
        return {key: config.at(key) for key in self.config_keys}

    def key(self, config: Config, inputs: Mapping[str, str]) -> str:
        """Hex skip key of this stage over these inputs."""
        parts = [self.name, self.revision, self.settings(config), dict(inputs)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Written:
    """One slice of a table as a stage left it.

    Attributes:
        version: of the table, in which these rows can be read as long as it is not vacuumed; for tracing only.
    """

    table: str
    where: dict[str, str]
    rows: int
    total: str
    version: int | None = None


@dataclass
class Outcome:
    """What one run of a stage says of itself.

    Attributes:
        rows_in: records that came in; None for stages that do not pass rows on.
        exits: where each of them went: {'products': 98, 'rejects': 2}; sums to rows_in.
        written: table slices committed.
        artefacts: kind -> artefact made or reused.
        facts: further figures for the report (JSON values that do not grow with the data).
    """

    rows_in: int | None = None
    exits: dict[str, int] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    artefacts: dict[str, Artefact] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def wrote(self, table: Table, where: Mapping[str, str], value: tables.Fingerprint) -> None:
        """Record a committed slice."""
        self.written.append(Written(table.name, dict(where), value.rows, value.total))


@dataclass(frozen=True)
class Manifest:
    """A finished stage of a month, as kept in manifests/<stage>/<month>.json.

    Attributes:
        settings: the configuration that its result depends on.
        configuration: the whole configuration's hash, by which `configuration_path` finds it; '' in older manifests.
    """

    stage: str
    revision: int
    month: str
    key: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    rows_in: int | None
    exits: dict[str, int]
    written: list[dict[str, Any]]
    artefacts: dict[str, str]
    facts: dict[str, Any]
    seconds: float
    finished: str
    code: str
    packages: dict[str, str]
    skipped: bool = False
    configuration: str = ""


def run_stage(
    spark: SparkSession | None,
    stage: Stage,
    config: Config,
    month: str,
    inputs: Mapping[str, str],
    work: Callable[[str], Outcome],
    *,
    tables_written: Mapping[str, Table] | None = None,
    force: bool = False,
) -> Manifest:
    """Run the stage's work for the month unless its manifest says that nothing it depends on has changed.

    Args:
        spark: None for a stage that writes no table.
        inputs: name -> content fingerprint (or artefact content hash) of each input.
        work: gets the skip key (which artefacts take as theirs), commits, and says what it did.
        tables_written: name -> schema of the tables the stage writes; a skip is checked against their content.
        force: run even if nothing changed.

    Raises:
        UserError: rows went missing between input and exits.
    """
    warehouse = config.storage.warehouse
    _check_folder(warehouse)
    key = stage.key(config, inputs)
    found = None if force else find(warehouse, stage.name, month)
    if found is not None and found.key == key and _still_there(spark, warehouse, found, tables_written or {}):
        LOG.info("%s %s: nothing changed since %s, skipped", stage.name, month, found.finished)
        return Manifest(**{**asdict(found), "skipped": True})
    LOG.info("%s %s: started", stage.name, month)
    started = time.monotonic()
    outcome = work(key)
    _check_balance(stage, month, outcome)
    manifest = _manifest(spark, stage, config, month, key, dict(inputs), outcome, time.monotonic() - started)
    _store(warehouse, manifest)
    LOG.info("%s %s: done in %.1f s %s", stage.name, month, manifest.seconds, outcome.exits or "")
    return manifest


def _check_folder(warehouse: str) -> None:
    """Refuse a warehouse that cannot be written to before any work is done for it."""
    try:
        Path(warehouse).mkdir(parents=True, exist_ok=True)
        reason = None if os.access(warehouse, os.W_OK) else "it may not be written to"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise UserError(f"storage.warehouse {warehouse} cannot be used ({reason}); name a folder")


def find(warehouse: str, stage: str, month: str) -> Manifest | None:
    """The stage's manifest of the month, if it has finished."""
    place = _path(warehouse, stage, month)
    if not place.is_file():
        return None
    try:
        return Manifest(**json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{place} is no stage manifest ({error}); remove it and run `{stage}` again") from None


def finished_months(warehouse: str) -> list[str]:
    """Months for which any stage has finished, in order."""
    found = {place.stem for place in (Path(warehouse) / "manifests").glob("*/*.json")}
    return sorted(month for month in found if is_month(month))


def unchanged(stage: Stage, config: Config, month: str, inputs: Mapping[str, str]) -> bool:
    """Whether the stage has finished for the month with this configuration and these inputs."""
    found = find(config.storage.warehouse, stage.name, month)
    return found is not None and found.key == stage.key(config, inputs)


def require(warehouse: str, stage: str, month: str) -> Manifest:
    """The stage's manifest of the month.

    Raises:
        UserError: the stage has not finished for that month.
    """
    found = find(warehouse, stage, month)
    if found is None:
        raise UserError(f"stage {stage} has not finished for month {month} in {warehouse}; run jobs/{stage}.py first")
    return found


def artefact_of(warehouse: str, stage: str, month: str, kind: str) -> Artefact:
    """The artefact that the stage's last run for the month made."""
    listed = require(warehouse, stage, month).artefacts
    return artefacts.load(Path(warehouse) / listed[kind])


def _still_there(spark: SparkSession | None, warehouse: str, found: Manifest, schemas: Mapping[str, Table]) -> bool:
    """Whether all that the manifest says was written is still what is stored."""
    for folder in found.artefacts.values():
        if not (Path(warehouse) / folder / artefacts.MANIFEST).is_file():
            return False
    for entry in found.written:
        table = schemas.get(entry["table"])
        if table is None:
            continue
        assert spark is not None
        if not tables.exists(spark, warehouse, table):
            return False
        stored = tables.fingerprint(spark, warehouse, table, **entry["where"])
        if (stored.rows, stored.total) != (entry["rows"], entry["total"]):
            return False
    return True


def _check_balance(stage: Stage, month: str, outcome: Outcome) -> None:
    if outcome.rows_in is not None and outcome.rows_in != sum(outcome.exits.values()):
        raise UserError(
            f"stage {stage.name} of {month} took {outcome.rows_in} rows in but accounts for "
            f"{sum(outcome.exits.values())} ({outcome.exits}); this is a defect, please report it with the manifest"
        )


def _manifest(
    spark: SparkSession | None,
    stage: Stage,
    config: Config,
    month: str,
    key: str,
    inputs: dict[str, str],
    outcome: Outcome,
    seconds: float,
) -> Manifest:
    warehouse = Path(config.storage.warehouse)
    return Manifest(
        stage=stage.name,
        revision=stage.revision,
        month=month,
        key=key,
        inputs=inputs,
        settings=stage.settings(config),
        rows_in=outcome.rows_in,
        exits=outcome.exits,
        written=_with_versions(spark, config.storage.warehouse, outcome.written),
        artefacts={kind: made.folder.relative_to(warehouse).as_posix() for kind, made in outcome.artefacts.items()},
        facts=outcome.facts,
        seconds=round(seconds, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        code=code_version(),
        packages=package_versions(),
        configuration=_keep_configuration(config),
    )


def _with_versions(spark: SparkSession | None, warehouse: str, written: Sequence[Written]) -> list[dict[str, Any]]:
    """The slices, with the versions in which their tables are now."""
    assert spark is not None or not written
    names = {entry.table for entry in written}
    versions = {name: tables.version(spark, warehouse, name) for name in names} if spark is not None else {}
    return [{**asdict(entry), "version": versions[entry.table]} for entry in written]


def _keep_configuration(config: Config) -> str:
    """Keep the whole configuration once under its hash, which is returned; a secret is never part of it."""
    text = json.dumps(config.model_dump(mode="json"), ensure_ascii=False, indent=1, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    place = configuration_path(config.storage.warehouse, digest)
    if not place.is_file():
        artefacts.write_whole(place, text)
    return digest


def configuration_path(warehouse: str, digest: str) -> Path:
    """Where the configuration of that hash is kept, as JSON."""
    return Path(warehouse) / "manifests" / "configurations" / f"{digest}.json"


def _store(warehouse: str, manifest: Manifest) -> None:
    place = _path(warehouse, manifest.stage, manifest.month)
    artefacts.write_whole(place, json.dumps(asdict(manifest), ensure_ascii=False, indent=1, sort_keys=True))


def _path(warehouse: str, stage: str, month: str) -> Path:
    return Path(warehouse) / "manifests" / stage / f"{month}.json"


@cache
def code_version() -> str:
    """The commit, with '+changes' when the tree was not clean; of the checkout, or of what the zip was built of."""
    if not (ROOT / ".git").exists():
        packed = read(COMMIT)
        return packed.decode().strip() if packed else os.environ.get("CATMATCH_COMMIT", "unknown")
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout.strip()


@cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    installed = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    found = {name: installed[name] for name in TRACED_PACKAGES if name in installed}
    return {"python": sys.version.split()[0], **found}
