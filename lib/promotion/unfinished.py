"""A decision between its making and its manifest, kept so that who is killed meanwhile ends it as it was made.

Without it a run that was killed after `champion` had moved would find, when run again, that the candidate is the
champion already, and the month's manifest would never tell how it became so.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.artefact import write_whole
from lib.errors import UserError


def _place(warehouse: str, month: str) -> Path:
    return Path(warehouse) / "manifests" / "promote" / "unfinished" / f"{month}.json"


def keep(warehouse: str, month: str, key: str, facts: Mapping[str, Any]) -> None:
    """Keep a decision before anything moves.

    Args:
        key: skip key of the stage: what the decision was made from.
    """
    write_whole(_place(warehouse, month), json.dumps({"key": key, "facts": facts}, ensure_ascii=False, indent=1))


def find(warehouse: str, month: str) -> tuple[str, dict[str, Any]] | None:
    """Key and facts of the decision that was not ended; None where all were.

    Raises:
        UserError: the file is damaged.
    """
    place = _place(warehouse, month)
    if not place.is_file():
        return None
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
        return str(record["key"]), dict(record["facts"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place} is no decision ({error}); remove it and run jobs/promote.py again") from None


def ended(warehouse: str, month: str) -> None:
    """The manifest tells it now."""
    _place(warehouse, month).unlink(missing_ok=True)
