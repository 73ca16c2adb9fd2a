"""What is known of hosts outlives the crawl that learnt it, and nothing worse."""

import time
from pathlib import Path

from lib.crawl import host_states
from lib.crawl.request import HostState, RobotsRecord
from tests.crawl.fetching import settings

MONTH = "2026-01"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    states = {
        name: HostState(name, last_request=1.0, pace=2.0, robots=RobotsRecord("User-agent: *"))
        for name in ("a.example", "b.example:81")
    }
    assert host_states.read(str(tmp_path), MONTH, settings()) == {}
    host_states.write(str(tmp_path), MONTH, states)
    assert host_states.read(str(tmp_path), MONTH, settings()) == states
    assert host_states.read(str(tmp_path), "2026-02", settings()) == {}


def test_damage_is_learnt_anew_and_no_pause_is_for_ever(tmp_path: Path) -> None:
    far = time.time() + 365 * 86_400
    host_states.write(str(tmp_path), MONTH, {"a.example": HostState("a.example", paused_until=far)})
    kept = host_states.read(str(tmp_path), MONTH, settings(retry_after_limit=100))
    assert kept["a.example"].paused_until <= time.time() + 100
    (file,) = (tmp_path / "manifests" / "crawl").iterdir()
    for damage in ("", "[", "[1]", '["{}"]', "{}", "null"):
        file.write_text(damage)
        assert host_states.read(str(tmp_path), MONTH, settings()) == {}
