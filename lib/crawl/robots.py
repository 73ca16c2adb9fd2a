"""What a host's robots.txt allows (RFC 9309), read by protego."""

from functools import lru_cache

from protego import Protego

# RFC 9309, 2.5: at least so much has to be read; what is beyond may be left unread.
MOST_BYTES = 500 << 10
MOST_REDIRECTS = 5
ALLOW_ALL = ""
FORBID_ALL = "User-agent: *\nDisallow: /"


class Rules:
    """One host's rules for one agent."""

    def __init__(self, text: str, agent: str) -> None:
        self._parsed, self._agent = _parse(text), agent

    def allows(self, url: str) -> bool:
        """Whether the agent may ask for the address."""
        return bool(self._parsed.can_fetch(url, self._agent))

    @property
    def crawl_delay(self) -> float:
        """Seconds between two requests that it asks for; 0 where it asks for none."""
        return max(0.0, float(self._parsed.crawl_delay(self._agent) or 0.0))


@lru_cache(maxsize=256)
def _parse(text: str) -> Protego:
    return Protego.parse(text)


def text_of(body: bytes) -> str:
    """The rules in a robots.txt as it was sent."""
    return body[:MOST_BYTES].decode("utf-8", "replace").replace("\0", "").removeprefix("\ufeff")
