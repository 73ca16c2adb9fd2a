"""What was decided on in a month, as the page shows it: promotion, drift, people's answers, where answers went."""

import json
from collections.abc import Mapping
from typing import Any

from lib.report.charts import number
from lib.report.gather import MonthFacts
from lib.report.views import count, percent

DECISIONS = {
    "promoted": "Promoted: the candidate is the champion",
    "first": "Promoted: there was no champion before",
    "kept": "Kept: the new version stays a candidate",
}
# Rows of figures on the page, and characters of a text; what a stage recorded is whole under Details.
MOST_ROWS = 40
MOST_CHARACTERS = 500
# What a gate's record has beside its figures.
GATE_WORDS = ("name", "status", "words", "overridden")
AUDIT_WORDS = {
    "people": "People say what the given label says",
    "machine": "The machine says so, on the same offers",
}
MARKS = {"passed": "✓", "failed": "✗", "not judged": "–"}


def promotion(facts: MonthFacts) -> dict[str, Any] | None:
    """The decision and its gates; None before there was one."""
    found = facts.facts("promote")
    if not found:
        return None
    decision = str(found.get("decision", ""))
    gates = [
        {
            "name": gate.get("name"),
            "status": f"{gate.get('status')}{', overruled' if gate.get('overridden') else ''}",
            "mark": MARKS.get(str(gate.get("status")), ""),
            "words": _cut(gate.get("words")),
            "figures": [f"{_plain(key)} {_value(value)}" for key, value in gate.items() if key not in GATE_WORDS],
        }
        for gate in _records(found.get("gates"))
    ]
    return {
        "title": DECISIONS.get(decision, decision),
        "words": _cut(found.get("words")),
        "versions": [
            (role, found[role]) for role in ("candidate", "champion", "previous") if found.get(role) is not None
        ],
        "gates": gates,
        "override": found.get("override"),
    }


def drift(facts: MonthFacts) -> dict[str, Any] | None:
    """What moved against the months before, what moved most first; None before it was looked at."""
    found = facts.facts("drift")
    if not found:
        return None
    figures = sorted(_records(found.get("figures")), key=_excess, reverse=True)
    return {
        "drifted": bool(found.get("drifted")),
        "words": _cut(found.get("words")),
        "against": [str(month) for month in found.get("against") or []],
        "figures": [{**one, "value": _value(one.get("value")), "threshold": _value(one.get("threshold"))}
                    for one in figures[:MOST_ROWS]],
        "left_out": max(0, len(figures) - MOST_ROWS),
        "alarms": [_cut(_said(alarm)) for alarm in (found.get("alarms") or [])[:MOST_ROWS]],
    }  # fmt: skip


def audit(facts: MonthFacts) -> dict[str, Any] | None:
    """How far people have labelled the audit sample, and people and machine on the same offers; None without one."""
    found = facts.facts("validation_set")
    if not found:
        return None
    compared = found.get("comparison") or {}
    rows = [(words, compared.get(name)) for name, words in AUDIT_WORDS.items()]
    against = compared.get("machine_against_most_people") or {}
    rows.append(("The machine says what most of several people said", against.get("machine")))
    rows += [(f"{one.get('reviewer')} is right", one.get("accuracy")) for one in _records(compared.get("reviewers"))]
    return {
        "progress": _progress(found, "sampled", "test offers were drawn for people to label"),
        "rows": [(words, figure) for words, figure in rows if figure][:MOST_ROWS],
        "difference": compared.get("people_minus_machine"),
        "paired": _paired(compared.get("paired")),
        "agreement": _agreement(compared.get("agreement")),
        "disagreements": _records(found.get("disagreements"))[:MOST_ROWS],
        "sheet": _sheet(found),
    }


def queue(facts: MonthFacts) -> dict[str, Any] | None:
    """How many offers wait for people, and the sheet to answer on; None before any were chosen."""
    found = facts.facts("review")
    if not found:
        return None
    sent = {"open": found.get("open"), "answered": found.get("answered"), "none_fits": found.get("none_fits")}
    words = {
        "open": "offers are on the sheet",
        "answered": "of this month are answered",
        "none_fits": "of them: none fits",
    }
    told = [f"{count(value)} {words[name]}" for name, value in sent.items() if isinstance(value, int)]
    return {"words": f"{'; '.join(told)}." if told else "", "sheet": _sheet(found)}


def routes(facts: MonthFacts) -> dict[str, Any] | None:
    """How many answers go unseen and how many to people; None before scoring, or where nothing was routed."""
    found = facts.facts("score")
    if not isinstance(found.get("routes"), Mapping):
        return None
    total = sum(found["routes"].values()) or 1
    rows = [(route, count(products), 100 * products / total) for route, products in found["routes"].items()]
    expected = found.get("expected_precision")
    words = f"Of the answers that go unseen {percent(expected)} are expected to be right." if expected else ""
    return {"version": found.get("model_version"), "rows": rows, "words": words}


def _progress(found: Mapping[str, Any], all_of_them: str, what: str) -> str:
    drawn, answered = found.get(all_of_them), found.get("answered")
    return f"{count(drawn)} {what}; {count(answered)} of them are answered, {count(found.get('open'))} are open."


def _paired(found: Any) -> str:
    """McNemar's test in words; nothing where people and machine were not both asked."""
    if not isinstance(found, Mapping):
        return ""
    return (
        f"On {count(found.get('only_people_right'))} offers only people are right, on "
        f"{count(found.get('only_machine_right'))} only the machine (McNemar's test, "
        f"p = {_value(found.get('p_value'))})."
    )


def _agreement(found: Any) -> str:
    if not isinstance(found, Mapping):
        return ""
    return (
        f"Of {count(found.get('rows'))} offers that several people answered, two of them agree in "
        f"{percent(found.get('pairwise'))} (Fleiss' kappa {_value(found.get('kappa'))})."
    )


def _sheet(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to open, and its place beside the page."""
    sheet = found.get("sheet")
    return [(str(kind), str(place)) for kind, place in sheet.items()] if isinstance(sheet, Mapping) else []


def _excess(figure: Mapping[str, Any]) -> tuple[bool, float]:
    """Drifted ones first, then by how far a value is above (or near) its threshold."""
    value, threshold = figure.get("value"), figure.get("threshold")
    known = isinstance(value, int | float) and isinstance(threshold, int | float) and threshold > 0
    return bool(figure.get("drifted")), float(value or 0) / float(threshold or 1) if known else 0.0


def _records(value: Any) -> list[dict[str, Any]]:
    """The mappings of a list; an older manifest may lack it."""
    return [dict(one) for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _value(value: Any) -> str:
    """A figure, or a figure with its interval, as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list) and value and all(isinstance(end, int | float) for end in value):
        return " / ".join(number(end) for end in value)
    return _cut(_said(value))


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def _plain(name: str) -> str:
    return name.replace("_", " ")
