"""Studies: the grid, what is done once only, what is kept, and files that are refused."""

import datetime
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from lib.errors import UserError
from lib.report import study_page
from lib.studies import study as studies
from lib.studies.study import Point, Study, Trial

CONF = Path("conf/studies")


def described(base: Path, **changes: object) -> dict[str, object]:
    return {
        "title": "Rates", "question": "How fast?", "base": str(base), "task": "pictures",
        "axes": {"train.learning_rate": [0.1, 0.2, 0.4]}, "seeds": [1, 2],
        "columns": {"accuracy": {"words": "accuracy", "percent": True}, "seconds": {"words": "seconds"}},
        "figure": {"y": "accuracy"}, **changes,
    }  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A configuration that trials change."""
    place = tmp_path / "base.yaml"
    places = {name: str(tmp_path / name) for name in ("warehouse", "state", "reports")}
    place.write_text(yaml.safe_dump({"storage": places}))
    return place


def loaded(tmp_path: Path, record: dict[str, object]) -> Study:
    place = tmp_path / "rates.yaml"
    place.write_text(yaml.safe_dump(record, allow_unicode=True))
    return studies.load(place)


def test_every_point_is_tried_with_every_seed_and_only_once(tmp_path: Path, base: Path) -> None:
    study, asked = loaded(tmp_path, described(base)), []

    def work(trial: Trial) -> dict[str, float]:
        asked.append((trial.config.train.learning_rate, trial.config.train.seed))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return {"accuracy": trial.config.train.learning_rate + trial.seed / 100, "seconds": 1.5}

    with pytest.raises(KeyboardInterrupt):
        studies.run(study, work, tmp_path / "kept")
    points = studies.run(study, work, tmp_path / "kept")
    # The one that was killed is tried again, those before it are not.
    assert asked == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2), (0.2, 2), (0.4, 1), (0.4, 2)]
    assert [point.place for point in points] == [{"train.learning_rate": rate} for rate in (0.1, 0.2, 0.4)]
    assert points[0].figures == {"accuracy": pytest.approx([0.11, 0.12]), "seconds": [1.5, 1.5]}
    assert studies.run(study, work, tmp_path / "kept") == points
    assert len(asked) == 7
    # Another base is another trial.
    base.write_text(base.read_text() + "\ntrain: {epochs: 2}\n")
    with pytest.raises(RuntimeError, match="asked again"):
        studies.run(study, refuse, tmp_path / "kept")


def test_an_axis_may_be_settings_by_name_and_trials_may_be_folds(tmp_path: Path, base: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(base.read_text() + "\ntrain: {epochs: 7}\n")
    settings = {"big": {"model.filters": 8, "train.batch_size": 64}, "elsewhere": {"base": str(other)}}
    study = loaded(tmp_path, described(base, axes={"setting": settings}, folds=[0, 4]))
    trials = list(studies.trials(study))
    assert [(one.place["setting"], one.config.text.fold, one.seed) for one in trials] == [
        (name, fold, seed) for name in settings for fold in (0, 4) for seed in (1, 2)
    ]
    assert {(one.config.model.filters, one.config.train.batch_size, one.base) for one in trials[:4]} == {
        (8, 64, str(base))
    }
    assert {(one.config.train.epochs, one.base) for one in trials[4:]} == {(7, str(other))}
    work = lambda trial: {"accuracy": float(trial.config.text.fold or 0), "seconds": None}  # noqa: E731
    points = studies.run(study, work, tmp_path / "kept")
    assert points[0].figures["accuracy"] == [0, 0, 4, 4]
    assert study_page.table(study, points).rows[0] == ["big", "200.0 % (0.0 % to 400.0 %)", "–"]


def test_settings_may_say_what_is_no_key_of_the_configuration(tmp_path: Path, base: Path) -> None:
    """Two models over three months, of which one is of another month, has folds, and ends before the last."""
    settings = {
        "anew": {"retrained": True},
        "real": {"month": "2020-05", "since": "2020-04", "until": "2020-06", "folds": [0, 3]},
    }
    axes = {"later": [0, 1, 2], "model": settings}
    study = loaded(tmp_path, described(base, task="months", month="2026-03", axes=axes, seeds=[1]))
    found = [
        (t.place["model"], t.month, t.later, t.retrained, t.since, t.config.text.fold) for t in studies.trials(study)
    ]
    anew = [("anew", "2026-03", later, True, None, None) for later in (0, 1, 2)]
    real = [("real", "2020-05", later, False, "2020-04", fold) for later in (0, 1) for fold in (0, 3)]
    assert sorted(found, key=str) == sorted([*anew, *real], key=str)
    keys = {trial.key(study) for trial in studies.trials(study)}
    assert len(keys) == len(found)
    asked: list[tuple[str, int | None, int]] = []

    def work(trial: Trial) -> dict[str, float]:
        asked.append((trial.place["model"], trial.config.text.fold, trial.later))
        return {"accuracy": 0.5, "seconds": 1.0}

    points = studies.run(study, work, tmp_path / "kept")
    # A fold's months one after the other, as they share the fold's model.
    assert [one for one in asked if one[0] == "real"] == [("real", f, later) for f in (0, 3) for later in (0, 1)]
    assert [(p.place["model"], p.place["later"], len(p.figures["accuracy"])) for p in points] == [
        ("anew", 0, 1), ("real", 0, 2), ("anew", 1, 1), ("real", 1, 2), ("anew", 2, 1),
    ]  # fmt: skip


def refuse(_: Trial) -> dict[str, float]:
    raise RuntimeError("asked again")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes": {}}, "axes"),
        ({"axes": {"train.epochs": []}}, "has 0 trials"),
        ({"folds": [5]}, "folds"),
        ({"axes": {"train.epochs": list(range(501))}}, "has 1002 trials"),
        ({"task": "dance"}, "task"),
        (
            {"axes": {"model": {"real": {"folds": 3}}}},
            "model real: folds = 3: Input should be a valid list",
        ),
        ({"axes": {"later": [-1]}, "task": "months"}, "later -1: later = -1"),
        ({"axes": {"later": [1.5]}, "task": "months"}, r"later = 1\.5"),
        ({"axes": {"model": {"a": {"until": "2021-5"}}}, "task": "months"}, "until = '2021-5'"),
        ({"axes": {"model": {"a": {"retrained": "false"}}}, "task": "months"}, "retrained = 'false'"),
        ({"axes": {"later": [1]}}, "later is for task months, and this study's is pictures"),
        ({"axes": {f"a{number}": list(range(60)) for number in range(6)}}, "trials; give each axis a value"),
        ({"seeds": [1, 1]}, "seeds .* holds one twice"),
        ({"axes": {"train.epochs": [datetime.date(2021, 5, 1)]}}, "is no text, number, list or mapping"),
        ({"figure": {"y": "beauty"}}, "figure.y 'beauty' is none of its columns"),
        ({"unknown": 1}, "unknown"),
        ({"expected": {"gain": {"of": 0.4, "over": 0.3, "least": 0.1}}}, "names 0.3, which is no value of train.learn"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, base: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        loaded(tmp_path, described(base, **change))


def test_a_column_that_nobody_measures_is_named_and_one_that_came_later_is_measured(tmp_path: Path, base: Path) -> None:
    measured: list[float] = []

    def work(trial: Trial) -> dict[str, float | None]:
        measured.append(trial.config.train.learning_rate)
        return {"accuracy": 0.5, "seconds": None}

    wrong = loaded(tmp_path, described(base, columns={"acuracy": {"words": "a"}}, figure={"y": "acuracy"}))
    with pytest.raises(UserError, match="no trial measures 'acuracy'; a column may be one of accuracy, seconds"):
        studies.run(wrong, work, tmp_path / "kept")
    one = loaded(tmp_path, described(base, columns={"accuracy": {"words": "a"}}, seeds=[1]))
    studies.run(one, lambda _: {"accuracy": 0.5}, tmp_path / "kept")
    two = loaded(tmp_path, described(base, seeds=[1]))
    measured.clear()
    studies.run(two, work, tmp_path / "kept")
    assert len(measured) == 3
    studies.run(two, refuse, tmp_path / "kept")


def test_what_an_axis_sets_cannot_be_set_besides(tmp_path: Path, base: Path) -> None:
    study = loaded(tmp_path, described(base))
    with pytest.raises(UserError, match=r"--set train\.learning_rate: study rates sets that itself"):
        studies.run(study, refuse, tmp_path / "kept", ["train.learning_rate=0.3"])


def test_an_axis_that_is_no_setting_is_named(tmp_path: Path, base: Path) -> None:
    study = loaded(tmp_path, described(base, axes={"train.speed": [1]}))
    with pytest.raises(UserError, match=r"train\.speed is not a known key"):
        studies.run(study, refuse, tmp_path / "kept")


def test_the_page_shows_means_with_their_ends_and_escapes(tmp_path: Path, base: Path) -> None:
    study = loaded(tmp_path, described(base, title="<b>Rates</b>"))
    points = [
        Point({"train.learning_rate": 0.1}, {"accuracy": [0.5, 0.7], "seconds": [2.0, 2.0]}),
        Point({"train.learning_rate": 0.2}, {"accuracy": [0.6, 0.8], "seconds": [None, 1.0]}),
        Point({"train.learning_rate": 0.4}, {"accuracy": [0.65, None], "seconds": [None, None]}),
    ]
    assert study_page.table(study, points).rows == [
        ["0.1", "60.0 % (50.0 % to 70.0 %)", "2"],
        ["0.2", "70.0 % (60.0 % to 80.0 %)", "1"],
        ["0.4", "65.0 %", "–"],
    ]
    assert studies.correlation(study, points) == 0.5
    page = study_page.page(study, points, "c0ffee")
    assert "&lt;b&gt;Rates&lt;/b&gt;" in page
    assert "<svg" in page
    study_page.record(study, points, tmp_path, {"code": "c0ffee"})
    kept = json.loads((tmp_path / "study_rates.json").read_text())
    assert (kept["spearman"], kept["code"], len(kept["points"])) == (0.5, "c0ffee", 3)
    drawing = (tmp_path / "study_rates.svg").read_text()
    assert drawing.startswith("<svg")
    assert 'xmlns="http://www.w3.org/2000/svg"' in drawing
    assert drawing.rstrip().endswith("</svg>")
    ElementTree.fromstring(drawing)


def test_what_a_study_expects_is_held_against_it(tmp_path: Path, base: Path) -> None:
    def said(accuracies: list[float | None], **expected: object) -> list[str]:
        study = loaded(tmp_path, described(base, expected=expected))
        rates = study.axes["train.learning_rate"]
        points = [
            Point({"train.learning_rate": rate}, {"accuracy": [value]})
            for rate, value in zip(rates, accuracies, strict=True)
        ]
        return studies.unmet(study, points)

    gain = {"of": 0.4, "over": 0.1, "least": 0.05}
    assert said([0.1, 0.2, 0.3]) == []
    assert said([0.1, 0.2, 0.3], correlation=0.8, gain=gain) == []
    assert said([0.1, 0.3, 0.2], correlation=0.8, gain=gain) == [
        "the rank correlation of train.learning_rate with accuracy is 0.5, expected 0.8 or more"
    ]
    assert said([0.3, 0.3, 0.32], gain=gain) == [
        "accuracy is 0.32 at train.learning_rate 0.4 and 0.3 at 0.1, expected 0.05 more"
    ]
    # What was not measured is not met.
    assert len(said([None, 0.2, 0.3], correlation=0.8, gain=gain)) == 2


@pytest.mark.parametrize("place", sorted(CONF.glob("*.yaml")), ids=lambda place: place.stem)
def test_the_projects_own_studies_can_be_read(place: Path) -> None:
    study = studies.load(place)
    assert list(studies.trials(study))
