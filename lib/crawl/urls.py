"""Addresses: one spelling for each, the host it is on, and whether the crawl may follow it, as what kind of page."""

import re
from fnmatch import fnmatchcase
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urljoin, urlsplit

import idna

from lib.config import CrawlSettings, HostSettings, PageKind

LONGEST_URL = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
# Say where a visitor came from and nothing of the page; sites add them to links as they like.
TRACKING = re.compile(r"(utm_[a-z0-9_]+|gclid|fbclid|NaPm|n_media|n_query|n_rank|n_ad_group|n_ad)", re.ASCII)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What may stand as it is in a path or query (RFC 3986: sub-delims and some more), beside unreserved characters.
_PATH, _QUERY = frozenset(b"!$&'()*+,;=:@/"), frozenset(b"!$'()*,;:@/?+")
_VALUE = _QUERY | frozenset(b"=")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_HOST = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*", re.ASCII)


def canonical(url: str, base: str | None = None) -> str | None:
    """The one spelling of an address (RFC 3986, section 6.2), or None where it is none that could be crawled.

    Scheme and host in lower case, the host as ASCII (IDNA) without a last dot, no default port, dot segments resolved,
    escapes in upper case and only where needed, query parameters sorted and without tracking ones, no fragment.
    """
    text = url.strip(" \t\r\n")
    if len(text) > LONGEST_URL or _CONTROL.search(text):
        return None
    try:
        parts = urlsplit(urljoin(base, text) if base is not None else text)
        if parts.scheme not in DEFAULT_PORTS or parts.username is not None or parts.password is not None:
            return None
        netloc = _netloc(parts)
    except ValueError:  # UnicodeError and idna.IDNAError are such
        return None
    if netloc is None:
        return None
    query = _query(parts.query)
    made = f"{parts.scheme}://{netloc}{_path(parts.path)}{'?' + query if query else ''}"
    return made if len(made) <= LONGEST_URL else None


def host_of(url: str) -> str:
    """Host of a canonical address, with the port where it is not the scheme's."""
    return urlsplit(url).netloc


class Scope:
    """Which addresses the crawl follows."""

    def __init__(self, settings: CrawlSettings) -> None:
        self._hosts = {pattern.lower(): found for pattern, found in settings.hosts.items()}
        self._kinds = settings.kinds

    def settings_for(self, host: str) -> HostSettings | None:
        """How the host is to be treated; None where it is not in the allow-list."""
        return next(
            (found for pattern, found in self._hosts.items() if host == pattern or fnmatchcase(host, pattern)), None
        )

    def kind_of(self, url: str) -> PageKind | None:
        """What a canonical address leads to; None where it is not followed."""
        parts = urlsplit(url)
        if self.settings_for(parts.netloc) is None:
            return None
        return next(
            (
                kind
                for kind, patterns in self._kinds.items()
                for pattern in patterns
                if fnmatchcase(parts.path, pattern)
            ),
            None,
        )


def _netloc(parts: SplitResult) -> str | None:
    if not parts.hostname:
        return None
    host = _ip6(parts.hostname) if ":" in parts.hostname else _ascii(parts.hostname)
    port = parts.port
    return host if port is None or port == DEFAULT_PORTS[parts.scheme] else f"{host}:{port}"


def _ip6(name: str) -> str:
    """The shortest spelling, in brackets; a zone names an interface of this machine and is refused."""
    if "%" in name:
        raise ValueError("zone in an address")
    return f"[{IPv6Address(name)}]"


def _ascii(name: str) -> str:
    host = name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    host = host.lower().removesuffix(".")
    if not _HOST.fullmatch(host):
        raise ValueError("not a host's name")
    return host


def _path(path: str) -> str:
    """Dot segments resolved (RFC 3986, 5.2.4), then escaped where needed."""
    kept: list[str] = []
    segments = _escaped(path, _PATH).split("/")
    for segment in segments:
        if segment == "..":
            kept = kept[:-1] if len(kept) > 1 else kept
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", "..") and (not kept or kept[-1] != ""):
        kept.append("")
    joined = "/".join(kept)
    return joined if joined.startswith("/") else f"/{joined}"


def _query(query: str) -> str:
    pairs = []
    for part in query.split("&"):
        given, equals, value = part.partition("=")
        name = _escaped(given, _QUERY)
        if part and not TRACKING.fullmatch(name):
            pairs.append((name, equals + _escaped(value, _VALUE)))
    return "&".join(name + value for name, value in sorted(pairs))


def _escaped(text: str, allowed: frozenset[int]) -> str:
    """Escapes of unreserved characters undone, all others in upper case, and what needs one escaped."""
    raw = text.encode("utf-8")
    made = bytearray()
    place = 0
    while place < len(raw):
        escape = _ESCAPE.match(raw, place)
        byte = int(escape[1], 16) if escape else raw[place]
        if byte in _UNRESERVED or (escape is None and byte in allowed):
            made.append(byte)
        else:
            made += b"%%%02X" % byte
        place += 3 if escape else 1
    return made.decode("ascii")
