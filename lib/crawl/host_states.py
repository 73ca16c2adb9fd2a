"""What is known of each host, kept beside the month's lock: a crawl that was killed keeps away from whom it had to."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from lib.artefact import write_whole
from lib.config import CrawlSettings
from lib.crawl.request import HostState

LOG = logging.getLogger(__name__)
# After so many unanswered requests in a row the host, not the address, is what fails: the round leaves it alone.
STREAK = 5
# Why a host is given up with its API; all else is about its pages.
UNREACHABLE, OVERLOADED = "host_unreachable", "host_overloaded"


def write(warehouse: str, month: str, states: Mapping[str, HostState]) -> None:
    """Replace what is kept."""
    write_whole(_place(warehouse, month), json.dumps([state.to_json() for state in states.values()]))


def read(warehouse: str, month: str, settings: CrawlSettings) -> dict[str, HostState]:
    """Host -> what was kept of it; nothing where that is damaged, as all of it can be learnt again.

    No pause is longer than what is left of the longest that a host may ask for: a clock that was wrong binds nobody.
    """
    place = _place(warehouse, month)
    if not place.is_file():
        return {}
    try:
        found = [HostState.from_json(text) for text in json.loads(place.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError, AttributeError):
        LOG.warning("%s is damaged; what it said of the hosts is learnt again", place)
        return {}
    latest = time.time() + settings.retry_after_limit
    return {state.host: replace(state, paused_until=min(state.paused_until, latest)) for state in found}


def dead_hosts(states: Iterable[HostState], settings: CrawlSettings) -> dict[str, list[str]]:
    """Error -> hosts that are to be given up for it."""
    found: dict[str, list[str]] = {}
    enough = STREAK * settings.max_attempts
    for state in states:
        if state.failures >= enough:
            found.setdefault(UNREACHABLE, []).append(state.host)
        elif state.overloaded >= enough:
            found.setdefault(OVERLOADED, []).append(state.host)
        elif state.given_up is not None:
            found.setdefault(state.given_up, []).append(state.host)
    return {error: sorted(hosts) for error, hosts in sorted(found.items())}


def _place(warehouse: str, month: str) -> Path:
    return Path(warehouse) / "manifests" / "crawl" / f"{month}.hosts"
