"""Addresses: one spelling for each, the host it is on, and whether the crawl may follow it, as what kind of page."""

import re
from fnmatch import fnmatchcase
from functools import cache
from ipaddress import IPv6Address
from typing import Literal
from urllib.parse import SplitResult, urljoin, urlsplit

import idna

from lib.config import ApiSettings, CrawlSettings, HostSettings, PageKind

LONGEST_URL = 2048
# Stands in for '*' while a pattern of hosts is spelt as addresses are; in no host's name.
STAR = "0star0"
DEFAULT_PORTS = {"http": 80, "https": 443}
# Say where a visitor came from and nothing of the page; sites add them to links as they like.
TRACKING = re.compile(r"(utm_[a-z0-9_]+|gclid|fbclid|NaPm|n_media|n_query|n_rank|n_ad_group|n_ad)", re.ASCII)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What may stand as it is in a path or query (RFC 3986: sub-delims and some more), beside unreserved characters.
_PATH, _QUERY = frozenset(b"!$&'()*+,;=:@/"), frozenset(b"!$'()*,;:@/?+")
_VALUE = _QUERY | frozenset(b"=")
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


def apis_by_address(settings: CrawlSettings) -> dict[str | None, ApiSettings]:
    """Canonical address without a query -> the API."""
    return {canonical(api.url): api for api in settings.apis}


def api_host(api: ApiSettings) -> str:
    """The host of an API, as addresses spell it."""
    return host_of(canonical(api.url) or "")


class Scope:
    """Which addresses the crawl follows."""

    def __init__(self, settings: CrawlSettings) -> None:
        self._hosts = {_pattern(pattern): found for pattern, found in settings.hosts.items()}
        self._kinds = settings.kinds
        self._apis = apis_by_address(settings)
        self._api_hosts = {api_host(api) for api in settings.apis}

    def settings_for(self, host: str) -> HostSettings | None:
        """How the host is to be treated; None where it is neither in the allow-list nor an API's."""
        found = self._allowed(host)
        return HostSettings() if found is None and host in self._api_hosts else found

    def api_of(self, url: str) -> ApiSettings | None:
        """The API that a canonical address asks."""
        return self._apis.get(url.partition("?")[0])

    def kind_of(self, url: str) -> PageKind | Literal["api"] | None:
        """What a canonical address leads to; None where it is not followed."""
        parts = urlsplit(url)
        if self.api_of(url) is not None:
            return "api"
        if self._allowed(parts.netloc) is None:
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

    def _allowed(self, host: str) -> HostSettings | None:
        return next((found for pattern, found in self._hosts.items() if pattern.fullmatch(host)), None)


def _pattern(given: str) -> re.Pattern[str]:
    """A host of the allow-list as addresses spell it.

    A star stands for one label, in an IP address for one of its numbers, in place of a port for any, alone for all.
    """
    if given == "*":
        return re.compile(".+")
    name, colon, port = given.lower().replace("*", STAR).partition(":")
    spelt = canonical(f"http://{name}" if port == STAR else f"http://{name}{colon}{port}")
    host = f"{name}{colon}{port}" if spelt is None else host_of(spelt) + (f":{STAR}" if port == STAR else "")
    star = "[0-9]+" if re.fullmatch(r"[0-9.*]*[0-9][0-9.*]*(:[0-9*]+)?", given) else "[^.:/]+"
    return re.compile(re.escape(host).replace(STAR, star))


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

    def spelt(found: re.Match[bytes]) -> bytes:
        byte = int(found[1], 16) if found[1] else found[0][0]
        return bytes([byte]) if found[1] and byte in _UNRESERVED else b"%%%02X" % byte

    return _to_spell(allowed).sub(spelt, text.encode("utf-8")).decode("ascii")


@cache
def _to_spell(allowed: frozenset[int]) -> re.Pattern[bytes]:
    """An escape, or a byte that needs one; all else stays as it is, and is passed over without Python."""
    kept = re.escape(bytes(sorted(_UNRESERVED | allowed)))
    return re.compile(rb"%([0-9A-Fa-f]{2})|[^" + kept + rb"]")
