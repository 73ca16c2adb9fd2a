"""An answer and what makes it ready for the client that asked: validators, what it has already, packing."""

import gzip
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

HTML, JSON, JPEG = "text/html", "application/json", "image/jpeg"
TSV, PLAIN, BYTES = "text/tab-separated-values", "text/plain", "application/octet-stream"
# A smaller answer fits one packet anyway.
PACKED_FROM = 500
NOISE_BYTES = 2000
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """What a path leads to.

    Attributes:
        as_it_is: sent without validators and not packed.
    """

    body: bytes
    kind: str = HTML
    status: int = 200
    headers: Headers = ()
    as_it_is: bool = False


NOT_FOUND = Answer(b"<!doctype html><title>404</title><p>404</p>", status=404)
NO_QUESTION = Answer(b"<!doctype html><title>400</title><p>400</p>", status=400)
NO_METHOD = Answer(b"", PLAIN, 405, (("allow", "GET, HEAD"),))


def for_client(answer: Answer, asked: Mapping[str, str], modified: str) -> Answer:
    """The answer with ETag and Last-Modified: 304 where the client has it, packed where it can unpack."""
    if answer.status != 200 or answer.as_it_is:
        return answer
    tag = tag_of(answer.body)
    headers = (*answer.headers, *validators(tag, modified))
    if has_already(asked, tag):
        return Answer(b"", answer.kind, 304, headers)
    if answer.kind not in (HTML, JSON) or len(answer.body) < PACKED_FROM:
        return replace(answer, headers=headers)
    headers = (*headers, ("vary", "Accept-Encoding"))
    if not _unpacks(asked.get("accept-encoding", "")):
        return replace(answer, headers=headers)
    packed = gzip.compress(answer.body, 1, mtime=0)
    return replace(answer, body=packed, headers=(*headers, ("content-encoding", "gzip")))


def tag_of(content: bytes) -> str:
    """The ETag of a content."""
    return f'"{hashlib.sha256(content).hexdigest()[:24]}"'


def validators(tag: str, modified: str) -> Headers:
    """The headers by which a client can ask again for what changed only."""
    return (("etag", tag), ("last-modified", modified))


def has_already(asked: Mapping[str, str], tag: str) -> bool:
    """Whether the client's If-None-Match names the content."""
    known = {part.strip().removeprefix("W/") for part in asked.get("if-none-match", "").split(",")}
    return tag in known or "*" in known


def noise(text: str) -> bytes:
    """Random bytes, the same at every run."""
    return random.Random(text).randbytes(NOISE_BYTES)  # noqa: S311 nothing secret


def _unpacks(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
