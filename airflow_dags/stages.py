"""The tasks that the DAGs are made of: a spark-submit for each stage, as conf/airflow.toml says, and the verdict."""

import json
import logging
import os
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, CronPartitionTimetable, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from on_call import EVERY_TASK, TASKS

LOG = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parent.parent
CONNECTION = "catmatch_spark"
MONTH_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])$"

# The month of a run: what it was triggered with, else its partition (2026-01, or 2026-01-31 of which the month counts).
MONTH = "{{ params.month or (partition_key or '')[:7] }}"

# Task -> those whose tables and artefacts it reads, as far as no other of these has waited for them. What does not wait
# for each other runs side by side: pictures are looked at while words are counted.
AFTER: dict[str, tuple[str, ...]] = {
    "market": (),
    "crawl": ("market",),
    "ingest": ("crawl",),
    "images": ("ingest",),
    "image_features": ("images",),
    "tokenize": ("ingest",),
    "vocabulary": ("tokenize",),
    "word2vec": ("vocabulary",),
    "brands": ("tokenize",),
    "normalize": ("tokenize",),
    "shards": ("image_features", "word2vec", "brands", "normalize"),
    "train": ("shards",),
    "evaluate": ("train",),
    "validation_set": ("normalize",),
    "drift": ("evaluate",),
    "promote": ("validation_set", "drift"),
    # These may run after red tasks, so wait for all that they read, not only for the last of it.
    "score": ("image_features", "tokenize", "promote"),
    "review": ("score",),
    "report": ("validation_set", "review"),
}
# What makes labels of a month's offers with a model that is there.
LABELLING = ("market", "crawl", "ingest", "images", "image_features", "tokenize", "score")

# After tasks that may be red: the catalogue is labelled by the champion all the same.
ALWAYS = TriggerRule.ALL_DONE


# What the settings and their sections hold; [spark.conf] and [environment] take whatever Spark and the system take.
KEYS = {
    "": ("conf", "warehouse", "left_out", "verdict", "pool", "spark", "environment", "schedule", "stages"),
    "spark": (
        "master", "deploy_mode", "submit", "python", "driver_python", "jobs", "py_files", "archives", "files", "jars",
        "conf",
    ),
    "schedule": ("timezone", "monthly_retraining", "catalogue_scoring"),
}  # fmt: skip
TRIES = ("retries", "retry_minutes", "timeout_minutes")
# Tasks that a configuration may do without.
LEFT_OUT = ("market", "crawl", "images", "image_features", "word2vec", "brands", "validation_set", "drift")
# Tasks that start no job, so have no tries to configure.
AT_THE_END = ("promotion_verdict", "all_green")


def _settings() -> dict[str, Any]:
    """conf/airflow.toml, with the file that CATMATCH_AIRFLOW names laid over it."""
    settings = _read("conf/airflow.toml")
    if over := os.environ.get("CATMATCH_AIRFLOW"):
        _lay_over(settings, _read(over))
    check(settings)
    return settings


def _read(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{ROOT / name} is no TOML file that can be read ({error}); see conf/airflow.toml") from None


def check(settings: dict[str, Any]) -> None:
    """Refuse what would be passed over without a word, such as the time limit of a task that is spelt otherwise.

    Raises:
        ValueError: a key is unknown or missing, or a value is none of those that there are; both are named.
    """
    for section, known in KEYS.items():
        _check_keys(f"[{section}]" if section else "the top", settings[section] if section else settings, known)
    stages = settings["stages"]
    _check_known("a task of [stages]", stages, ("default", *(name for name in TASKS if name not in AT_THE_END)))
    _check_keys("[stages.default]", stages.get("default", {}), TRIES)
    for name, tries in stages.items():
        _check_known(f"a key of [stages.{name}]", tries, TRIES)
    _check_known("a task of left_out", settings["left_out"], LEFT_OUT)
    _check_known("a value of verdict", [settings["verdict"]], ("skip", "fail"))


def _check_keys(place: str, found: dict[str, Any], known: Sequence[str]) -> None:
    """All of the known keys, and no others."""
    _check_known(f"a key of {place}", found, known)
    if missing := [key for key in known if key not in found]:
        raise ValueError(f"conf/airflow.toml: {place} lacks {missing[0]}; give it")


def _check_known(what: str, found: Iterable[str], known: Sequence[str]) -> None:
    if unknown := [one for one in found if one not in known]:
        raise ValueError(
            f"conf/airflow.toml, or what CATMATCH_AIRFLOW lays over it: {unknown[0]!r} is not {what}; "
            f"there are {', '.join(known)}"
        )


def _lay_over(below: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict):
            _lay_over(below.setdefault(key, {}), value)
        else:
            below[key] = value


SETTINGS = _settings()


def _place(path: str) -> str:
    """A path as a task gets it: relative ones are this checkout's."""
    elsewhere = "://" in path or path.startswith(("/", "./"))
    return path if elsewhere else str(ROOT / path)


def _publish_connection() -> None:
    """The operator takes its master from a connection only: this one says what conf/airflow.toml says."""
    master = {"conn_type": "spark", "host": SETTINGS["spark"]["master"]}
    os.environ.setdefault(f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps(master))


_publish_connection()


@dataclass(frozen=True)
class Tries:
    """How often a task is tried and how long a try may take."""

    retries: int
    retry_minutes: float
    timeout_minutes: float

    @classmethod
    def of(cls, name: str) -> "Tries":
        """As [stages.default] says, but for what [stages.<name>] says."""
        stages = SETTINGS["stages"]
        return cls(**{**stages["default"], **stages.get(name, {})})

    def arguments(self) -> dict[str, Any]:
        """As an operator takes them."""
        return {
            "retries": self.retries,
            "retry_delay": timedelta(minutes=self.retry_minutes),
            "execution_timeout": timedelta(minutes=self.timeout_minutes),
        }


def stage(name: str, *options: str, **operator: Any) -> SparkSubmitOperator:
    """The task of jobs/<name>.py with further options of the job."""
    spark = SETTINGS["spark"]
    python, driver = _place(spark["python"]), _place(spark["driver_python"])
    return SparkSubmitOperator(
        task_id=name,
        doc_md=doc(name),
        conn_id=CONNECTION,
        spark_binary=_place(spark["submit"]),
        deploy_mode=spark["deploy_mode"],
        name=f"catmatch {name} {MONTH}",
        conf={"spark.pyspark.python": python, "spark.pyspark.driver.python": driver, **spark["conf"]},
        env_vars={"PYSPARK_PYTHON": python, "PYSPARK_DRIVER_PYTHON": driver, **SETTINGS["environment"]},
        **{key: _place(spark[key]) for key in ("py_files", "archives", "files", "jars") if spark[key]},
        application=f"{_place(spark['jobs'])}/{name}.py",
        application_args=["--conf", _place(SETTINGS["conf"]), "--month", MONTH, *options],
        pool=SETTINGS["pool"],
        **Tries.of(name).arguments(),
        **operator,
    )


def doc(name: str) -> str:
    """What the person on call reads beside the task."""
    what, when_red = TASKS[name]
    return f"{what}\n\n**Red?** {when_red}\n{EVERY_TASK}"


def month(
    names: Iterable[str], options: dict[str, Sequence[str]], always: Sequence[str] = ()
) -> dict[str, BaseOperator]:
    """Tasks by name, each after those that it reads.

    Args:
        names: of AFTER, without regard to what is left out.
        options: further options of a task's job.
        always: tasks that run whatever became of those before them.
    """
    present = [name for name in names if name not in SETTINGS["left_out"]]
    rules = {name: {"trigger_rule": ALWAYS} for name in always}
    tasks = {name: stage(name, *options.get(name, ()), **rules.get(name, {})) for name in present}
    for name, waiting in tasks.items():
        waiting << [tasks[before] for before in _before(name, present)]
    return tasks


def _before(name: str, present: Sequence[str]) -> list[str]:
    """Those of the tasks that one waits for; of a task that is not there, those that it would have waited for."""
    found: dict[str, None] = {}
    for before in AFTER[name]:
        found |= dict.fromkeys([before] if before in present else _before(before, present))
    return list(found)


def retraining(*promotion: str) -> list[BaseOperator]:
    """A whole month; score and report run whatever became of the candidate.

    Args:
        promotion: further options of jobs/promote.py.

    Returns:
        the tasks that a run's last one waits for, lest a month whose training or labels are red end green because its
        report was drawn: a run is what its last task is.
    """
    tasks = month(AFTER, {"promote": promotion}, always=("score", "report"))
    return [tasks[name] for name in ("promote", "score", "review", "report")]


@task(task_id="promotion_verdict", doc_md=doc("promotion_verdict"), retries=0)
def promotion_verdict(month: str) -> None:
    """Skip or fail, by `verdict`, where the month's candidate was kept back."""
    manifest = Path(_place(SETTINGS["warehouse"])) / "manifests" / "promote" / f"{month}.json"
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))["facts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AirflowFailException(
            f"{manifest} tells no decision ({error!r}); is `warehouse` of conf/airflow.toml the configuration's "
            "storage.warehouse? Clear `promote` with downstream"
        ) from None
    LOG.info("%s: %s", facts["decision"], facts["words"])
    if facts["decision"] == "kept":
        raise (AirflowFailException if SETTINGS["verdict"] == "fail" else AirflowSkipException)(facts["words"])


def all_green() -> EmptyOperator:
    """The last task of a run without a verdict, which is what its last task is: the report is drawn after red ones."""
    return EmptyOperator(task_id="all_green", doc_md=doc("all_green"))


def partitioned(name: str, key_format: str) -> CronPartitionTimetable:
    """A DAG's schedule: each run is for the month, or day, before the hour that it starts at."""
    schedule = SETTINGS["schedule"]
    return CronPartitionTimetable(schedule[name], timezone=schedule["timezone"], run_offset=-1, key_format=key_format)


def month_parameter(*, required: bool = False) -> dict[str, Param]:
    """The month that a run is triggered with by hand; one of the schedule has its partition's."""
    wanted = "the month to work on, YYYY-MM"
    if required:
        return {"month": Param(type="string", pattern=MONTH_PATTERN, description=wanted)}
    description = f"{wanted}; empty: that of the run's partition"
    return {"month": Param(None, type=["null", "string"], pattern=MONTH_PATTERN, description=description)}
