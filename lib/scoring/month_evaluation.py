"""Measures a month's model: on the splits of its shards, on sampled names beside other models, against the truth."""

import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from lib import manifest, months, tables
from lib.artefact import Artefact
from lib.categories.taxonomy import replacements
from lib.config import Config, EvaluateSettings
from lib.evaluation import comparisons, figures, peer, uncertain
from lib.evaluation.figures import MAIN_HEAD, Figure
from lib.evaluation.record import Predictions
from lib.evaluation.replacement import followed
from lib.evaluation.sample import Sample, draw, labels_of, learnable
from lib.evaluation.suggestions import Suggester
from lib.evaluation.uncertain import Answers
from lib.manifest import Outcome
from lib.model.saved import describe
from lib.scoring import pictures, recorded, thresholds
from lib.scoring.predictor import check_same_tokens, shared_predictor
from lib.shards.build import split_files
from schemas.metrics import METRICS
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS
from schemas.truth import TRUTH

LOG = logging.getLogger(__name__)
NAME_HEAD = "text_prod_output"
EXAMPLES = 5


@dataclass(frozen=True)
class Version:
    """A registered model version and its artefact."""

    number: str
    month: str
    artefact: Artefact


def version_of(warehouse: str, month: str) -> Version | None:
    """The model that the month's training registered; None where it has not finished."""
    trained = manifest.find(warehouse, "train", month)
    if trained is None:
        return None
    return Version(str(trained.facts["version"]), month, manifest.artefact_of(warehouse, "train", month, "model"))


def inputs_of(spark: SparkSession, warehouse: str, month: str, version: Version, shards: Artefact) -> dict[str, str]:
    """Everything an evaluation depends on, as fingerprints."""
    older = version_of(warehouse, months.shift(month, -1))
    found = {
        "model": version.artefact.content,
        "version": version.number,
        "shards": shards.content,
        "older_model": f"{older.number} {older.artefact.content}" if older else "none",
        "tokens": str(tables.fingerprint(spark, warehouse, TOKENS, month=month)),
        **pictures.fingerprint(spark, warehouse, month, describe(version.artefact).architecture.picture),
    }
    for table in (TRUTH, TAXONOMY):
        there = tables.exists(spark, warehouse, table)
        found[table.name] = str(tables.fingerprint(spark, warehouse, table, month=month)) if there else "none"
    return found


@dataclass
class MonthEvaluation:
    """One month's evaluation.

    Attributes:
        shards: what the model was trained on; its validation and test splits are measured.
        outcome: slices of `metrics` written, and facts for the report.
        held_out: the answers on the splits measured so far.
        sample, seen: test names of the month held in memory, and the model's answers on them by head.
    """

    spark: SparkSession
    config: Config
    month: str
    version: Version
    shards: Artefact
    outcome: Outcome
    held_out: list[Answers] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.predictor = shared_predictor(str(self.version.artefact.folder))
        self.hierarchy = recorded.hierarchy_of(self.predictor, self.shards)
        self.sample = self._sample()
        labels = labels_of(self.sample.cat_ids, self.predictor.labels)
        size = self.settings.batch_size
        self.seen = recorded.on_names(self.predictor, self.hierarchy, self.sample, labels, size)

    @property
    def settings(self) -> EvaluateSettings:
        """The `evaluate` section."""
        return self.config.evaluate

    @property
    def warehouse(self) -> str:
        """Where the tables lie."""
        return self.config.storage.warehouse

    @cached_property
    def _replaced_by(self) -> dict[str, str]:
        """The month's replaced categories: offers are still delivered with them, and no model of the month has them."""
        return replacements(tables.read_if_there(self.spark, self.warehouse, TAXONOMY, month=self.month))

    def run(self) -> dict[str, float]:
        """Measure, write `metrics`, fill the outcome; returns the headline figures for MLflow."""
        self.outcome.facts |= {
            "model_version": self.version.number,
            "temperature": self.predictor.saved.temperature,
            "figures": {},
        }
        headline: dict[str, float] = {}
        beside, of_truth = self._beside_others(self.sample)
        for split in ("validation", "test"):
            found = self._split(split)
            self._write(split, self.version.number, found + (of_truth if split == "test" else []))
            headline |= _logged(split, found)
        self.outcome.facts |= beside
        self.outcome.facts["examples"] = self._examples(self.sample)
        self.outcome.facts["uncertain"] = self._uncertain()
        return headline

    def _split(self, split: str) -> list[Figure]:
        """Figures of one split; the test split's details go into the facts."""
        seen = recorded.on_split(self.predictor, self.hierarchy, self.shards, split, self.settings.batch_size)
        cat_ids, paths = self.predictor.cat_ids, self.predictor.paths
        found = figures.split_figures(
            seen, self.hierarchy, cat_ids, self.settings.thresholds, self.settings.bootstrap_rounds
        )
        found += figures.shot_figures(seen[MAIN_HEAD], self._train_rows(), self.settings.bootstrap_rounds)
        self.outcome.facts["figures"][split] = figures.headline(found)
        self.held_out.append(Answers.of(seen[MAIN_HEAD]))
        if split == "validation":
            self._learn_thresholds(seen[MAIN_HEAD])
        if split == "test":
            main = seen[MAIN_HEAD]
            self.outcome.facts["test"] = figures.split_facts(main, self.hierarchy, cat_ids, paths, self.settings.worst)
        return found

    def _train_rows(self) -> NDArray[np.int64]:
        """Of each of the model's labels, the train rows that it was learnt from [classes]."""
        rows = np.zeros(self.hierarchy.classes, np.int64)
        for place in split_files(self.shards, "train"):
            labels = pq.read_table(place, columns=["label"]).column("label").to_numpy()
            rows += np.bincount(labels, minlength=len(rows))
        return rows

    def _learn_thresholds(self, seen: Predictions) -> None:
        """Keep from which confidence on the model's answers may go unseen."""
        routing, predictor = self.config.routing, self.predictor
        made = thresholds.thresholds_of(seen, self.hierarchy, predictor.cat_ids, predictor.paths, routing)
        kept = thresholds.store(self.warehouse, self.version.artefact, routing, made)
        self.outcome.artefacts["thresholds"] = kept
        self.outcome.facts["routing"] = dict(kept.facts)

    def _sample(self) -> Sample:
        tokens = tables.read(self.spark, self.warehouse, TOKENS, month=self.month)
        truth = None
        if self.config.market is not None and tables.exists(self.spark, self.warehouse, TRUTH):
            truth = self._followed(tables.read(self.spark, self.warehouse, TRUTH, month=self.month))
        check_same_tokens(self.predictor, self._tokenizer_keys())
        living = self._followed(tokens)
        pictured = pictures.with_pictures(living, self.warehouse, self.month, self.predictor.picture)
        return draw(pictured, truth, self.settings.sample_rows)

    def _followed(self, rows: DataFrame) -> DataFrame:
        return followed(rows, "cat_id", self._replaced_by)

    def _tokenizer_keys(self) -> list[str]:
        tokens = tables.read(self.spark, self.warehouse, TOKENS, month=self.month)
        return [str(row["tokenizer_key"]) for row in tokens.select("tokenizer_key").distinct().collect()]

    def _beside_others(self, sample: Sample) -> tuple[dict[str, Any], list[Figure]]:
        """Facts of the comparisons on sampled names, and the figures against the truth."""
        facts: dict[str, Any] = {"sample": {"rows": len(sample), "of": sample.rows_of}}
        if len(sample) == 0:
            return facts, []
        facts["next_month"] = self._next_month(sample)
        facts["mall_confidence"] = comparisons.mall_confidence(sample, self.seen[MAIN_HEAD].confidence)
        facts["peer"] = self._peer(sample) if self.settings.peer else None
        facts["truth"] = self._truth(sample)
        return facts, comparisons.truth_figures(facts["truth"]) if facts["truth"] else []

    def _next_month(self, sample: Sample) -> dict[str, Any] | None:
        """The model of the month before on this month's test names."""
        older = version_of(self.warehouse, months.shift(self.month, -1))
        if older is None:
            return None
        predictor = shared_predictor(str(older.artefact.folder))
        if set(self._tokenizer_keys()) != {str(predictor.saved.tokenizer["key"])}:
            return {"why_not": f"Version {older.number} was trained on other tokens than this month's."}
        if predictor.picture is not None and predictor.picture != self.predictor.picture:
            return {
                "why_not": f"Version {older.number} sees pictures otherwise than this month's ({predictor.picture})."
            }
        hierarchy = recorded.hierarchy_of(predictor)
        seen, _ = recorded.of_older(predictor, sample, self._replaced_by, self.settings.batch_size)
        found = [
            *figures.head_figures(MAIN_HEAD, seen, hierarchy.classes, self.settings.bootstrap_rounds),
            *figures.level_figures(seen, hierarchy, self.settings.bootstrap_rounds),
            *figures.confidence_figures(seen, self.settings.thresholds, self.settings.bootstrap_rounds),
        ]
        self._write("next_month", older.number, found)
        compared = comparisons.next_month(seen, self.seen[MAIN_HEAD], self.settings.bootstrap_rounds)
        compared["mall_confidence"] = comparisons.mall_confidence(sample, seen.confidence)
        return {"model_version": older.number, "model_month": older.month, **compared}

    def _peer(self, sample: Sample) -> dict[str, Any] | None:
        """The scikit-learn peer, trained on the window's train and validation names."""
        window = list(self.shards.facts["months"])
        tokens = self._followed(tables.read(self.spark, self.warehouse, TOKENS, month=window))
        names = learnable(tokens, self.settings.peer_max_rows)
        if len(names.names) == 0:
            return None
        answered = peer.answer(list(names.names), list(names.cat_ids), list(sample.names))
        facts = comparisons.against_peer(
            answered,
            len(names.names),
            sample,
            self.seen[MAIN_HEAD],
            self.seen.get(NAME_HEAD),
            self.settings.bootstrap_rounds,
        )
        self._write("test", peer.PEER_VERSION, comparisons.peer_figures(facts))
        return facts

    def _truth(self, sample: Sample) -> dict[str, Any] | None:
        """Against what the embedded market made each offer from."""
        if sample.true_cat_ids is None:
            return None
        true_labels = labels_of(sample.true_cat_ids, self.predictor.labels)
        given_right = sample.cat_ids == sample.true_cat_ids
        return comparisons.against_truth(self.seen[MAIN_HEAD], true_labels, given_right, self.settings.bootstrap_rounds)

    def _examples(self, sample: Sample) -> dict[str, Any]:
        worst = [str(one["cat_id"]) for one in self.outcome.facts["test"]["worst"]]
        if len(sample) == 0:
            return {}
        return comparisons.examples(sample, self.seen[MAIN_HEAD], worst, self.predictor.paths, EXAMPLES)

    def _uncertain(self) -> dict[str, Any]:
        """The categories that the model is least sure of, with names, and fixes that a person may take over."""
        settings, predictor, seen = self.settings.uncertain, self.predictor, self.seen[MAIN_HEAD]
        found = uncertain.uncertain(Answers.joined(self.held_out), self.hierarchy.classes, settings)
        facts = uncertain.facts(found, predictor.cat_ids, predictor.paths)
        next_month = months.shift(self.month, 1)
        suggester = Suggester(self.sample, seen, predictor.cat_ids, settings.sure, next_month)
        cat_ids = [entry["cat_id"] for entry in facts["categories"]]
        mistaken, unsure = (
            show(self.sample, seen, cat_ids, predictor.paths, EXAMPLES)
            for show in (comparisons.examples, comparisons.unsure_examples)
        )
        for one, entry in zip(found.listed, facts["categories"], strict=True):
            shown = mistaken if one.kind in ("twins", "polluted") else unsure
            entry |= {"fix": suggester.fix(one), "examples": shown.get(entry["cat_id"], [])}
        return facts

    def _write(self, split: str, version: str, found: list[Figure]) -> None:
        """Replace one slice of `metrics`."""
        where = {"month": self.month, "model_version": version, "split": split}
        rows = [(*where.values(), f.slice, f.name, float(f.value), f.low, f.high) for f in found]
        frame = self.spark.createDataFrame(rows, METRICS.struct)
        self.outcome.wrote(METRICS, where, tables.write(frame, self.warehouse, METRICS, where))


def _logged(split: str, found: list[Figure]) -> dict[str, float]:
    """The figures that MLflow shows with a version."""
    wanted = {
        (f"head={MAIN_HEAD}", "accuracy"),
        (f"head={MAIN_HEAD}", "top5_accuracy"),
        (f"head={MAIN_HEAD}", "macro_f1"),
        ("all", "hierarchical_f1"),
        ("all", "ece_after"),
    }
    return {f"{split}_{one.name}": one.value for one in found if (one.slice, one.name) in wanted}
