"""What the site does wrong, drawn by hash: a run can be repeated, and what failed may do better the next time."""

import hashlib
from collections import Counter

from lib.config import SiteFaults

ROBOTS_FORBID_ALL = "User-agent: *\nDisallow: /\n"


class Faults:
    """Draws what goes wrong with each request."""

    def __init__(self, settings: SiteFaults) -> None:
        self.settings = settings
        self._asked: Counter[str] = Counter()
        self._by_host: Counter[str] = Counter()
        given = settings
        self._shares: list[tuple[str, float]] = [
            *((f"status {status}", share) for status, share in sorted(given.statuses.items())),
            ("too_many", given.too_many), ("slow", given.slow), ("dropped", given.dropped),
            ("truncated", given.truncated), ("wrong_type", given.wrong_type), ("bomb", given.bombs),
            ("redirect_loop", given.redirect_loops),
        ]  # fmt: skip

    def draw(self, host: str, target: str) -> str | None:
        """The fault of this request, or None."""
        self._by_host[host] += 1
        self._asked[host + target] += 1
        if self._by_host[host] <= self.settings.first_requests:
            return None
        # A loop is one of addresses, not of tries: it stays one however often it is asked for.
        place = self._place(host, target, self._asked[host + target])
        for name, share in self._shares:
            if name == "redirect_loop" and self._place(host, target.replace("/loop", "", 1), 0) < share:
                return name
            if place < share:
                return name
            place -= share
        return None

    def _place(self, host: str, target: str, times: int) -> float:
        """A number in [0, 1) for the request; the port says nothing, as it differs from run to run."""
        text = f"{self.settings.seed}/{host.partition(':')[0]}{target}/{times}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
