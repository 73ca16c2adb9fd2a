"""What the site does wrong, drawn by hash: a run can be repeated, and what failed may do better the next time."""

import hashlib
import zlib
from collections import Counter
from functools import cached_property

from lib.config import SiteFaults
from lib.marketplace.site.answers import BYTES, PLAIN, Answer, noise

LOOP = "/loop"
PIECE = bytes(1 << 20)
# zlib's largest window, in the gzip format.
GZIP_WINDOW = 31


class Faults:
    """Draws what goes wrong with each request, and answers accordingly."""

    def __init__(self, settings: SiteFaults) -> None:
        self.settings = settings
        self._asked: Counter[str] = Counter()
        self._by_host: Counter[str] = Counter()
        shares = [
            *((f"status {status}", share) for status, share in sorted(settings.statuses.items())),
            ("too_many", settings.too_many), ("slow", settings.slow), ("dropped", settings.dropped),
            ("truncated", settings.truncated), ("wrong_type", settings.wrong_type), ("bomb", settings.bombs),
        ]  # fmt: skip
        self._shares = [(name, share) for name, share in shares if share]
        self._any = bool(self._shares) or settings.redirect_loops > 0
        if settings.bombs:
            # Before the first request: all others would wait for it.
            _ = self._bomb

    def draw(self, host: str, target: str) -> str | None:
        """The fault of this request for a path and query, or None."""
        if not self._any:
            return None
        host = host.partition(":")[0]
        self._by_host[host] += 1
        if self._by_host[host] <= self.settings.first_requests:
            return None
        # A loop is one of addresses and not of tries: it stays one however often it is asked for.
        if self._place(host, target.removeprefix(LOOP), "loop") < self.settings.redirect_loops:
            return "redirect_loop"
        self._asked[host + target] += 1
        place = self._place(host, target, str(self._asked[host + target]))
        for name, share in self._shares:
            if place < share:
                return name
            place -= share
        return None

    def answer(self, fault: str | None, target: str) -> Answer | None:
        """The answer of a fault that is one; None where there is none, or it concerns how an answer is sent."""
        wait = (("retry-after", str(self.settings.retry_after)),)
        if fault is None or fault in ("slow", "truncated"):
            return None
        if fault.startswith("status "):
            status = int(fault.removeprefix("status "))
            return Answer(b"<!doctype html><p>fault</p>", status=status, headers=wait if status in (429, 503) else ())
        if fault == "too_many":
            return Answer(b"", PLAIN, 429, wait)
        if fault == "wrong_type":
            return Answer(noise(target), BYTES, as_it_is=True)
        if fault == "bomb":
            return Answer(self._bomb, headers=(("content-encoding", "gzip"),), as_it_is=True)
        elsewhere = target.removeprefix(LOOP) if target.startswith(LOOP) else LOOP + target
        return Answer(b"", PLAIN, 302, (("location", elsewhere),))

    @cached_property
    def _bomb(self) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, GZIP_WINDOW)
        pieces, rest = divmod(self.settings.bomb_bytes, len(PIECE))
        packed = [packer.compress(PIECE) for _ in range(pieces)]
        return b"".join([*packed, packer.compress(PIECE[:rest]), packer.flush()])

    def _place(self, host: str, target: str, what: str) -> float:
        """A number in [0, 1) for the request; the port says nothing, as it differs from run to run."""
        digest = hashlib.sha256(f"{self.settings.seed}/{host}{target}/{what}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48
