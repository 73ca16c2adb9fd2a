"""People and machine on the same audited offers (R1).

Whose truth? The given label is what the platform has, and it is noisy. So people and machine are each held against the
given label, as the published comparison did, on the offers that people answered and that have one; a person who sees
that it is wrong counts as wrong, like the machine that sees it. Where several people answered, the machine is also held
against what most of them said. People's answer to an offer is what most of them said; 'none fits' is an answer like any
other, and the given label is never that.

Offers count by their weights: accuracies are those of the month's test side, with bootstrap intervals over offers.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.evaluation import bootstrap
from lib.evaluation.agreement import agreement, mcnemar
from lib.evaluation.bootstrap import Interval
from lib.evaluation.comparisons import listed


@dataclass(frozen=True)
class Audited:
    """One offer that people answered.

    Attributes:
        weight: test offers that it stands for.
        given: its label; None where it has none.
        people: what most people said; None: that no category fits.
        machine: what the machine says; None where it was not asked.
        voices: reviewer -> what he said.
    """

    product_id: str
    weight: float
    given: str | None
    people: str | None
    machine: str | None
    voices: Mapping[str, str | None] = field(default_factory=dict)


def compared(offers: Sequence[Audited]) -> dict[str, Any]:
    """Facts for the report; intervals are [value, low, high] at 95 %.

    Args:
        offers: those that people answered, at least one.
    """
    return {
        "offers": len(offers),
        "none_fits": sum(one.people is None for one in offers),
        **_against_given([one for one in offers if one.given is not None]),
        "machine_against_most_people": _against_people([one for one in offers if len(one.voices) > 1]),
        "agreement": _agreement(offers),
        "reviewers": _reviewers(offers),
    }


def disagreements(offers: Sequence[Audited], limit: int) -> list[Audited]:
    """Up to `limit` offers that people and machine put into different categories, those that stand for most first."""
    differing = [one for one in offers if one.machine is not None and one.machine != one.people]
    return sorted(differing, key=lambda one: (-one.weight, one.product_id))[:limit]


def _against_given(offers: Sequence[Audited]) -> dict[str, Any]:
    """Both against the given label, on the same offers: those that the machine was asked about, if any."""
    asked = [one for one in offers if one.machine is not None]
    on = asked or offers
    found: dict[str, Any] = {
        "labelled": len(on),
        **dict.fromkeys(("people", "machine", "people_minus_machine", "paired")),
    }
    if on:
        people = np.array([one.people == one.given for one in on])
        found["people"] = listed(_weighted(people, on))
    if asked:
        machine = np.array([one.machine == one.given for one in asked])
        found["machine"] = listed(_weighted(machine, asked))
        found["people_minus_machine"] = listed(_weighted(people.astype(np.float64) - machine, asked))
        tested = mcnemar(people, machine)
        found["paired"] = {
            "only_people_right": tested.first_only,
            "only_machine_right": tested.second_only,
            "p_value": tested.p_value,
        }
    return found


def _against_people(offers: Sequence[Audited]) -> dict[str, Any] | None:
    """The machine against what most of several people said."""
    asked = [one for one in offers if one.machine is not None]
    if not asked:
        return None
    right = np.array([one.machine == one.people for one in asked])
    return {"offers": len(asked), "machine": listed(_weighted(right, asked))}


def _agreement(offers: Sequence[Audited]) -> dict[str, Any] | None:
    found = agreement([list(one.voices.values()) for one in offers])
    return None if found is None else asdict(found)


def _reviewers(offers: Sequence[Audited]) -> list[dict[str, Any]]:
    """Each person against the given label, by name."""
    right: dict[str, list[tuple[bool, Audited]]] = defaultdict(list)
    for one in offers:
        for reviewer, said in one.voices.items():
            if one.given is not None:
                right[reviewer].append((said == one.given, one))
    return [
        {
            "reviewer": reviewer,
            "offers": len(results),
            "accuracy": listed(_weighted(np.array([hit for hit, _ in results]), [one for _, one in results])),
        }
        for reviewer, results in sorted(right.items())
    ]


def _weighted(values: NDArray[Any], offers: Sequence[Audited]) -> Interval:
    """The mean of [offers] values, each offer counting as many times as it stands for."""
    weights = np.array([one.weight for one in offers])
    return bootstrap.ratio(values * weights, weights)
