"""From a prediction back to all it came of: model version, shards, vocabulary, tables, code and configuration.

Everything is read from what the stages recorded when they ran. What is gone, or was made anew since, is said in its
place in the tree; the rest is told all the same.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import Row, SparkSession

from lib import artefact as artefacts
from lib import manifest as manifests
from lib import tables
from lib.artefact import Artefact
from lib.config import Config
from lib.errors import UserError
from lib.manifest import Manifest
from lib.registry import Version, versions
from lib.report.gather import OPTIONAL
from schemas.predictions import PREDICTIONS
from schemas.products import PRODUCTS

# What a month's offers go through before a window of months is cut into shards.
OFFER_STAGES = ("market", "crawl", "ingest", "images", "image_features", "tokenize")
# Stages beside them whose tables later stages read.
COUNTED = ("vocabulary", "normalize")
# A product has one prediction a version and delivery; more than these are no longer read by anybody.
MOST_PREDICTIONS = 20
# Characters of a setting in the tree; the JSON has it whole.
SHOWN = 160


@dataclass
class Node:
    """One thing that the prediction came of, with what is known of it and what it came of itself.

    Attributes:
        facts: JSON values, shown below the title in this order.
        parts: what it came of.
    """

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    parts: list["Node"] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The tree as JSON values."""
        return {"title": self.title, "facts": self.facts, "parts": [part.to_json() for part in self.parts]}


def trace(spark: SparkSession, config: Config, product_id: str, month: str) -> Node:
    """The tree of a product's predictions of a month.

    Raises:
        UserError: the month has no predictions, or none of this product.
    """
    found = _predictions(spark, config.storage.warehouse, product_id, month)
    registered = {one.number: one for one in versions(config.registry_store, config.registry.name)}
    parts = [_Tracer(config, month, registered).prediction(row) for row in found]
    offer = _offer(spark, config.storage.warehouse, product_id, month)
    return Node(f"product {product_id} in {month}", offer, parts)


def render(node: Node) -> str:
    """The tree as text, one line a fact."""
    return "\n".join(_lines(node, "", ""))


def _lines(node: Node, first: str, rest: str) -> Iterator[str]:
    yield first + _printable(node.title)
    bar = "│  " if node.parts else "   "
    for name, value in node.facts.items():
        yield f"{rest}{bar}{_printable(name)}: {_shown(value)}"
    for part in node.parts:
        last = part is node.parts[-1]
        yield from _lines(part, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = _printable(text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… (--json shows all)"


def _printable(text: str) -> str:
    """Without characters that would move a terminal's cursor: names are what malls wrote."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _predictions(spark: SparkSession, warehouse: str, product_id: str, month: str) -> list[Row]:
    """The product's predictions, oldest version first."""
    if not tables.exists(spark, warehouse, PREDICTIONS):
        raise UserError(f"there are no predictions under {warehouse}; run jobs/score.py --month {month} first")
    scored = tables.read_month(spark, warehouse, PREDICTIONS, month)
    found = scored.where(scored.product_id == product_id).limit(MOST_PREDICTIONS).collect()
    if not found:
        raise UserError(
            f"product {product_id!r} has no prediction in {month}; give an id as the table products has it, "
            f"'<mall_id>:<the mall's own id>', or run jobs/score.py --month {month} if it came later"
        )
    return sorted(found, key=lambda row: (row.batch, len(row.model_version), row.model_version))


def _offer(spark: SparkSession, warehouse: str, product_id: str, month: str) -> dict[str, Any]:
    """What was delivered, as far as it is still stored."""
    if not tables.exists(spark, warehouse, PRODUCTS):
        return {"offer": "the table products is gone"}
    stored = tables.read(spark, warehouse, PRODUCTS, month=month)
    newest = stored.where(stored.product_id == product_id).orderBy(stored.batch.desc()).limit(1).collect()
    if not newest:
        return {"offer": f"no longer in the table products, of which {month} was replaced or has expired"}
    row = newest[0]
    return {"name": row.prod_nm, "source": row.source, "delivery": row.batch}


@dataclass
class _Tracer:
    """Follows one month's predictions; knows what each stage left, so that an input is told by who made it."""

    config: Config
    month: str
    registered: Mapping[str, Version]
    left: dict[str, str] = field(default_factory=dict)

    def prediction(self, row: Row) -> Node:
        """A prediction: the run that made it, the model, and the month's own offers."""
        facts = {
            "path": " > ".join(row.path),
            "confidence": round(row.confidence, 4),
            "entropy": round(row.entropy, 4),
            "delivery": row.batch,
            "with picture": row.with_picture,
            "route": row.route,
        }
        version = row.model_version
        offers = self._offers([self.month])
        scored = self.stage("score", self.month, version)
        parts = [scored, self.model(version), *offers]
        return Node(f"category {row.cat_id} by model version {version}", facts, parts)

    def model(self, number: str) -> Node:
        """A model version: its training and its shards."""
        known = self.registered.get(number)
        folder = known.folder if known is not None else self._unregistered(number)
        title = f"model version {number}"
        if folder is None:
            return Node(title, {"gone": f"the registry has no version {number}, and no model artefact has that key"})
        facts: dict[str, Any] = {"artefact": str(folder), "aliases": list(known.aliases) if known else []}
        made, problem = _loaded(folder)
        if made is None:
            return Node(title, {**facts, "gone": problem})
        facts |= {"trained on": made.month, "content": made.content, "tokenizer": made.facts.get("tokenizer_key")}
        shards = self._folder("shards", made.month, made.facts.get("shards"))
        parts = [self.shards(shards), self.stage("train", made.month, artefact=made)]
        return Node(title, facts, parts)

    def shards(self, folder: Path | None) -> Node:
        """A shards artefact: its vocabularies, its distribution and the months it was cut from."""
        if folder is None:
            return Node("shards", {"gone": "the model does not say which shards it learnt from"})
        title = f"shards {_short(folder)}"
        made, problem = _loaded(folder)
        if made is None:
            return Node(title, {"gone": problem})
        self.left[made.content] = f"shards of {made.month}"
        months = [str(month) for month in made.facts.get("months", [made.month])]
        offers = self._offers(months)
        made_with = {"vocabulary": "vocabulary", "word2vec": "word2vec", "brands": "brand_dictionary"}
        parts = [self.artefact(made.facts.get(fact), kind) for kind, fact in made_with.items()]
        parts += [self._distribution(made.month), self.stage("shards", made.month, artefact=made), *offers]
        facts = {"months": months, "content": made.content, "rows": made.facts.get("exits")}
        return Node(title, facts, [part for part in parts if part is not None])

    def artefact(self, place: str | None, stage: str) -> Node | None:
        """An artefact that shards were encoded with, and the stage that made it."""
        if not place:
            return None
        folder = Path(self.config.storage.warehouse) / place
        made, problem = _loaded(folder)
        if made is None:
            return Node(f"{stage} {_short(folder)}", {"gone": problem})
        self.left[made.content] = f"{stage} of {made.month}"
        facts = {"months": made.facts.get("months"), "content": made.content}
        return Node(f"{stage} {_short(folder)}", facts, [self.stage(stage, made.month, artefact=made)])

    def stage(self, name: str, month: str, version: str | None = None, artefact: Artefact | None = None) -> Node:
        """What the stage recorded of its run.

        Args:
            version, artefact: what the run is to have used or made; a manifest of another run is said to be one.
        """
        title = f"stage {name} of {month}"
        try:
            found = manifests.find(self.config.storage.warehouse, name, month)
        except UserError as error:
            return Node(title, {"gone": str(error)})
        if found is None:
            return Node(title, {"gone": f"no manifest says how {name} ran for {month}"})
        facts = _facts_of(found)
        facts["read"] = {
            key: f"{value}, as left by {self.left[value]}" if value in self.left else value
            for key, value in found.inputs.items()
        }
        if version is not None and found.inputs.get("version", version) != version:
            facts["note"] = (
                f"a later run, which used version {found.inputs['version']}, has replaced that of this version"
            )
        if artefact is not None and not _made(found, artefact):
            facts["note"] = f"this is a later run; that which made {_short(artefact.folder)} is not recorded any more"
        return Node(title, facts)

    def _offers(self, months: Sequence[str]) -> list[Node]:
        """What the months' offers went through; also learns what each stage left."""
        nodes = []
        for month in months:
            found = {name: _found(self.config.storage.warehouse, name, month) for name in (*OFFER_STAGES, *COUNTED)}
            for record in found.values():
                self.left |= _contents(record) if record is not None else {}
            wanted = [name for name in OFFER_STAGES if found[name] is not None or name not in OPTIONAL]
            nodes += [self.stage(name, month) for name in wanted]
        return nodes

    def _distribution(self, month: str) -> Node:
        found = _found(self.config.storage.warehouse, "normalize", month)
        if found is not None and "distribution" in found.artefacts:
            made, _ = _loaded(Path(self.config.storage.warehouse) / found.artefacts["distribution"])
            if made is not None:
                self.left[made.content] = f"normalize of {month}"
        return self.stage("normalize", month)

    def _folder(self, kind: str, month: str, key: object) -> Path | None:
        return artefacts.folder(self.config.storage.warehouse, kind, month, key) if isinstance(key, str) else None

    def _unregistered(self, key: str) -> Path | None:
        """A model folder that scored without being registered goes by its key."""
        models = Path(self.config.storage.warehouse) / "artefacts" / "model"
        return next((place for place in sorted(models.glob("*/*")) if place.name == key), None)


def _loaded(folder: Path) -> tuple[Artefact | None, str]:
    """The artefact, or why there is none."""
    if not folder.is_dir():
        return None, f"{folder} is not there any more"
    try:
        return artefacts.load(folder), ""
    except UserError as error:
        return None, str(error)


def _found(warehouse: str, name: str, month: str) -> Manifest | None:
    try:
        return manifests.find(warehouse, name, month)
    except UserError:
        return None


def _facts_of(found: Manifest) -> dict[str, Any]:
    """A manifest's own words, in the order in which a reader asks for them."""
    return {
        "finished": found.finished,
        "code": found.code,
        "revision": found.revision,
        "settings": found.settings,
        "configuration": found.configuration or "not recorded",
        "packages": found.packages,
        "rows": {"in": found.rows_in, **found.exits},
        "wrote": _wrote(found),
        "artefacts": found.artefacts,
    }


def _wrote(found: Manifest) -> dict[str, str]:
    """Table -> its rows and the version that holds them."""
    words = {}
    for table in dict.fromkeys(entry["table"] for entry in found.written):
        slices = [entry for entry in found.written if entry["table"] == table]
        version = slices[-1].get("version")
        said = "a version not recorded" if version is None else f"version {version}"
        words[table] = f"{sum(entry['rows'] for entry in slices)} rows in {len(slices)} slices, {said}"
    return words


def _contents(found: Manifest) -> dict[str, str]:
    """Content of the month's rows of each table that the stage wrote -> who wrote it, in words.

    Fingerprints of slices add up to that of the month (lib/tables.py).
    """
    sums: dict[str, tuple[int, int]] = {}
    for entry in found.written:
        rows, total = sums.get(entry["table"], (0, 0))
        sums[entry["table"]] = (rows + int(entry["rows"]), total + int(entry["total"]))
    return {
        str(tables.Fingerprint(rows, str(total))): f"{found.stage} of {found.month} in {table}"
        for table, (rows, total) in sums.items()
        if rows
    }


def _made(found: Manifest, made: Artefact) -> bool:
    return any(place.endswith(f"{made.kind}/{made.month}/{made.key}") for place in found.artefacts.values())


def _short(folder: Path) -> str:
    return "/".join(folder.parts[-2:])
