"""Searches: what is asked, tried again, refused and told; trials are real where a formula will not do."""

import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState
from pyspark.sql import SparkSession

from lib import config as configuration
from lib.artefact import Artefact
from lib.config import Config
from lib.config.tune import TuneSettings, load_tuning
from lib.errors import UserError
from lib.report import search_page
from lib.report.search_page import Searched
from lib.studies import cores, search_storage, space, trial_task
from lib.studies.best import best_yaml
from lib.studies.finals import Verdict, decide
from lib.studies.past import best_points
from lib.studies.search import FROM, REASON, RETRIES, Search, commonest_reason
from lib.studies.search_storage import opened, proxy
from lib.studies.trial import Assignment, Outcome, Report
from lib.studies.weights import weights
from tests.training import month

RATE = {"train.learning_rate": {"low": 0.001, "high": 1.0, "log": True}}


def described(folder: Path, **changes: Any) -> TuneSettings:
    """A tuning file over the toy task."""
    base = month.config(folder, epochs=4, patience=4)
    (folder / "base.yaml").write_text(yaml.safe_dump(base.model_dump(mode="json", by_alias=True)))
    record = {"base": str(folder / "base.yaml"), "space": RATE, "budget": {"trials": 6}, "seeds": [5], **changes}
    (folder / "toy.yaml").write_text(yaml.safe_dump(record, sort_keys=False))
    return load_tuning(folder / "toy.yaml")


class Formula(Search):
    """Trials are answered by a formula of their configuration."""

    answer: Callable[[Config], Outcome] = staticmethod(lambda config: scored(config.train.learning_rate))

    def trained(self, config: Config, report: Report | None = None, split: str | None = None) -> Outcome:
        return self.answer(config)


def scored(value: float) -> Outcome:
    return Outcome("complete", score=1 - abs(value - 0.1), epochs=4, best_epoch=3, parameters=10, rows_per_second=9.0)


def unused(config: Config) -> Artefact:
    """A formula learns from none, but a study asks what they hold."""
    return month.artefacts(config.storage.warehouse, train=1, validation=1)


@contextmanager
def searching(
    spark: SparkSession, folder: Path, settings: TuneSettings, kind: type[Search] = Formula, name: str = "toy/2026-01",
    shards: space.ShardsOf = unused, told: Callable[[FrozenTrial], None] = lambda _trial: None,
) -> Iterator[Search]:  # fmt: skip
    with opened(settings.storage, folder / "state", name) as memory, proxy(memory, "127.0.0.1") as port:
        trials = space.changed(settings, {})
        yield kind(spark, settings, [], trials, memory, name, ("127.0.0.1", port), shards, told)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": {}}, "the budget is empty; give trials, hours or both"),
        ({"budget": {"trials": 0}}, "budget.trials = 0"),
        ({"space": {}}, "space"),
        ({"space": {"train.epochs": {"low": 3}}}, "give a choice of values, or low and high"),
        ({"space": {"train.epochs": {"low": 3, "high": 2}}}, "low 3 is above high 2"),
        ({"space": {"train.learning_rate": {"low": 0, "high": 1, "log": True}}}, "log is for numbers above 0"),
        ({"space": {"train.momentum": {"choice": [0], "when": {"train.optimizer": ["sgd"]}}}}, "no key above it"),
        ({"speed": 1}, "speed is not a known key"),
    ],
)
def test_a_tuning_file_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        described(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"space": {"train.speed": {"low": 1, "high": 2}}},
            r"space: train\.speed cannot be searched in .*not a known key",
        ),
        ({"space": {"train.optimizer": {"choice": ["adam", "newton"]}}}, "train.optimizer cannot be searched.*newton"),
        ({"space": {"model.members": {"low": 1, "high": 2}}}, "model.members is set by the search itself"),
        ({"fixed": {"train.learning_rate": 1}}, "train.learning_rate is in space and in fixed"),
        ({"fixed": {"train.speed": 1}}, r"train\.speed is not a known key"),
    ],
)
def test_a_space_that_the_configuration_lacks_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    settings = described(tmp_path, **changes)
    with pytest.raises(UserError, match=words):
        space.check(settings)


def test_the_command_line_wins_over_what_is_fixed_and_may_not_set_what_is_varied(tmp_path: Path) -> None:
    settings = described(tmp_path, fixed={"train.epochs": 3})
    assert space.changed(settings, {}, ["train.epochs=7"]).train.epochs == 7
    with pytest.raises(UserError, match=r"--set train\.learning_rate: the search varies it"):
        space.check(settings, ["train.learning_rate=0.1"])


def test_a_point_of_last_month_keeps_only_what_the_space_has(tmp_path: Path) -> None:
    settings = described(tmp_path, space={"model.fcl_dim": {"low": 8, "high": 32, "step": 8}, **RATE})
    point = {"model.fcl_dim": 16, "train.learning_rate": 0.01, "train.batch_size": 8}
    assert space.within(point, settings.space) == {"model.fcl_dim": 16, "train.learning_rate": 0.01}
    assert space.within({"model.fcl_dim": 12, "train.learning_rate": 5.0}, settings.space) == {}


def test_a_key_is_drawn_only_where_its_condition_holds(tmp_path: Path) -> None:
    settings = described(
        tmp_path,
        space={
            "train.optimizer": {"choice": ["adam", "sgd"]},
            "train.momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": ["sgd"]}},
            "model.fcl_dim": {"low": 8, "high": 32, "step": 8},
        },
    )
    values = {"train.optimizer": "adam", "train.momentum": 0.5, "model.fcl_dim": 16}
    drawn = space.draw(optuna.trial.FixedTrial(values), settings.space)  # type: ignore[arg-type]
    assert drawn == {"train.optimizer": "adam", "model.fcl_dim": 16}
    values["train.optimizer"] = "sgd"
    assert space.draw(optuna.trial.FixedTrial(values), settings.space) == values  # type: ignore[arg-type]


def test_what_changes_shards_gets_tables_of_its_own(tmp_path: Path) -> None:
    assert not space.own_tables(described(tmp_path), ["train.epochs=3"])
    assert space.own_tables(described(tmp_path), ["categories.cap=3"])
    assert space.own_tables(described(tmp_path, fixed={"vocabulary.min_count": 2}), [])
    assert space.shared_shards(described(tmp_path, fixed={"vocabulary.min_count": 2}))
    assert not space.shared_shards(described(tmp_path, space={"vocabulary.min_count": {"low": 2, "high": 9}}))


def test_trials_are_tried_to_the_budget_and_no_further(spark: SparkSession, tmp_path: Path) -> None:
    told: list[int] = []
    settings = described(tmp_path, parallel=3)
    with searching(spark, tmp_path, settings, told=lambda trial: told.append(trial.number)) as search:
        search.run()
        assert sorted(told) == list(range(6))
    # A run that has nothing to do does nothing; a larger budget goes on.
    more = described(tmp_path, budget={"trials": 8})
    with searching(spark, tmp_path, more) as search:
        search.run()
        trials = search.study.get_trials()
    assert len(trials) == 8
    assert all(trial.user_attrs["seed"] == 0 and trial.user_attrs["parameters"] == 10 for trial in trials)


def test_what_a_killed_run_was_at_is_tried_again(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(tmp_path, budget={"trials": 3})
    with searching(spark, tmp_path, settings) as search:
        left = search.study.ask()
        point = space.draw(left, settings.space)
    with searching(spark, tmp_path, settings) as search:
        search.run()
        killed, again, *others = search.study.get_trials()
    assert (killed.state, killed.user_attrs[REASON]) == (TrialState.FAIL, "its run was killed")
    assert (again.state, again.params, again.user_attrs[RETRIES]) == (TrialState.COMPLETE, point, killed.number)
    # The killed one counts for nothing.
    assert len(others) == 2


def test_a_point_at_which_runs_are_killed_again_and_again_is_given_up(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(tmp_path, budget={"trials": 1})
    for _ in range(4):
        with searching(spark, tmp_path, settings) as search:
            search._take_up()
            space.draw(search.study.ask(), settings.space)
    with searching(spark, tmp_path, settings) as search:
        search.run()
        *killed, last = search.study.get_trials()
    assert [one.state for one in killed] == [TrialState.FAIL] * 4
    assert len({one.params["train.learning_rate"] for one in killed}) == 1
    assert last.params != killed[0].params
    assert last.state == TrialState.COMPLETE


def test_failed_trials_are_told_and_do_not_end_the_study(spark: SparkSession, tmp_path: Path) -> None:
    class Fragile(Formula):
        answer = staticmethod(
            lambda config: (
                Outcome.failed("bad") if config.train.optimizer == "sgd" else scored(config.train.learning_rate)
            )
        )

    choices = {"train.optimizer": {"choice": ["sgd", "adam"]}, **RATE}
    settings = described(tmp_path, space=choices, budget={"trials": 12}, sampler={"kind": "random"})
    with searching(spark, tmp_path, settings, Fragile) as search:
        search.run()
        trials = search.study.get_trials()
    failed = [one for one in trials if one.state == TrialState.FAIL]
    assert 0 < len(failed) < 12
    assert {one.params["train.optimizer"] for one in failed} == {"sgd"}
    assert {one.user_attrs[REASON] for one in failed} == {"bad"}


def test_when_all_fail_the_commonest_reason_is_told(spark: SparkSession, tmp_path: Path) -> None:
    reasons = iter(["loss nan at step 3", "disk full", "loss nan at step 17", "loss nan at step 4"])

    class Failing(Formula):
        answer = staticmethod(lambda _config: Outcome.failed(next(reasons)))

    settings = described(tmp_path, budget={"trials": 4})
    with searching(spark, tmp_path, settings, Failing) as search:
        with pytest.raises(UserError, match=r"all 4 trials of .* failed; the commonest reason, of 3 .*: loss nan"):
            search.run()
        assert commonest_reason(search.study.get_trials()) == ("loss nan at step 3", 3)


def test_another_space_is_another_study(spark: SparkSession, tmp_path: Path) -> None:
    with searching(spark, tmp_path, described(tmp_path, budget={"trials": 1})) as search:
        search.run()
    wider = described(tmp_path, space={"train.learning_rate": {"low": 0.001, "high": 2.0}})
    refused = pytest.raises(UserError, match="begun with another space, base configuration or shards")
    with searching(spark, tmp_path, wider) as search, refused:
        search.run()
    made = month.artefacts(str(tmp_path / "other"), train=2, validation=1)
    with searching(spark, tmp_path, described(tmp_path), shards=kept(made)) as search, refused:
        search.run()


def test_another_default_is_another_study_though_trials_are_fixed(spark: SparkSession, tmp_path: Path) -> None:
    fixed: dict[str, Any] = {"fixed": {"train.epochs": 3}, "budget": {"trials": 1}}
    with searching(spark, tmp_path, described(tmp_path, **fixed)) as search:
        search.run()
    settings = described(tmp_path, **fixed)
    base = yaml.safe_load((tmp_path / "base.yaml").read_text())
    base["train"]["epochs"] = 5
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    # What the default scored is kept with the study, and is of the default that was.
    with searching(spark, tmp_path, settings) as search, pytest.raises(UserError, match="begun with another"):
        search.run()


def test_time_ends_a_search_too(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(tmp_path, budget={"hours": 1e-9})
    with searching(spark, tmp_path, settings) as search, pytest.raises(UserError, match="give it more hours or trials"):
        search.run()


def test_two_runs_of_one_study_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(tmp_path)
    refused = pytest.raises(UserError, match="study toy/2026-01 is being searched by")
    with searching(spark, tmp_path, settings), refused, searching(spark, tmp_path, settings):
        pass


def test_a_locked_storage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_storage, "LOCKED_SECONDS", 0.2)
    (tmp_path / "state").mkdir()
    with sqlite3.connect(tmp_path / "state" / "tune.db", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        refused = pytest.raises(UserError, match=r"storage sqlite:///.*/tune\.db cannot be used .*database is locked")
        with refused, opened(None, tmp_path / "state", "toy"):
            pass
        holder.execute("ROLLBACK")


def test_a_password_comes_from_the_environment_and_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATMATCH_TUNE_STORAGE", "postgresql://me:s3cret@127.0.0.1:9/x")
    with pytest.raises(UserError, match=r"storage postgresql://me:\*\*\*@") as refused, opened(None, tmp_path, "toy"):
        pass
    assert "s3cret" not in str(refused.value)
    monkeypatch.delenv("CATMATCH_TUNE_STORAGE")
    with pytest.raises(UserError, match="SQLite without a file"), opened("sqlite:///:memory:", tmp_path, "toy"):
        pass
    with pytest.raises(UserError, match="storage is no SQLAlchemy URL") as refused, opened("s3cret", tmp_path, "toy"):
        pass
    assert "s3cret" not in str(refused.value)


def test_a_storage_that_goes_away_ends_the_run(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(tmp_path, budget={"trials": 100})
    place = tmp_path / "state" / "tune.db"

    def remove(trial: FrozenTrial) -> None:
        if trial.number == 2:
            place.unlink()

    gone = pytest.raises(UserError, match=r"tune\.db cannot be used \(its file was removed or replaced\)")
    with searching(spark, tmp_path, settings, told=remove) as search, gone:
        search.run()


def test_last_months_best_are_tried_first(spark: SparkSession, tmp_path: Path) -> None:
    with searching(spark, tmp_path, described(tmp_path)) as search:
        search.run()
        best = search.study.best_trial
    narrower = described(tmp_path, space={**RATE, "model.fcl_dim": {"low": 8, "high": 32}}, budget={"trials": 3})
    with searching(spark, tmp_path, narrower, name="toy/2026-02") as search:
        points = best_points(search.memory, "toy/2026-01", 2)
        assert points[0] == best.params
        search.begin_with(points, "toy/2026-01")
        search.run()
        trials = search.study.get_trials()
        search.begin_with(points, "toy/2026-01")
        assert len(search.study.get_trials()) == 3
    assert [one.params["train.learning_rate"] for one in trials[:2]] == [one["train.learning_rate"] for one in points]
    assert [one.user_attrs.get(FROM) for one in trials] == ["toy/2026-01", "toy/2026-01", None]
    assert best_points(search.memory, "toy/2020-01", 2) == []


def test_the_best_is_a_configuration_that_loads(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATMATCH_DATA", "/where/data/lies")
    settings = described(tmp_path, fixed={"train.epochs": 3}, seeds=[5, 6])
    base = yaml.safe_load((tmp_path / "base.yaml").read_text())
    base["registry"]["uri"] = "sqlite:///${CATMATCH_DATA}/mlflow.db"
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    with searching(spark, tmp_path, settings) as search:
        search.run()
        finals = decide(search)
        text = best_yaml(settings, [], space.changed(settings, {}), "toy/2026-01", finals)
        assert finals.winner.name == str(search.study.best_trial.number)
        # Trials are fixed to three epochs, the base's own model has four.
        assert [one.name for one in finals.rivals] == ["base", "default"]
        default = search.default(5)
        assert (default.train.epochs, default.train.seed, default.train.refit) == (4, 5, False)
        assert finals.why_not == "The shards have no test rows."
    assert "/where/data/lies" not in text
    (tmp_path / "best.yaml").write_text(text)
    loaded = configuration.load(tmp_path / "best.yaml")
    assert loaded.train.learning_rate == finals.winner.point["train.learning_rate"]
    assert loaded.train.epochs == 3
    assert loaded.registry.uri == "sqlite:////where/data/lies/mlflow.db"


def test_what_mattered_is_found(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(
        tmp_path,
        space={
            **RATE,
            "train.label_smoothing": {"low": 0.0, "high": 0.5},
            "train.optimizer": {"choice": ["adam", "sgd"]},
        },
        budget={"trials": 30},
        sampler={"kind": "random"},
    )

    class Rising(Formula):
        answer = staticmethod(lambda config: scored(0.1 + config.train.label_smoothing))

    with searching(spark, tmp_path, settings, Rising) as search:
        search.run()
        found = {one.key: one for one in weights(search.study, settings.space)}
    smoothing = found["train.label_smoothing"]
    assert smoothing.importance is not None
    assert smoothing.importance > 0.8
    assert smoothing.correlation == pytest.approx(-1)
    assert smoothing.p is not None
    assert smoothing.p < 1e-6
    assert found["train.optimizer"].correlation is None
    assert found["train.optimizer"].p is not None


def test_the_page_shows_and_escapes(spark: SparkSession, tmp_path: Path) -> None:
    class Hostile(Formula):
        count = 0

        def trained(self, config: Config, report: Report | None = None, split: str | None = None) -> Outcome:
            self.count += 1
            return Outcome.failed("<script>\x1b[2J") if self.count == 1 else scored(config.train.learning_rate)

    settings = described(tmp_path, budget={"trials": 8})
    with searching(spark, tmp_path, settings, Hostile) as search:
        search.run()
        searched = Searched(
            "toy/2026-01",
            settings,
            search.study.get_trials(),
            weights(search.study, settings.space),
            decide(search),
            "a: 1",
        )
    judged = {
        "base": Verdict(0.5, 0.45, 0.05, 0.02, 0.08, 1234),
        "default": Verdict(0.5, 0.6, -0.1, -0.13, -0.07, 1234),
    }
    page = search_page.page(replace(searched, finals=replace(searched.finals, verdicts=judged)), "c0ffee")
    told = " ".join(page.split())
    assert "+5.00 points (95 % paired bootstrap +2.00 to +8.00): it is better." in told
    assert "the base configuration as it is, on 1,234 test rows" in told
    assert "-10.00 points (95 % paired bootstrap -13.00 to -7.00): it is worse." in told
    assert "&lt;script&gt; [2J" in page
    assert page.count("<svg") == 5
    assert "8 trials" in page
    assert "1 failed" in page
    assert search_page.store(searched, str(tmp_path), "c0ffee").name == "tune_toy_2026-01.html"


def kept(made: Artefact) -> Callable[[Config], Artefact]:
    return lambda _config: made


def test_real_trials_share_shards_are_ended_early_and_judged(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(
        tmp_path, parallel=2, budget={"trials": 6}, finalists=1, pruner={"kind": "asha", "reduction": 2},
        space={"train.learning_rate": {"low": 0.00001, "high": 0.1, "log": True}},
    )  # fmt: skip
    made = month.artefacts(str(tmp_path / "warehouse"), test=40)
    with searching(spark, tmp_path, settings, Search, shards=kept(made)) as search:
        search.run()
        trials = search.study.get_trials()
        finals = decide(search)
        # Nothing is trained again, and the test rows are not looked at again.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Search, "trained", None)
            assert decide(search) == finals
    assert {one.state for one in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for one in trials:
        reported = one.intermediate_values
        assert one.user_attrs["epochs"] == len(reported)
        complete = one.state == TrialState.COMPLETE
        assert one.value == pytest.approx(max(reported.values()) if complete else reported[len(reported)])
    (verdict,) = finals.verdicts.values()
    assert list(finals.verdicts) == ["base"]
    assert verdict.rows == 40
    assert verdict.difference == pytest.approx(verdict.winner - verdict.rival)
    assert verdict.low <= verdict.difference <= verdict.high


def test_a_trial_that_runs_out_of_memory_ends_itself_alone(spark: SparkSession, tmp_path: Path) -> None:
    settings = described(
        tmp_path, space={"model.fcl_dim": {"choice": [16, 200_000_000]}}, budget={"trials": 2}, memory_gib=3
    )
    made = month.artefacts(str(tmp_path / "warehouse"))
    with searching(spark, tmp_path, settings, Search, shards=kept(made)) as search:
        for width in (200_000_000, 16):
            search.study.enqueue_trial({"model.fcl_dim": width})
        search.run()
        failed, fine = search.study.get_trials()
    assert failed.state == TrialState.FAIL
    assert "out of memory: it needs more than 3 GiB" in failed.user_attrs[REASON]
    assert fine.state == TrialState.COMPLETE


def test_a_process_that_dies_says_how(tmp_path: Path) -> None:
    config, made = month.config(tmp_path), month.artefacts(str(tmp_path / "warehouse"))
    # Too little to load TensorFlow with.
    assignment = Assignment(config.model_dump(mode="json", by_alias=True), str(made.folder), 1, 0.05)
    (line,) = trial_task.train(assignment.line(), iter(()))
    outcome = Outcome.of_line(line)
    assert outcome.state == "failed"
    assert re.search("its process (ended with status|was ended by)|MemoryError|out of memory", outcome.reason)


def test_cores_are_taken_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before, held = os.sched_getaffinity(0), []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: held.append(sorted(cores)))
    first = cores.take(2)
    # One is left, which two do not fit on.
    assert (len(first), cores.take(2), len(cores.take(1)), cores.take(3)) == (2, [], 1, [])
    for lock in first:
        lock.close()
    assert len(cores.take(2)) == 2
    assert held[0] == [3, 5]
    monkeypatch.undo()
    assert os.sched_getaffinity(0) == before


def test_works_side_by_side_end_when_one_raises(spark: SparkSession, tmp_path: Path) -> None:
    begun = threading.Barrier(2, timeout=30)
    later: list[int] = []

    def raising() -> None:
        begun.wait()
        raise UserError("no more")

    with searching(spark, tmp_path, described(tmp_path, parallel=2)) as search:

        def beside() -> None:
            begun.wait()
            assert search._stopped.wait(30)

        with pytest.raises(UserError, match="no more"):
            search.in_slots([raising, beside, *[lambda: later.append(1)] * 5])
    assert later == []
