"""What a host's robots.txt allows (RFC 9309), read by protego."""

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache

from protego import Protego

from lib.crawl.fetch import Answer
from lib.crawl.urls import canonical, host_of

# RFC 9309, 2.5: at least so much has to be read; what is beyond may be left unread.
MOST_BYTES = 500 << 10
MOST_REDIRECTS = 5
# RFC 9309, 2.4: rules are not to be used for longer, unless they cannot be had again.
FRESH_SECONDS = 24 * 3600.0
ALLOW_ALL = ""
FORBID_ALL = "User-agent: *\nDisallow: /"
# All that protego takes for a line that names an agent.
_AGENT_LINE = re.compile(r"\s*user(?:-|\s*)agent(?:\s*:|\s)\s*([^#]*)", re.IGNORECASE)
# Stands for agents that are none of ours; no agent's name can hold it.
_OTHER_AGENT = "User-agent: !"


class Rules:
    """One host's rules for one agent."""

    def __init__(self, text: str, agent: str) -> None:
        self._parsed, self._agent = _parse(text, agent), agent

    def allows(self, url: str) -> bool:
        """Whether the agent may ask for the address."""
        return bool(self._parsed.can_fetch(url, self._agent))

    @property
    def crawl_delay(self) -> float:
        """Seconds between two requests that it asks for; 0 where it asks for none."""
        return max(0.0, float(self._parsed.crawl_delay(self._agent) or 0.0))


@lru_cache(maxsize=64)
def _parse(text: str, agent: str) -> Protego:
    return Protego.parse(without_other_agents(text, agent))


def without_other_agents(text: str, agent: str) -> str:
    """The same rules for our agent, with one name for all agents that are not.

    Protego keeps each rule once for each agent above it: half a megabyte of ten thousand agents with ten thousand rules
    takes it minutes, while every lane of the task stands still.
    """
    return "\n".join(_for_ours(line, agent.lower()) for line in text.splitlines())


def _for_ours(line: str, agent: str) -> str:
    found = _AGENT_LINE.match(line)
    if found is None or found[1].strip().lower().replace("*", "") in agent:  # '' stands for '*' and is in every name
        return line
    return _OTHER_AGENT


def text_of(body: bytes) -> str:
    """The rules in a robots.txt as it was sent; a line that the bound cuts is left out, as its half may say more."""
    whole = body if len(body) <= MOST_BYTES else body[:MOST_BYTES].rpartition(b"\n")[0]
    coding = "utf-16" if whole.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    return whole.decode(coding, "replace").replace("\0", "").removeprefix("\ufeff")


async def ask(host: str, scheme: str, get: Callable[[str], Awaitable[Answer | None]]) -> str | None:
    """The host's rules; None where there is no answer yet that tells them.

    Args:
        get: one polite request; None: no answer, or one that may be another the next time.
    """
    url = f"{scheme}://{host}/robots.txt"
    for _ in range(MOST_REDIRECTS + 1):
        answer = await get(url)
        if answer is None:
            return None
        if not 300 <= answer.status < 400:
            return text_of(answer.body) if 200 <= answer.status < 300 else ALLOW_ALL
        target = canonical(answer.location or "", url)
        if target is None or host_of(target) != host:
            return FORBID_ALL  # whether rules that lie elsewhere hold here is not known
        url = target
    return FORBID_ALL
