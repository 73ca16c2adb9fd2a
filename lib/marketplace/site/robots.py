"""What the site's hosts ask of robots, and what they say instead when they shall be in the wrong."""

from lib.config import SiteSettings
from lib.marketplace.site.answers import NOT_FOUND, PLAIN, Answer, noise

PATH = "/robots.txt"
# Every page links to these, and they answer: who asks for them does not read robots.txt, and the log shows it.
FORBIDDEN = ("/private/cart", "/search/all")
RULES = ("User-agent: *", "Disallow: /private/", "Disallow: /search/all")
FORBID_ALL = "User-agent: *\nDisallow: /\n"


def robots(settings: SiteSettings, name: str | None) -> Answer:
    """robots.txt of the host of that name: 'platform' or a mall's id; None: some other host."""
    special = settings.faults.robots
    if special == "forbid_all":
        return Answer(FORBID_ALL.encode(), PLAIN)
    if special == "server_error":
        return Answer(b"", PLAIN, 500)
    if special == "not_found":
        return NOT_FOUND
    if special == "garbage":
        return Answer(noise(str(name)), PLAIN)
    delay = settings.crawl_delay.get(name or "", 0)
    return Answer("\n".join([*RULES, *([f"Crawl-delay: {delay:g}"] if delay else []), ""]).encode(), PLAIN)
