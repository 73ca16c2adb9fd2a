"""The DAGs as Airflow parses them: which there are, in what order they work, and the very commands that they start."""

import json
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lib import config
from tests.conftest import ROOT

PYTHON = ROOT / ".venv-airflow" / "bin" / "python"
GOLDEN = Path(__file__).resolve().parent / "golden"
# Written down by hand, so that a file that does not parse cannot pass for a DAG that is not wanted.
MONTH = [
    "market", "crawl", "ingest", "images", "image_features", "tokenize", "vocabulary", "word2vec", "brands",
    "normalize", "shards", "train", "evaluate", "validation_set", "drift", "promote", "score", "review", "report",
]  # fmt: skip
DAGS = {
    "monthly_retraining": [*MONTH, "promotion_verdict"],
    "catalogue_scoring": ["market", "crawl", "ingest", "images", "image_features", "tokenize", "score"],
    "backfill": [*MONTH, "all_green"],
}
AT_THE_END = ("promotion_verdict", "all_green")
# Written down by hand, too: what a task reads has to be there.
LAST = ("promote", "report", "review", "score")
BEFORE = {
    "market": (), "crawl": ("market",), "ingest": ("crawl",), "images": ("ingest",), "image_features": ("images",),
    "tokenize": ("ingest",), "vocabulary": ("tokenize",), "word2vec": ("vocabulary",), "brands": ("tokenize",),
    "normalize": ("tokenize",), "shards": ("image_features", "word2vec", "brands", "normalize"), "train": ("shards",),
    "evaluate": ("train",), "validation_set": ("normalize",), "drift": ("evaluate",),
    "promote": ("validation_set", "drift"), "score": ("image_features", "tokenize", "promote"), "review": ("score",),
    "report": ("validation_set", "review"), "promotion_verdict": LAST, "all_green": LAST,
}  # fmt: skip
SUBMITTED = [(dag, task) for dag, tasks in DAGS.items() for task in tasks if task not in AT_THE_END]


class Parsed(Exception):  # noqa: N818 no error
    """A job has read its command line and asks for its configuration."""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What tests/airflow_dags/rendered.py says."""
    if not PYTHON.exists():
        pytest.fail("there is no .venv-airflow; make airflow installs it")
    home = tmp_path_factory.mktemp("airflow")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CATMATCH_AIR"))}
    environment = inherited | {"AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT / "airflow_dags")}
    script = Path(__file__).with_name("rendered.py")
    done = subprocess.run([PYTHON, script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def masked(command: list[str], environment: dict[str, str]) -> str:
    """One argument a line, after the variables; places of this checkout begin with <root>."""
    lines = [f"{name}={value}" for name, value in sorted(environment.items())] + command
    return "\n".join(lines).replace(str(ROOT), "<root>") + "\n"


def test_all_dags_parse(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}
    assert {name: set(dag["tasks"]) for name, dag in parsed["dags"].items()} == {n: set(t) for n, t in DAGS.items()}


def test_tasks_wait_for_those_that_they_read(parsed: dict[str, Any]) -> None:
    for name, dag in parsed["dags"].items():
        expected = {task: sorted(BEFORE[task]) for task in DAGS[name]}
        if name == "catalogue_scoring":
            expected["score"] = ["image_features", "tokenize"]
        assert dag["upstream"] == expected


def test_what_is_left_out_is_not_waited_for(parsed: dict[str, Any]) -> None:
    assert parsed["left_out"] == {
        "ingest": [], "tokenize": ["ingest"], "vocabulary": ["tokenize"], "brands": ["tokenize"],
        "normalize": ["tokenize"], "shards": ["brands", "ingest", "normalize", "vocabulary"], "train": ["shards"],
        "evaluate": ["train"], "validation_set": ["normalize"], "drift": ["evaluate"],
        "promote": ["drift", "validation_set"], "score": ["ingest", "promote", "tokenize"], "review": ["score"],
        "report": ["review", "validation_set"],
    }  # fmt: skip


@pytest.mark.parametrize("name", DAGS)
def test_a_red_task_makes_its_run_red(parsed: dict[str, Any], name: str) -> None:
    """Airflow gives a run the state of its last tasks, and a task of rule all_done is green whatever is before it."""
    upstream, rules = parsed["dags"][name]["upstream"], parsed["dags"][name]["rules"]
    last = set(DAGS[name]) - {before for tasks in upstream.values() for before in tasks}
    for red in DAGS[name]:
        not_green = {red}
        for task in DAGS[name]:
            if not rules[task].lower().endswith("all_done") and not_green & set(upstream[task]):
                not_green.add(task)
        assert not_green & last, f"{name} is green although {red} is red"


@pytest.mark.parametrize("name", ["monthly_retraining", "backfill"])
def test_only_score_and_report_run_after_a_red_task(parsed: dict[str, Any], name: str) -> None:
    rules = parsed["dags"][name]["rules"]
    assert {task for task, rule in rules.items() if rule.lower().endswith("all_done")} == {"score", "report"}


@pytest.mark.parametrize("name", DAGS)
def test_one_run_at_a_time_and_none_made_up_for(parsed: dict[str, Any], name: str) -> None:
    dag = parsed["dags"][name]
    assert (dag["max_active_runs"], dag["catchup"]) == (1, False)
    assert dag["partitioned"] == ("NullTimetable" if name == "backfill" else "CronPartitionTimetable")


def test_a_run_is_for_the_month_or_day_before_it(parsed: dict[str, Any]) -> None:
    assert {name: dag["february"] for name, dag in parsed["dags"].items()} == {
        "monthly_retraining": ["2026-02-02T02:00:00+09:00", "2026-01"],
        "catalogue_scoring": ["2026-02-01T05:00:00+09:00", "2026-01-31"],
        "backfill": [],
    }


@pytest.mark.parametrize("name", DAGS)
def test_every_task_says_what_to_do_when_it_is_red(parsed: dict[str, Any], name: str) -> None:
    dag = parsed["dags"][name]
    assert "**Red" in dag["doc"]
    assert {task for task, doc in dag["docs"].items() if "**Red?**" in (doc or "")} == set(DAGS[name])


def test_retries_and_timeouts_are_as_configured(parsed: dict[str, Any]) -> None:
    stages = tomllib.loads((ROOT / "conf" / "airflow.toml").read_text(encoding="utf-8"))["stages"]
    assert set(stages) <= {"default", *MONTH}
    dag = parsed["dags"]["monthly_retraining"]
    for task in MONTH:
        tries = stages["default"] | stages.get(task, {})
        assert (dag["retries"][task], dag["timeouts"][task]) == (tries["retries"], tries["timeout_minutes"])


@pytest.mark.parametrize(("dag", "task"), SUBMITTED, ids=lambda part: part)
def test_command_is_the_golden_one(parsed: dict[str, Any], dag: str, task: str) -> None:
    """`CATMATCH_GOLDEN=write make test TESTS=tests/airflow_dags` writes them anew, for a diff to be read."""
    started = parsed["dags"][dag]["commands"][task]
    text = masked(started["command"], started["environment"])
    golden = GOLDEN / dag / f"{task}.txt"
    if os.environ.get("CATMATCH_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True, parents=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_there_is_no_golden_file_of_a_task_that_is_gone() -> None:
    files = {(file.parent.name, file.stem) for file in GOLDEN.rglob("*.txt")}
    assert files == set(SUBMITTED)


@pytest.mark.parametrize(("dag", "task"), SUBMITTED, ids=lambda part: part)
def test_the_job_is_there_and_takes_its_command_line(
    dag: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    lines = (GOLDEN / dag / f"{task}.txt").read_text(encoding="utf-8").replace("<root>", str(ROOT)).splitlines()
    job = lines.index(str(ROOT / "jobs" / f"{task}.py"))
    assert Path(lines[lines.index("--master") - 1]).name == "spark-submit"

    def load(conf: str, overrides: object = ()) -> NoReturn:
        raise Parsed(conf)

    really = config.load
    monkeypatch.setattr(sys, "argv", lines[job:])
    monkeypatch.setattr(config, "load", load)
    with pytest.raises(Parsed) as given:
        runpy.run_path(lines[job], run_name="__main__")
    assert really(str(given.value)).storage.warehouse


def test_the_verdict_reads_the_configurations_warehouse() -> None:
    settings = tomllib.loads((ROOT / "conf" / "airflow.toml").read_text(encoding="utf-8"))
    assert settings["warehouse"] == config.load(ROOT / settings["conf"]).storage.warehouse


def test_a_slip_in_the_settings_is_named(parsed: dict[str, Any]) -> None:
    words = [
        "'verdcit' is not a key of the top; there are conf, warehouse",
        "'Fail' is not a value of verdict; there are skip, fail",
        "'crwal' is not a task of left_out; there are market, crawl",
        "'score' is not a task of left_out",
        "'py_file' is not a key of [spark]; there are master",
        "'trian' is not a task of [stages]; there are default, market",
        "'timeout_minuts' is not a key of [stages.train]; there are retries, retry_minutes, timeout_minutes",
        "[schedule] lacks timezone; give it",
        "conf/nowhere.toml is no TOML file that can be read",
    ]
    assert len(words) == len(parsed["refused"])
    for said, expected in zip(parsed["refused"], words, strict=True):
        assert expected in said
        assert "\n" not in said


def test_a_verdict_without_a_decision_is_one_sentence(parsed: dict[str, Any]) -> None:
    assert parsed["cut_short"].startswith("AirflowFailException: ")
    assert "2026-01.json tells no decision" in parsed["cut_short"]


def test_a_candidate_kept_back_shows_as_configured(parsed: dict[str, Any]) -> None:
    assert parsed["verdicts"] == {
        "skip promoted": "",
        "skip first": "",
        "skip kept": "AirflowSkipException: Two points worse.",
        "fail first": "",
        "fail kept": "AirflowFailException: Two points worse.",
    }


def test_dag_files_import_airflow_and_the_standard_library_only() -> None:
    files = sorted((ROOT / "airflow_dags").glob("*.py"))
    allowed = {"airflow", *(file.stem for file in files), *sys.stdlib_module_names}
    imported = {
        line.split()[1].split(".")[0]
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= allowed
