"""From the gates to a decision, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lib.promotion.gates import FAILED, NOT_JUDGED, Gate
from lib.promotion.override import NO_OVERRIDE, Override

Kind = Literal["promoted", "first", "kept"]


@dataclass(frozen=True)
class Seat:
    """Who sits where before the decision, as version numbers.

    Attributes:
        candidate: the month's version.
        champion, previous: as the aliases name them; None where nobody is.
        rival: what the candidate was compared with: the champion, or `previous` where the champion's files are gone.
    """

    candidate: str
    champion: str | None
    previous: str | None
    rival: str | None

    @property
    def champion_is_gone(self) -> bool:
        """Whether the champion's files are gone or damaged."""
        return self.champion is not None and self.rival != self.champion


@dataclass(frozen=True)
class Decision:
    """What comes of it.

    Attributes:
        champion, previous: after the decision.
    """

    kind: Kind
    words: str
    seat: Seat
    champion: str | None
    previous: str | None
    gates: Sequence[Gate] = field(default_factory=tuple)
    override: Override = NO_OVERRIDE

    @property
    def facts(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        note = self.override.note
        return {
            "decision": self.kind,
            "words": self.words,
            "candidate": self.seat.candidate,
            "champion": self.champion,
            "previous": self.previous,
            "rival": self.seat.rival,
            "champion_before": self.seat.champion,
            "gates": [
                {**gate.facts, "overridden": gate.status == FAILED and gate.name in self.override.gates}
                for gate in self.gates
            ],
            "override": None if note is None else {**note.facts, "gates": sorted(self.override.gates)},
        }


def already_champion(seat: Seat) -> Decision:
    """The candidate is the champion: nothing to decide."""
    words = f"Version {seat.candidate} is the champion already; nothing was compared."
    return Decision("kept", words, seat, seat.champion, seat.previous)


def decided(seat: Seat, gates: Sequence[Gate], override: Override, keep_champion: bool) -> Decision:
    """Promote unless a gate fails that nobody overrules, or the champion is to stay anyway."""
    standing = [gate for gate in gates if gate.status == FAILED and gate.name not in override.gates]
    if standing or keep_champion:
        words = _kept_words(seat, standing, keep_champion)
        return Decision("kept", words, seat, seat.champion, seat.previous, gates, override)
    kind: Kind = "first" if seat.champion is None else "promoted"
    # A champion whose files are gone is nobody to return to: `previous` stays who it is.
    previous = seat.previous if seat.champion_is_gone else seat.champion
    return Decision(
        kind, _promoted_words(seat, previous, gates, override), seat, seat.candidate, previous, gates, override
    )


def _kept_words(seat: Seat, standing: Sequence[Gate], keep_champion: bool) -> str:
    champion = f"version {seat.champion} stays champion" if seat.champion else "there is still no champion"
    if seat.champion_is_gone:
        champion += ", though its files are gone (jobs/promote.py --rollback returns to `previous`)"
    if keep_champion:
        verdict = "; ".join(gate.words for gate in standing) or "no gate failed."
        return f"Version {seat.candidate} was only judged (promote.keep_champion) and {champion}: {verdict}"
    reasons = " ".join(gate.words for gate in standing)
    return f"Version {seat.candidate} stays candidate and {champion}. {reasons}"


def _promoted_words(seat: Seat, previous: str | None, gates: Sequence[Gate], override: Override) -> str:
    if seat.champion is None:
        words = f"Version {seat.candidate} is the first champion: its confidences are as right as they have to be."
    elif previous == seat.champion:
        words = f"Version {seat.candidate} is champion in place of version {seat.champion}, which stays as `previous`."
    else:
        words = f"Version {seat.candidate} is champion in place of version {seat.champion}, whose files are gone."
    overruled = [gate for gate in gates if gate.status == FAILED and gate.name in override.gates]
    if overruled and override.note is not None:
        names = ", ".join(gate.name for gate in overruled)
        words += f" {override.note.who} overruled {names}: {override.note.why}"
    unjudged = [gate.name for gate in gates if gate.status == NOT_JUDGED]
    return words + (f" Not judged: {', '.join(unjudged)}." if unjudged else "")
