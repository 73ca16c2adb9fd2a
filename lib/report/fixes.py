"""What people might correct in the categories, and what they did, as the page shows it."""

from collections.abc import Mapping
from typing import Any

import yaml

from lib import months
from lib.report.charts import interval_mark
from lib.report.gather import MonthFacts
from lib.report.views import count, cut_example, percent

KINDS = {
    "twins": "Twins: each has rows that are answered with the other. Are they one category?",
    "polluted": "Polluted: offers of other categories are filed here, and it knows them surely.",
    "broad": "Broad: its offers are answered with many categories, none of them its rival.",
    "uncertain": "Uncertain: nothing stands out; its names may say too little, or too few were learnt from.",
}
# Who takes a suggestion over signs it.
UNSIGNED = "your name"
WIDTH = 100
ACTIONS = {"merge": "rows of all splits merged", "exclude": "train rows left out"}


def uncertain(facts: MonthFacts, examples: int, name_length: int) -> dict[str, Any] | None:
    """The least sure categories with names and suggested fixes; None where evaluation did not look for them."""
    found = facts.facts("evaluate").get("uncertain")
    if not found:
        return None
    listed = found["categories"]
    most = max((one["entropy"][2] for one in listed), default=1.0)
    return {
        "words": f"Of {count(found['judged'])} categories with enough held-out rows those of the highest mean entropy, "
        f"and those with the most rows answered otherwise; {count(found['few'])} have too few rows to be judged.",
        "usual": f"Of all rows {percent(found['sure_share'])} are surely answered (a confidence of "
        f"{found['sure_from']} or more) with another category than theirs.",
        "rows": [_row(one, most, examples, name_length, facts) for one in listed],
    }


def fixes(facts: MonthFacts) -> list[dict[str, Any]] | None:
    """The month's fixes with what each moved, and its categories' F1 before it began and now; None before stage
    normalize."""
    if facts.stages.get("normalize") is None:
        return None
    return [_fix(fix, facts) for fix in facts.facts("normalize").get("fixes", [])]


def _row(one: Mapping[str, Any], most: float, examples: int, name_length: int, facts: MonthFacts) -> dict[str, Any]:
    value, low, high = one["entropy"]
    return {
        **one,
        "words": KINDS.get(one["kind"], one["kind"]),
        "mark": interval_mark(value, low, high, 0.0, most),
        "mistaken_share": one["mistaken"] / one["rows"],
        "sure_share": one["sure"] / one["rows"],
        "fix": _entry(one.get("fix")),
        "examples": [cut_example(shown, name_length, facts.thumbnails) for shown in one["examples"][:examples]],
    }


def _fix(fix: Mapping[str, Any], facts: MonthFacts) -> dict[str, Any]:
    before, kind = months.shift(fix["from_month"], -1), fix["kind"]
    correction = yaml.safe_dump({kind: fix[kind]}, allow_unicode=True, default_flow_style=True, width=10_000)
    return {
        **fix,
        "correction": correction.strip(),
        "rows": count(fix["rows"]),
        "action": ACTIONS.get(kind, "train rows moved"),
        "before": before,
        "categories": [
            {"path": path, "before": facts.fix_scores.get((before, cat_id)),
             "now": facts.fix_scores.get((facts.month, cat_id))}
            for cat_id, path in fix["categories"].items()
        ],
    }  # fmt: skip


def _entry(suggested: Mapping[str, Any] | None) -> str | None:
    """An entry of the fixes' file, as text that can be taken over."""
    if suggested is None:
        return None
    signed = {"from_month": suggested["from_month"], "by": UNSIGNED, **suggested}
    return yaml.safe_dump([signed], allow_unicode=True, sort_keys=False, width=WIDTH)
