"""What a candidate has to pass to become champion, each gate a pure function of counts.

On the month and on the audit sample it has to be shown to be no worse than the champion by more than a margin
(non-inferiority); a single category holds it back only where it is shown to lose more. So equal models pass nearly
always, and one that is a point worse nearly never (benchmarks/promotion.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.stats import norm

from lib.config import PromoteSettings
from lib.evaluation.calibration import Bin, binned_error
from lib.promotion.bounds import Pairs, holm, loses_more, lower_bound

Status = Literal["passed", "failed", "not judged"]
PASSED: Status = "passed"
FAILED: Status = "failed"
NOT_JUDGED: Status = "not judged"
# Categories that a gate's words and figures name.
NAMED = 5
TINY_SECONDS = 1e-9


@dataclass(frozen=True)
class Gate:
    """One gate's verdict.

    Attributes:
        name: which gate.
        words: one sentence with the figures that decided.
        figures: the same figures (JSON values).
    """

    name: str
    status: Status
    words: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        return {"name": self.name, "status": self.status, "words": self.words, **self.figures}


def month_gate(pairs: Pairs, settings: PromoteSettings, effect: float = 1.0) -> Gate:
    """No worse on the month's test side.

    Args:
        effect: how many rows tell as much as an independent one (`bounds.design_effect`).
    """
    rows = int(pairs.rows.sum())
    small = rows < settings.min_rows
    margin = settings.margin_small if small else settings.margin
    why = f" ({'fewer' if small else 'no fewer'} than {settings.min_rows:,})"
    place = f"{rows:,} test rows of the month{why}"
    return _no_worse("month", place, pairs.total, margin, settings.level, effect)


def audit_gate(pairs: Pairs, answered: int, month: str | None, settings: PromoteSettings) -> Gate:
    """No worse by people's answers.

    Args:
        pairs: the answered offers by their weights (`bounds.weighted`).
        answered: how many they are.
        month: the month whose sample it is; None: nobody has answered any.
    """
    if month is None or answered < settings.audit_min_rows:
        said = "nobody has answered an audit sample" if month is None else f"{answered:,} audit offers are answered"
        words = f"Not judged by people: {said}, and it takes {settings.audit_min_rows:,} (promote.audit_min_rows)."
        return Gate("audit", NOT_JUDGED, words, {"rows": answered})
    place = f"{answered:,} audit offers of {month} as people label them"
    found = _no_worse("audit", place, pairs, settings.audit_margin, settings.level)
    return Gate(found.name, found.status, found.words, {**found.figures, "rows": answered, "month": month})


def unread_audit(month: str, why_not: str) -> Gate:
    """An audit sample of an earlier month, whose offers can be read no more."""
    return Gate("audit", NOT_JUDGED, f"Not judged by people: the offers of {month} cannot be read: {why_not}.")


def category_gate(cat_ids: Sequence[str], pairs: Pairs, settings: PromoteSettings, effect: float = 1.0) -> Gate:
    """No single category is shown to lose more than it may.

    Args:
        cat_ids: of each category in `pairs`, in the same order.
        effect: as for the month's gate, of all categories together.
    """
    large = np.flatnonzero(pairs.rows >= settings.category_min_rows)
    judged = Pairs(pairs.rows[large], pairs.gains[large], pairs.losses[large])
    points = f"{100 * settings.category_margin:g} points"
    if len(judged) == 0:
        words = f"Not judged: no category has {settings.category_min_rows} test rows."
        return Gate("categories", NOT_JUDGED, words, {"categories": 0})
    chances = holm(loses_more(judged.thinned(effect), settings.category_margin))
    losing = np.flatnonzero(chances < 1 - settings.level)
    losing = losing[np.argsort(judged.difference[losing], kind="stable")]
    worst = [
        {"cat_id": cat_ids[large[at]], "difference": float(judged.difference[at]), "rows": int(judged.rows[at])}
        for at in losing[:NAMED]
    ]
    figures = {"categories": len(judged), "losing": len(losing), "worst": worst, "margin": settings.category_margin}
    if len(losing) == 0:
        words = f"None of {len(judged):,} categories loses more than {points} (Holm-corrected)."
        return Gate("categories", PASSED, words, figures)
    named = ", ".join(f"{one['cat_id']} ({_points(one['difference'])} on {one['rows']:,} rows)" for one in worst)
    words = f"{len(losing)} of {len(judged):,} categories lose more than {points} (Holm-corrected): {named}."
    return Gate("categories", FAILED, words, figures)


def calibration_gate(bins: Sequence[Bin], settings: PromoteSettings) -> Gate:
    """The candidate's confidences mean what they say.

    The error of binned confidences is above 0 by chance alone, and the more so the fewer the rows (Kumar, Liang & Ma:
    Verified uncertainty calibration, 2019); what chance may make of a calibrated model is taken off.
    """
    rows = sum(one.rows for one in bins)
    limit = settings.calibration_error
    if rows == 0:
        return Gate(
            "calibration", FAILED, "The month has no labelled test rows, so nothing is known of confidences.", {}
        )
    error, chance = binned_error(list(bins)), error_by_chance(bins, settings.level)
    words = (
        f"Confidence and accuracy lie {100 * error:.2f} points apart on {rows:,} test rows; {100 * limit:g} are "
        f"allowed, and {100 * chance:.2f} that chance alone may make."
    )
    figures = {"error": error, "by_chance": chance, "rows": rows, "limit": limit}
    return Gate("calibration", PASSED if error - chance <= limit else FAILED, words, figures)


def error_by_chance(bins: Sequence[Bin], level: float) -> float:
    """What the calibration error of a model whose confidences mean just what they say hardly exceeds.

    In each bin accuracy lies about normally around confidence; the error is the weighted mean of absolute distances.

    Args:
        level: how sure the bound is, for instance 0.95.
    """
    rows = sum(one.rows for one in bins)
    if rows == 0:
        return 0.0
    spread = np.array([one.rows * (one.confidence * (1 - one.confidence) / one.rows) ** 0.5 for one in bins]) / rows
    mean, variance = (2 / np.pi) ** 0.5 * spread.sum(), (1 - 2 / np.pi) * (spread**2).sum()
    return float(mean + norm.ppf(level) * variance**0.5)


def latency_gate(candidate: Sequence[float], champion: Sequence[float], rows: int, settings: PromoteSettings) -> Gate:
    """Not much slower.

    Args:
        candidate, champion: seconds of each batch, taken in turns in one process.
        rows: of a batch.
    """
    ours, peer = float(np.median(candidate)), float(np.median(champion))
    # Without a row to answer both take no time.
    ratio = ours / max(peer, TINY_SECONDS)
    words = (
        f"A batch of {rows:,} rows takes {1000 * ours:.1f} ms, the champion's {1000 * peer:.1f} ms: {ratio:.2f} times, "
        f"and {settings.latency_ratio:g} is allowed."
    )
    figures = {"ratio": ratio, "candidate_seconds": ours, "champion_seconds": peer, "limit": settings.latency_ratio}
    return Gate("latency", PASSED if ratio <= settings.latency_ratio else FAILED, words, figures)


def drift_gate(facts: Mapping[str, Any] | None) -> Gate:
    """The month looks like those before it.

    Args:
        facts: of the month's drift stage; None where it has not run.
    """
    if facts is None:
        return Gate("drift", NOT_JUDGED, "Not judged: stage drift has not run for the month.")
    words = str(facts["words"])
    return Gate("drift", FAILED if facts["drifted"] else PASSED, words)


def order_gate(month: str, champion_month: str | None, current: str | None) -> Gate:
    """Neither older than the champion nor of a month that has not begun.

    Args:
        month: the candidate's.
        champion_month: None where there is no champion.
        current: the calendar's month; None where months are simulated and any may be made.
    """
    if current is not None and month > current:
        return Gate("order", FAILED, f"Month {month} has not begun; now is {current}.")
    if champion_month is not None and champion_month > month:
        return Gate("order", FAILED, f"The champion was trained on {champion_month}, which is later than {month}.")
    return Gate("order", PASSED, "No later month has a champion.")


def rollback_gate(withdrawn: Mapping[str, str] | None) -> Gate:
    """Nobody has taken this very version back.

    Args:
        withdrawn: who took it back, why and when; None: nobody did.
    """
    if withdrawn is None:
        return Gate("rollback", PASSED, "Nobody has rolled this version back.")
    said = f"{withdrawn['who']} rolled this version back on {withdrawn['when'][:10]}: {withdrawn['why']}"
    return Gate("rollback", FAILED, said)


def comparison_gate(why_not: str) -> Gate:
    """The champion cannot be asked about the month's names."""
    return Gate("comparison", FAILED, f"The champion cannot be compared with: {why_not}.")


def _no_worse(name: str, place: str, pairs: Pairs, margin: float, level: float, effect: float = 1.0) -> Gate:
    difference, bound = float(pairs.difference[0]), float(lower_bound(pairs.thinned(effect), level)[0])
    passed = bound >= -margin
    words = (
        f"On {place} accuracy changes by {_points(difference)}, at worst by {_points(bound)} ({100 * level:g} % sure); "
        f"{_points(-margin)} is allowed."
    )
    if not passed and difference >= -margin:
        words += " There are too few rows, or too many that the two models answer differently, to be sure of that."
    figures = {
        "difference": difference, "bound": bound, "margin": margin, "rows": int(pairs.rows.sum()),
        "gains": float(pairs.gains.sum()), "losses": float(pairs.losses.sum()), "effect": effect,
    }  # fmt: skip
    return Gate(name, PASSED if passed else FAILED, words, figures)


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f} points"
