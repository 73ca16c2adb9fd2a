"""Run a study: trials of a configuration, one table and one figure (conf/studies).

python jobs/study.py --conf conf/studies/image_size.yaml [--results docs/results] [--set train.epochs=3]
"""

import logging
import os
import platform
from argparse import Namespace
from pathlib import Path
from typing import Any

from lib import command, manifest
from lib import config as configuration
from lib.config import Config
from lib.errors import UserError
from lib.report import study_page
from lib.session import open_session
from lib.studies import study as studies
from lib.studies.study import Figures, Study, Trial

LOG = logging.getLogger(__name__)


def run(given: Namespace) -> None:
    """All trials that have not been run, then the page."""
    study = studies.load(given.conf)
    base = configuration.load(study.base, given.overrides)
    folder = Path(base.storage.state) / "studies" / study.name
    work = _pictures(folder) if study.task == "pictures" else _month(study, folder)
    points = studies.run(study, work, folder, given.overrides)
    place = study_page.store(study, points, base.storage.reports, manifest.code_version())
    if given.results is not None:
        study_page.record(study, points, Path(given.results), _facts())
    LOG.info("study %s: %s", study.name, place)
    if said := studies.unmet(study, points):
        raise UserError(f"study {study.name} does not show what {given.conf} expects: {'; '.join(said)}; see {place}")


def _pictures(folder: Path) -> Any:
    from lib.studies import pictures

    return lambda trial: pictures.measure(trial.config, folder)


def _month(study: Study, folder: Path) -> Any:
    """Each trial is a month, learnt and evaluated, of a warehouse and registry of the study's own: stages that a trial
    does not change are skipped, and the base's month, its candidate and its champion stay what they are."""
    from jobs.month import learn_month

    if study.month is None:
        raise UserError(f"study {study.name}: task month needs a month, YYYY-MM")
    month = study.month

    def measure(trial: Trial) -> Figures:
        config = of_its_own(trial.config, folder / Path(trial.base).stem)
        spark = open_session(config.spark, f"catmatch study {study.name}")
        learn_month(spark, config, month, False)
        evaluated = manifest.require(config.storage.warehouse, "evaluate", month).facts["figures"]["test"]
        return {name: evaluated[name][0] if name in evaluated else None for name in study.columns}

    return measure


def of_its_own(config: Config, folder: Path) -> Config:
    """The configuration with tables, artefacts and model versions inside a folder of the study's."""
    storage = config.storage.model_copy(update={"warehouse": str(folder / "warehouse"), "state": str(folder)})
    return config.model_copy(update={"storage": storage, "registry": config.registry.model_copy(update={"uri": None})})


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
