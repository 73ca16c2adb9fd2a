"""What a person decided against a gate, and who and why: never without a name and a reason."""

from dataclasses import asdict, dataclass

from lib.errors import UserError

# A person may overrule these. What a model has to show it has to show; but a champion whose tokenizer is gone for good
# can be compared with by nobody, and would stay for ever.
BRAKES = ("drift", "order", "rollback", "comparison")
LONGEST_NAME, LONGEST_REASON = 100, 500


@dataclass(frozen=True)
class Note:
    """Who decides, and why."""

    who: str
    why: str

    @property
    def facts(self) -> dict[str, str]:
        """As a manifest keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class Override:
    """The gates that a person overrules.

    Attributes:
        gates: of BRAKES.
        note: None where nothing is overruled.
    """

    gates: frozenset[str] = frozenset()
    note: Note | None = None


NO_OVERRIDE = Override()


def noted(who: str | None, why: str | None, what: str) -> Note:
    """The note of a person.

    Args:
        what: the option that asks for it.

    Raises:
        UserError: a name or a reason is missing, too long or of more than one line.
    """
    for option, text, longest in (("--who", who, LONGEST_NAME), ("--why", why, LONGEST_REASON)):
        if text is None or not text.strip():
            raise UserError(f"{what} is recorded with a name and a reason; give {option}")
        if len(text) > longest or not text.isprintable():
            raise UserError(
                f"{option} must be one line of at most {longest} characters, got {len(text)}: {text[:40]!r}"
            )
    assert who is not None
    assert why is not None
    return Note(who.strip(), why.strip())
