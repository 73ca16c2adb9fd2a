"""Run a study: trials of a configuration, one table and one figure (conf/studies).

python jobs/study.py --conf conf/studies/image_size.yaml [--results docs/results] [--set train.epochs=3]
"""

import logging
import os
import platform
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib import command, manifest, months
from lib import config as configuration
from lib.config import Config
from lib.errors import UserError
from lib.report import study_page
from lib.session import open_session
from lib.studies import study as studies
from lib.studies.own_tables import of_its_own
from lib.studies.study import Figures, Study, Trial

LOG = logging.getLogger(__name__)
Work = Callable[[Trial], Figures]


def run(given: Namespace) -> None:
    """All trials that have not been run, then the page."""
    study = studies.load(given.conf)
    base = configuration.load(study.base, given.overrides)
    folder = Path(base.storage.state) / "studies" / study.name
    work = {"pictures": _pictures, "month": _month, "months": _months}[study.task](study, folder)
    points = studies.run(study, work, folder, given.overrides)
    place = study_page.store(study, points, base.storage.reports, manifest.code_version())
    if given.results is not None:
        study_page.record(study, points, Path(given.results), _facts())
    LOG.info("study %s: %s", study.name, place)
    if said := studies.unmet(study, points):
        raise UserError(f"study {study.name} does not show what {given.conf} expects: {'; '.join(said)}; see {place}")


def _pictures(_study: Study, folder: Path) -> Work:
    from lib.studies import pictures

    return lambda trial: pictures.measure(trial.config, folder)


def _month(study: Study, folder: Path) -> Work:
    """Each trial is a month, learnt and evaluated, of a warehouse and registry of the study's own: stages that a trial
    does not change are skipped, and the base's month, its candidate and its champion stay what they are."""
    from jobs.month import learn_month

    def measure(trial: Trial) -> Figures:
        config, month = of_its_own(trial.config, folder / Path(trial.base).stem), _month_of(study, trial)
        spark = open_session(config.spark, f"catmatch study {study.name}")
        learn_month(spark, config, month, False)
        evaluated = manifest.require(config.storage.warehouse, "evaluate", month).facts["figures"]["test"]
        return {name: figure[0] for name, figure in evaluated.items()}

    return measure


def _months(study: Study, folder: Path) -> Work:
    """Each trial is a month's model, asked about a later month's offers; in between all months' offers are taken in."""
    from jobs.month import learn_month, take_in
    from lib.scoring.month_evaluation import version_of
    from lib.studies import later_month

    done: set[str] = set()

    def once(stages: Callable[..., None], spark: Any, config: Config, month: str) -> None:
        """A stage that has nothing to do says so in a second, but there are some thousand of them."""
        key = f"{stages.__name__} {month} {config.model_dump_json()}"
        if key not in done:
            stages(spark, config, month, False)
            done.add(key)

    def measure(trial: Trial) -> Figures:
        config, month = of_its_own(trial.config, folder / Path(trial.base).stem), _month_of(study, trial)
        spark, asked = open_session(config.spark, f"catmatch study {study.name}"), months.shift(month, trial.later)
        for earlier in months.window(asked, trial.later + config.shards.months_back):
            if trial.since is None or earlier >= trial.since:
                once(take_in, spark, config, earlier)
        learnt = asked if trial.retrained else month
        once(learn_month, spark, config, learnt)
        version = version_of(config.storage.warehouse, learnt)
        assert version is not None, "the month was learnt"
        return later_month.measure(spark, config, version, asked)

    return measure


def _month_of(study: Study, trial: Trial) -> str:
    if trial.month is None:
        raise UserError(f"study {study.name}: task {study.task} needs a month, YYYY-MM")
    return trial.month


def _facts() -> dict[str, Any]:
    machine = {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))}
    return {"code": manifest.code_version(), "packages": manifest.package_versions(), "machine": machine}


def main() -> None:
    """Parse the command line."""
    parser = command.parser(__doc__ or "")
    parser.add_argument("--results", help="also write the figures there, as docs/results has them")
    arguments = parser.parse_args()
    command.guarded(lambda: run(arguments))


if __name__ == "__main__":
    main()
