"""What goes into a round and what comes out of it: requests, links, outcomes, and what each host is like."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

# Kind of an address that is a picture's: it leads to no other. The crawl knows of none; lib/images asks for them.
PICTURE = "picture"


@dataclass(frozen=True)
class Link:
    """An address that may be followed."""

    url: str
    kind: str


@dataclass(frozen=True)
class Request:
    """An address to ask for.

    Attributes:
        url, kind, host, depth: as in table `frontier`.
        attempts: requests made for it so far.
        etag, last_modified: of the page that is known already.
    """

    url: str
    kind: str
    host: str
    depth: int
    attempts: int = 0
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class RobotsRecord:
    """A host's robots.txt as far as it is known.

    Attributes:
        text: the rules; None while there was no answer yet.
        attempts: requests made for it without an answer.
        not_before: earliest time of the next one (Unix seconds).
        fetched_at: when the rules were read (Unix seconds); after a day they are asked for again.
    """

    text: str | None = None
    attempts: int = 0
    not_before: float = 0.0
    fetched_at: float = 0.0


@dataclass(frozen=True)
class HostState:
    """What is handed on of a host from round to round; times are Unix seconds.

    Attributes:
        last_request: when it was asked last.
        delay: adaptive seconds between two requests.
        pace: seconds between two requests, by conf, robots.txt and the adaptive delay together.
        paused_until: it asked not to be asked before.
        failures: requests in a row that the host did not answer.
        overloaded: answers in a row that said no more than that.
        given_up: why no page of it is to be asked for, once that is so.
        quota_left: API requests that it serves today; None: no limit.
    """

    host: str
    last_request: float | None = None
    delay: float | None = None
    pace: float | None = None
    paused_until: float = 0.0
    failures: int = 0
    overloaded: int = 0
    robots: RobotsRecord = field(default_factory=RobotsRecord)
    given_up: str | None = None
    quota_left: int | None = None

    @property
    def next_turn(self) -> float:
        """It is not to be asked before (Unix seconds)."""
        return max((self.last_request or 0.0) + (self.pace or 0.0), self.paused_until)

    def to_be_asked_anew(self) -> "HostState":
        """The same without what it was given up for."""
        return replace(self, failures=0, overloaded=0, given_up=None)

    def with_quota(self, left: int | None) -> "HostState":
        """The same with what is left of an API's quota."""
        return replace(self, quota_left=left)

    def to_json(self) -> str:
        """As text, for a column or another process."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "HostState":
        """What `to_json` wrote."""
        given = json.loads(text)
        return HostState(**{**given, "robots": RobotsRecord(**given["robots"])})


@dataclass(frozen=True)
class Outcome:
    """What came of one request, for the tables `frontier` and `pages`; times are Unix seconds.

    Attributes:
        state: stored, waiting, failed or forbidden.
        error: a code, no text of the site's.
        body: gzipped by us; None where the answer has none of use (304, redirects).
        body_bytes, sent_bytes: of the body unpacked, and on the wire.
        hash: SHA-256 of the unpacked body.
        seconds: until the answer was complete.
    The others are as in the tables; those of `pages` alone are set for stored outcomes only.
    """

    url: str
    kind: str
    host: str
    depth: int
    state: str
    attempts: int
    etag: str | None = None
    last_modified: str | None = None
    not_before: float | None = None
    requested_at: float | None = None
    status: int | None = None
    error: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    body: bytes | None = None
    body_bytes: int = 0
    sent_bytes: int = 0
    hash: str | None = None
    links: tuple[Link, ...] = ()
    seconds: float = 0.0

    def as_row(self) -> dict[str, Any]:
        """Column -> value, headers and links as structs."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        row["headers"] = [{"name": name, "value": value} for name, value in self.headers]
        row["links"] = [{"url": link.url, "kind": link.kind} for link in self.links]
        return row
