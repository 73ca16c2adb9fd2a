"""Renders a month's page and stores it. Every value is escaped: product and category names are untrusted
text."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from lib.artefact import write_whole
from lib.config import ReportSettings
from lib.report import decisions, fixes, views
from lib.report.gather import MonthFacts

CONTENTS = (
    ("stages", "Stages"),
    ("promotion", "Promotion"),
    ("drift", "Drift"),
    ("audit", "People"),
    ("review", "Review"),
    ("crawl", "Crawl"),
    ("rejects", "Rejects"),
    ("pictures", "Pictures"),
    ("vocabulary", "Vocabulary"),
    ("brands", "Brands"),
    ("distribution", "Distribution"),
    ("training", "Training"),
    ("accuracy", "Accuracy"),
    ("confidence", "Confidence"),
    ("categories", "Categories"),
    ("uncertain", "Uncertain categories"),
    ("fixes", "Fixes"),
    ("peer", "Peer"),
    ("next", "Next month"),
    ("details", "Details"),
)
# Sections of stages that a month may do without.
STAGE_OF = {"crawl": "crawl", "pictures": "images"}


def render(facts: MonthFacts, settings: ReportSettings, code: str) -> str:
    """The page as HTML.

    Args:
        code: the commit that made it.
    """
    evaluated = facts.facts("evaluate")
    return fill(
        "month.html",
        facts=facts,
        code=code,
        contents=[one for one in CONTENTS if one[0] not in STAGE_OF or facts.facts(STAGE_OF[one[0]])],
        tiles=views.tiles(facts),
        stages=views.stage_rows(facts),
        crawl=views.crawl(facts),
        pictures=views.pictures(facts),
        funnel=views.funnel(facts),
        brands=views.brands(facts),
        distribution=views.distribution(facts.distribution),
        training=views.training(facts),
        test=evaluated.get("test"),
        accuracy_tables=views.accuracy_tables(facts),
        confidence=views.confidence(facts),
        temperature=evaluated.get("temperature"),
        worst=views.worst(facts, settings.examples, settings.name_length),
        uncertain=fixes.uncertain(facts, settings.examples, settings.name_length),
        fixes=fixes.fixes(facts),
        peer=evaluated.get("peer"),
        next_month=evaluated.get("next_month"),
        truth=evaluated.get("truth"),
        history_chart=views.history_chart(facts.history),
        promotion=decisions.promotion(facts),
        drift=decisions.drift(facts),
        audit=decisions.audit(facts),
        queue=decisions.queue(facts),
        routes=decisions.routes(facts),
        details=views.details(facts),
    )


def fill(template: str, **values: Any) -> str:
    """A template of this package with its style sheet and our filters; every value is escaped."""
    loader = PackageLoader("lib.report")
    # Always on, whatever a template's name ends with. What an older manifest lacks is shown as a dash.
    environment = Environment(loader=loader, autoescape=True, undefined=ChainableUndefined, trim_blocks=True)
    environment.filters |= {
        "share": views.percent,
        "ends": views.ends,
        "points": views.points,
        "count": views.count,
        # A file's name is no address: '?', '#' and ':' have a meaning there.
        "link": lambda name: "./" + quote(str(name)),
    }
    style = Markup(loader.get_source(environment, "style.css")[0])  # noqa: S704 our own file
    return environment.get_template(template).render(style=style, **values)


def store(page: str, folder: str, name: str) -> Path:
    """Write the page whole to <folder>/<name>.html and return where it is.

    Args:
        name: the month, or 'index'.
    """
    place = Path(folder) / f"{name}.html"
    write_whole(place, page)
    return place
