"""A month's candidate against the champion: gates, decision, aliases.

The rule of months that are run again: a decision is made once for what it was made from (the candidate, the month's
data, people's answers, drift, settings, what a person overruled). Who is champion is no part of that, because decisions
change it: so a second run finds nothing changed and moves nothing, also after a later month has been promoted or a
person has rolled back. `--force` and changed inputs (an audit sample that was answered, say) have the candidate judged
anew, against who is champion then; a version that a person rolled back is not promoted again all the same, unless told
to. What a person overruled holds for that candidate until something else is said of it. While the candidate is champion
itself, the decision that made it so stays.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lib import manifest, months, registry, tables
from lib.artefact import write_whole
from lib.categories.taxonomy import leaves_of, replacements
from lib.config import Config, PromoteSettings
from lib.errors import UserError
from lib.lock import only_one
from lib.manifest import Outcome
from lib.promotion import gates, latency, month_answers, unfinished
from lib.promotion.bounds import weighted
from lib.promotion.decision import Decision, Seat, already_champion, decided
from lib.promotion.gates import Gate
from lib.promotion.override import NO_OVERRIDE, Note, Override
from lib.review.audit import answered_rows
from lib.scoring import pictures
from lib.scoring.chosen import Chosen, choose
from lib.scoring.month_evaluation import Version, version_of
from lib.scoring.month_scores import MonthRows
from schemas.reviews import REVIEWS
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS

LOG = logging.getLogger(__name__)
STAGE, DRIFT = "promote", "drift"


def candidate_of(warehouse: str, month: str) -> Version:
    """The version that the month's training made.

    Raises:
        UserError: there is none.
    """
    found = version_of(warehouse, month)
    if found is None:
        raise UserError(f"stage train has not finished for month {month} in {warehouse}; run jobs/train.py first")
    return found


def current_month(config: Config) -> str | None:
    """The calendar's month; None where months are simulated and any may be made."""
    return None if config.market is not None else datetime.now(UTC).strftime("%Y-%m")


@dataclass(frozen=True)
class Audit:
    """An audit sample that people answered: its month, the answered offers and how many they are."""

    month: str
    rows: DataFrame
    answered: int


@dataclass
class MonthPromotion:
    """One month's judgement.

    Attributes:
        version: the candidate.
        override: the gates that a person overrules.
    """

    spark: SparkSession
    config: Config
    month: str
    version: Version
    override: Override

    @property
    def settings(self) -> PromoteSettings:
        """The `promote` section."""
        return self.config.promote

    @property
    def warehouse(self) -> str:
        """Where the tables lie."""
        return self.config.storage.warehouse

    def inputs(self) -> dict[str, str]:
        """All that a decision is made from but who is champion, as fingerprints."""
        spark, warehouse, month = self.spark, self.warehouse, self.month
        current = current_month(self.config)
        drift = manifest.find(warehouse, DRIFT, month)
        found = {
            "candidate": f"{self.version.number} {self.version.artefact.content}",
            "tokens": str(tables.fingerprint(spark, warehouse, TOKENS, month=month)),
            "begun": str(current is None or month <= current),
            "drift": "none" if drift is None else json.dumps([drift.facts["drifted"], drift.facts["words"]]),
            "override": "none" if self.override.note is None else json.dumps(
                [sorted(self.override.gates), self.override.note.facts]
            ),
            **pictures.fingerprint(spark, warehouse, month, self.candidate.picture),
        }  # fmt: skip
        if tables.exists(spark, warehouse, TAXONOMY):
            found["taxonomy"] = str(tables.fingerprint(spark, warehouse, TAXONOMY, month=month))
        if tables.exists(spark, warehouse, REVIEWS):
            for one in self._audit_months():
                answers = tables.fingerprint(spark, warehouse, REVIEWS, month=one, kind="audit")
                # A month's own queue makes the table: without an answer that has changed nothing.
                if answers.rows:
                    found[f"answers {one}"] = str(answers)
        return found

    @property
    def left(self) -> tuple[str, dict[str, Any]] | None:
        """Key and facts of a decision that a killed run made and did not end."""
        found, done = unfinished.find(self.warehouse, self.month), manifest.find(self.warehouse, STAGE, self.month)
        return None if found is None or (done is not None and done.facts == found[1]) else found

    def work(self, key: str) -> Outcome:
        """Decide and move the aliases; or take the decision that a killed run left, or that the champion stands by.

        Args:
            key: the stage's skip key.
        """
        facts = self._stood_by()
        if facts is None:
            facts = self._left_of(key) or self.decide().facts
            if facts["decision"] != "kept":
                unfinished.keep(self.warehouse, self.month, key, facts)
                store, name = self.config.registry_store, self.config.registry.name
                registry.crown(store, facts["candidate"], facts["previous"], name)
        LOG.info("%s", facts["words"])
        return Outcome(facts=facts)

    def _stood_by(self) -> dict[str, Any] | None:
        """The decision that made the candidate champion, as long as it is: who overruled what stays recorded."""
        candidate = self.version.number
        if self._standing().champion != candidate:
            return None
        left, done = self.left, manifest.find(self.warehouse, STAGE, self.month)
        made = [left[1] if left else None, done.facts if done else None]
        return next((one for one in made if one and one["candidate"] == candidate and one["decision"] != "kept"), None)

    def _left_of(self, key: str) -> dict[str, Any] | None:
        """The decision that a killed run made from the same inputs, unless somebody else was made champion since."""
        left, standing = self.left, self._standing()
        if left is None or left[0] != key:
            return None
        facts = left[1]
        return facts if standing.champion in (facts["champion_before"], facts["candidate"]) else None

    def _standing(self) -> registry.Standing:
        return registry.standing(self.config.registry_store, self.config.registry.name)

    @cached_property
    def candidate(self) -> Chosen:
        """The candidate's artefact, checked to be whole."""
        return choose(self.config, self.version.number)

    def decide(self) -> Decision:
        """Judge the candidate; nothing moves."""
        standing = self._standing()
        candidate = self.version.number
        if standing.champion == candidate:
            return already_champion(Seat(candidate, standing.champion, standing.previous, standing.champion))
        rival = self._rival(standing)
        seat = Seat(candidate, standing.champion, standing.previous, rival.version if rival else None)
        return decided(seat, self._gates(standing, rival), self.override, self.settings.keep_champion)

    def _rival(self, standing: registry.Standing) -> Chosen | None:
        """The champion; where its files are gone or damaged, the champion before it."""
        for version in (standing.champion, standing.previous):
            if version is None or version == self.version.number:
                continue
            try:
                return choose(self.config, version)
            except UserError as error:
                LOG.warning("version %s cannot be compared with: %s", version, error)
        return None

    def _gates(self, standing: registry.Standing, rival: Chosen | None) -> list[Gate]:
        """All gates; those that compare only where there is something to compare with."""
        return [
            *self._brakes(standing),
            *(self._alone() if rival is None else self._against(rival)),
        ]

    def _brakes(self, standing: registry.Standing) -> list[Gate]:
        """What may stop any candidate, however good."""
        drift = manifest.find(self.warehouse, DRIFT, self.month)
        store, name = self.config.registry_store, self.config.registry.name
        trained = {one.number: one.month for one in registry.versions(store, name)}
        champion_month = trained.get(standing.champion) if standing.champion else None
        return [
            gates.drift_gate(None if drift is None else drift.facts),
            gates.order_gate(self.month, champion_month, current_month(self.config)),
            gates.rollback_gate(registry.withdrawn(store, self.version.number, name)),
        ]

    def _alone(self) -> list[Gate]:
        counted = self._counted([self._rows(self.candidate, self.month)])
        return [gates.calibration_gate(counted.bins, self.settings)]

    def _against(self, rival: Chosen) -> list[Gate]:
        ours = self._rows(self.candidate, self.month)
        try:
            if not (peer := self._rows(rival, self.month)).tokens_reused:
                LOG.info(
                    "version %s was trained on other tokens: it gets names cut by its own tokenizer", rival.version
                )
            times = self._times(rival)
        except UserError as error:
            return [gates.comparison_gate(str(error)), *self._alone()]
        counted = self._counted([ours, peer])
        return [
            gates.month_gate(counted.pairs, self.settings, counted.effect),
            self._audit_gate([self.candidate, rival]),
            gates.category_gate(counted.cat_ids, counted.pairs, self.settings, counted.effect),
            gates.calibration_gate(counted.bins, self.settings),
            gates.latency_gate(times.candidate, times.champion, times.rows, self.settings),
        ]

    def _rows(self, model: Chosen, month: str) -> MonthRows:
        return MonthRows.of(self.spark, self.warehouse, month, model)

    def _counted(self, models: Sequence[MonthRows]) -> month_answers.Counted:
        labelled = month_answers.labelled_test_side(self.spark, self.warehouse, self.month)
        answered = month_answers.compared(labelled, models, self._replaced_by)
        return month_answers.counted(self.spark, answered, [model.chosen for model in models])

    def _audit_gate(self, models: Sequence[Chosen]) -> Gate:
        audit = self._audit()
        if audit is None or audit.answered < self.settings.audit_min_rows:
            people, month = (audit.answered, audit.month) if audit else (0, None)
            return gates.audit_gate(weighted([], []), people, month, self.settings)
        try:
            rows = [self._rows(model, audit.month) for model in models]
        except UserError as error:
            return gates.unread_audit(audit.month, str(error))
        labelled = month_answers.labelled_by_people(self.spark, self.warehouse, audit.month, audit.rows)
        answered = month_answers.compared(labelled, rows, self._replaced_by)
        sign, weight = month_answers.signs(self.spark, answered, models)
        return gates.audit_gate(weighted(sign, weight), len(sign), audit.month, self.settings)

    def _audit(self) -> Audit | None:
        """The latest sample that enough people answered; of samples with fewer answers the one that has most."""
        best: Audit | None = None
        for month in self._audit_months():
            rows = answered_rows(self.spark, self.warehouse, month)
            found = Audit(month, rows, rows.count())
            if found.answered >= self.settings.audit_min_rows:
                return found
            if found.answered > (best.answered if best else 0):
                best = found
        return best

    def _audit_months(self) -> list[str]:
        """Latest first."""
        return months.window(self.month, self.settings.audit_months)[::-1]

    def _times(self, rival: Chosen) -> latency.Times:
        rows, rounds = self.settings.latency_rows, self.settings.latency_batches
        return latency.measured(self.spark, self.warehouse, self.month, [self.candidate, rival], rows, rounds)

    @cached_property
    def _replaced_by(self) -> Mapping[str, str]:
        """Of all taxonomies up to the month's: an older champion names leaves that are gone since, and still are."""
        stored = tables.read_if_there(self.spark, self.warehouse, TAXONOMY)
        now = leaves_of(stored.where(F.col("month") == self.month))
        alive = {leaf.cat_id for leaf in now if leaf.replaced_by is None}
        gone = replacements(stored.where(F.col("month") <= self.month))
        return {cat_id: new for cat_id, new in gone.items() if cat_id not in alive}


def of(spark: SparkSession, config: Config, month: str, override: Override | None = None) -> MonthPromotion:
    """The month's judgement.

    Args:
        override: None: what a person overruled for this candidate before still holds.

    Raises:
        UserError: the month has no model, or its files are gone.
    """
    version = candidate_of(config.storage.warehouse, month)
    if override is None:
        override = _overruled_before(config, month, version.number)
    return MonthPromotion(spark, config, month, version, override)


def _overruled_before(config: Config, month: str, candidate: str) -> Override:
    """What a person overruled for the candidate; of rollbacks only those that were made before that was said."""
    done = manifest.find(config.storage.warehouse, STAGE, month)
    if done is None or done.facts["candidate"] != candidate or done.facts["override"] is None:
        return NO_OVERRIDE
    note = done.facts["override"]
    overruled = set(note["gates"])
    taken_back = registry.withdrawn(config.registry_store, candidate, config.registry.name)
    if taken_back is not None and taken_back["when"] >= done.finished:
        overruled -= {"rollback"}
    return Override(frozenset(overruled), Note(note["who"], note["why"])) if overruled else NO_OVERRIDE


def alone(config: Config) -> AbstractContextManager[None]:
    """One decision at a time in a warehouse.

    Raises:
        UserError: another run decides; it is named.
    """
    return only_one(Path(config.storage.warehouse) / "manifests" / STAGE / "lock", "the champion is being decided on")


def roll_back(config: Config, note: Note) -> str:
    """Let champion and previous change places, and keep who wanted it and why under manifests/rollbacks.

    Returns:
        What was done, in a sentence.

    Raises:
        UserError: there is no previous, its files are gone, or another run decides.
    """
    store, name = config.registry_store, config.registry.name
    when = datetime.now(UTC).isoformat(timespec="seconds")
    with alone(config):
        after = registry.roll_back(store, {**note.facts, "when": when}, name)
    record = {"champion": after.champion, "withdrawn": after.previous, **note.facts, "when": when}
    place = Path(config.storage.warehouse) / "manifests" / "rollbacks" / f"{when.replace(':', '')}.json"
    write_whole(place, json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True))
    return f"version {after.champion} is champion again; version {after.previous} is `previous`"
